//! Cancelling: at any phase, within seconds, for good, and with a word on what had been pushed.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Fault, SimulatorSettings};

use crate::rig::{Rig, Service, generator, report};

/// Nothing answers for longer than a test takes.
const SILENT: Effect = Effect::Slow { seconds: 100_000 };

const WITHIN: Duration = Duration::from_secs(5);

impl Service {
    /// Cancels a run and checks that it ends in time; gives its record.
    async fn cancelled(&self, rig: &Rig, run: &str) -> Value {
        let began = rig.clock.now();
        self.cancel(run).await;
        let record = self.end_of(run).await;
        let finished: wiz_context::domain::Timestamp =
            record["finished_at"].as_str().unwrap().parse().unwrap();
        assert!(finished.since(began) <= WITHIN, "{record:#}");
        assert_eq!(record["state"], "cancelled", "{record:#}");
        assert_eq!(record["progress"]["eta_s"], json!(null), "{record:#}");
        record
    }
}

#[tokio::test]
async fn a_cancel_is_heard_within_seconds_while_wiz_is_silent() {
    for (phase, silent, report_duration) in [
        ("signing_in", "wiz.token", Duration::ZERO),
        ("requesting_report", "wiz.graphql.createReport", Duration::ZERO),
        ("waiting_for_report", "wiz.report_file", Duration::from_hours(1)),
        ("downloading", "wiz.report_file", Duration::ZERO),
    ] {
        let simulator = SimulatorSettings {
            generator: generator(0),
            report_duration,
            ..SimulatorSettings::default()
        };
        // In real time, so that seconds are long.
        let rig = Rig::with_pace(simulator, 1).await;
        rig.simulator.inject(Fault::new(silent, SILENT));
        let (service, id) = rig.serve_one().await;
        let run = service.start_run(&id).await;
        service.in_phase(&run, phase).await;
        let record = service.cancelled(&rig, &run).await;
        assert_eq!(record["phase"], phase);
        assert_eq!(record["attempt_log"][0]["outcome"], "cancelled");
        assert_eq!(record["cancellation"]["pushed"], "Nothing had been pushed.");
        assert!(rig.simulator.labels().is_empty());
        service.stop().await;
    }
}

/// Addresses with a hundred labels each in three records, of which Fusion takes a hundred in one call.
fn large_report() -> Vec<u8> {
    let mut report = "Name,Severity,AssetID,IpAddresses\n".to_owned();
    for at in 0..330 {
        for cve in 1000..1098 {
            let (high, low) = (at / 250, at % 250 + 1);
            writeln!(report, "CVE-2024-{cve},High,vm-{at},10.0.{high}.{low}").unwrap();
        }
    }
    report.into()
}

#[tokio::test]
async fn a_cancelled_push_says_what_was_pushed_and_a_run_that_waits_for_its_turn_hears_it_too() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(large_report());
    rig.simulator
        .inject(Fault::new("fusion.put", SILENT).after(1).times(100));
    let service = rig.serve().await;
    let (pushing, waiting) = (
        service.create(rig.integration("pushing")).await,
        service.create(rig.integration("waiting")).await,
    );
    let run = service.start_run(&pushing).await;
    service.run_once(&run, |run| run["counts"]["pushed"] != 0).await;
    service
        .run_once(&run, |_| rig.simulator.requests("fusion.put") == 4)
        .await;
    let second = service.start_run(&waiting).await;
    service.in_phase(&second, "planning").await;
    assert_eq!(service.cancelled(&rig, &second).await["phase"], "planning");

    // Fusion answers nothing any more, and the end comes all the same.
    let record = service.cancelled(&rig, &run).await;
    let held = rig.simulator.labels().len();
    assert!(held > 0 && held < 990, "{held}");
    assert_eq!(record["counts"]["pushed"], json!(held), "{record:#}");
    let words = format!("{held} pairs had been pushed; Fusion keeps them.");
    assert_eq!(record["cancellation"]["pushed"], json!(words));

    // The next run pushes the rest.
    rig.simulator.clear_faults();
    let record = service.succeed(&pushing).await;
    assert_eq!(rig.simulator.labels().len(), 990);
    assert_eq!(record["counts"]["pushed"], json!(990 - held), "{record:#}");
}

#[tokio::test]
async fn a_cancelled_run_is_never_resumed() {
    let rig = Rig::new().await;
    rig.simulator
        .serve_csv(report(&[("CVE-2024-0001", "vm-1", "10.0.0.1", "High")]));
    let service = rig.serve_crashing().await;
    let id = service.create(rig.integration("wiz1")).await;
    rig.simulator.inject(Fault::new("fusion.put", SILENT).times(100));
    let run = service.start_run(&id).await;
    service.in_phase(&run, "pushing").await;
    // The process dies before the worker has done what it was told, or just after.
    service.cancel(&run).await;
    service.crash();
    rig.simulator.clear_faults();

    for _ in 0..2 {
        let service = rig.serve().await;
        let record = service.end_of(&run).await;
        assert_eq!(record["state"], "cancelled", "{record:#}");
        rig.clock.advance(Duration::from_hours(1));
        service.let_end(&id).await;
        assert_eq!(service.runs_of(&id).await.len(), 1);
        service.stop().await;
    }
    assert!(rig.simulator.labels().is_empty());
}
