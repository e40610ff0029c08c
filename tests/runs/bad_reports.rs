//! Reports that cannot be trusted: the run fails and says why, and Fusion's labels stay as they were.

use serde_json::{Value, json};
use wiz_context::domain::RowCountRule;
use wiz_context::simulator::{Effect, Fault};

use crate::rig::{Rig, Service, assert_same, report, text};

/// A whole report of two findings.
fn whole() -> Vec<u8> {
    report(&[
        ("CVE-2024-0001", "vm-1", "10.0.0.1", "High"),
        ("CVE-2024-0002", "vm-2", "10.0.0.2", "Low"),
    ])
}

/// A service whose first run pushed the whole report.
async fn after_a_good_run(rig: &Rig) -> (Service, String) {
    rig.simulator.serve_csv(whole());
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    (service, id)
}

/// Runs an integration, which is to fail at once and leave Fusion's labels and the facts in force alone.
async fn fail(rig: &Rig, service: &Service, id: &str) -> (String, String) {
    let (labels, put) = (rig.simulator.labels(), rig.simulator.labels_put());
    let before = service.status_of(id).await;
    let run = service.run(id).await;
    assert_eq!(
        (&run["state"], &run["attempts"]),
        (&json!("failed"), &json!(1)),
        "{run:#}"
    );
    assert!(run["certificate"].is_null(), "no certificate, no push: {run:#}");
    assert_same(&rig.simulator.labels(), &labels);
    assert_eq!(
        (rig.simulator.labels_put(), rig.simulator.labels_deleted()),
        (put, 0)
    );
    let status = service.status_of(id).await;
    assert_eq!(
        (&status["addresses"], &status["pairs"]),
        (&before["addresses"], &before["pairs"])
    );
    assert_eq!(status["last_success"], before["last_success"]);
    (text(&run["failure"]["kind"]), text(&run["failure"]["message"]))
}

#[tokio::test]
async fn a_report_that_cannot_be_trusted_changes_nothing() {
    let rig = Rig::new().await;
    let (service, id) = after_a_good_run(&rig).await;
    let cut_quote = b"Name,AssetID,IpAddresses,Severity\nCVE-2024-0001,\"vm-1,10.0.0.1,High\n".to_vec();
    let no_address = b"Name,AssetID,Severity\nCVE-2024-0001,vm-1,High\n".to_vec();
    let ragged = b"Name,AssetID,IpAddresses,Severity\nCVE-2024-0001,vm-1,10.0.0.1\n".to_vec();
    let cases: [(Vec<u8>, &str, &[&str]); 5] = [
        (Vec::new(), "incomplete", &["empty"]),
        (
            no_address,
            "report",
            &["lacks IpAddresses", "has Name, AssetID, Severity"],
        ),
        (cut_quote, "incomplete", &["cut short", "quote"]),
        (ragged, "report", &["3 cells", "has 4"]),
        (
            whole()[..whole().len() - 12].to_vec(),
            "incomplete",
            &["cut short", "row, 2"],
        ),
    ];
    for (bytes, kind, words) in cases {
        rig.simulator.serve_verbatim(bytes, Some(1));
        let (failed_as, message) = fail(&rig, &service, &id).await;
        assert_eq!(failed_as, kind, "{message}");
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
    // all is well again with the next whole report
    rig.simulator.serve_csv(whole());
    service.succeed(&id).await;
}

#[tokio::test]
async fn a_gzip_file_that_ends_early_is_incomplete() {
    let rig = Rig::new().await;
    let (service, id) = after_a_good_run(&rig).await;
    let gzip = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&whole()).unwrap();
        encoder.finish().unwrap()
    };
    rig.simulator
        .serve_verbatim(gzip[..gzip.len() - 4].to_vec(), Some(2));
    let (kind, message) = fail(&rig, &service, &id).await;
    assert_eq!(kind, "incomplete");
    assert!(message.contains("gzip stream ends"), "{message}");
}

#[tokio::test]
async fn fewer_rows_than_wiz_counted_are_incomplete_and_more_or_no_count_a_warning() {
    let mut rig = Rig::new().await;
    let (service, id) = after_a_good_run(&rig).await;
    let counted = |rows| Fault::new("wiz.report_run", Effect::CountPlus { rows });
    rig.simulator.inject(counted(3));
    let (kind, message) = fail(&rig, &service, &id).await;
    assert_eq!(kind, "incomplete");
    assert!(message.contains("has 2 rows where Wiz counted 5"), "{message}");

    let codes = |run: &Value| -> Vec<String> {
        let warnings = run["warnings"].as_array().unwrap().iter();
        warnings.map(|warning| text(&warning["code"])).collect()
    };
    rig.simulator.inject(counted(-1));
    let run = service.succeed(&id).await;
    assert!(codes(&run).contains(&"rows_more".to_owned()), "{run:#}");
    assert_eq!(run["certificate"]["verdict"], "complete_with_warnings");
    rig.simulator
        .inject(Fault::new("wiz.report_run", Effect::CountNull));
    let run = service.succeed(&id).await;
    assert!(codes(&run).contains(&"rows_uncounted".to_owned()), "{run:#}");
    service.stop().await;

    rig.config.policy.row_count = RowCountRule::Warn;
    let service = rig.serve().await;
    rig.simulator.inject(counted(3));
    let run = service.succeed(&id).await;
    assert!(codes(&run).contains(&"rows_fewer".to_owned()), "{run:#}");
}

#[tokio::test]
async fn single_cells_that_do_not_read_are_skipped_and_counted() {
    let rig = Rig::new().await;
    let csv = "Name,FindingStatus,Severity,Score,AssetID,IpAddresses\n\
               CVE-2024-0001,Open,High,eleven,vm-1,\"10.0.0.1, nowhere, 127.0.0.1\"\n\
               CVE-2024-0002,Resolved,High,9.9,vm-2,10.0.0.2\n";
    rig.simulator.serve_verbatim(csv, Some(2));
    let (service, id) = rig.serve_one().await;
    let run = service.succeed(&id).await;
    assert_eq!(
        (&run["skipped"]["score"], &run["skipped"]["status"]),
        (&json!(1), &json!(1)),
        "{run:#}"
    );
    let skipped = run["skipped"].as_object().unwrap();
    let addresses: u64 = skipped
        .iter()
        .filter(|(reason, _)| reason.starts_with("address_"))
        .filter_map(|(_, count)| count.as_u64())
        .sum();
    assert_eq!(addresses, 2, "{run:#}");
    rig.assert_in_step();
    assert_eq!(rig.simulator.labels().len(), 3);
}
