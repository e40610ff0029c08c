//! What passes by itself is outlasted, and what does not ends the run after a while.

use std::time::Duration;

use serde_json::json;
use wiz_context::simulator::{Effect, Ending, Fault, SimulatorSettings, StatusFault};

use crate::rig::{Rig, generator, ip, report, text};

#[tokio::test]
async fn outages_of_either_neighbour_are_outlasted_with_one_report() {
    let rig = Rig::new().await;
    for fault in [
        Fault::new("wiz.token", Effect::status(503)).times(4),
        Fault::new("wiz.graphql.createReport", Effect::status(502)),
        Fault::new("wiz.graphql.reportRun", Effect::status(500)).times(4),
        Fault::new("wiz.graphql.reportRun", Effect::PartialData).after(1),
        Fault::new("wiz.report_file", Effect::status(503)).times(2),
        Fault::new("fusion.put", Effect::status(503)).times(5),
    ] {
        rig.simulator.inject(fault);
    }
    let (service, id) = rig.serve_one().await;
    let run = service.succeed(&id).await;
    assert!(run["attempts"].as_u64() > Some(1), "{run:#}");
    assert_eq!(run["failure"], json!(null), "a success has no failure");
    assert_eq!(rig.simulator.reports().len(), 1);
    assert_eq!(rig.simulator.reports()[0].runs.len(), 1);
    rig.assert_in_step();
}

#[tokio::test]
async fn a_lost_answer_to_the_making_or_the_rerun_of_the_report_makes_no_second_one() {
    let rig = Rig::new().await;
    rig.simulator
        .inject(Fault::new("wiz.graphql.createReport", Effect::ResponseLost));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator
        .inject(Fault::new("wiz.graphql.rerunReport", Effect::ResponseLost));
    service.succeed(&id).await;
    let reports = rig.simulator.reports();
    assert_eq!((reports.len(), reports[0].runs.len()), (1, 2));
    rig.assert_in_step();
}

#[tokio::test]
async fn a_download_that_breaks_goes_on_where_it_broke() {
    let rig = Rig::new().await;
    for bytes in [1_000, 10_000, 3_000] {
        let ending = Ending::Cut;
        rig.simulator
            .inject(Fault::new("wiz.report_file", Effect::Truncate { bytes, ending }));
    }
    rig.simulator
        .inject(Fault::new("wiz.report_file", Effect::status(403)));
    let (service, id) = rig.serve_one().await;
    let run = service.succeed(&id).await;
    assert_eq!(run["attempts"], 1, "{run:#}");
    let reports = rig.simulator.reports();
    assert_eq!(run["certificate"]["bytes"], json!(reports[0].runs[0].bytes));
    rig.assert_in_step();
}

#[tokio::test]
async fn a_report_that_fails_or_expires_is_run_again() {
    let rig = Rig::new().await;
    let reason = "out of disk".to_owned();
    rig.simulator
        .inject(Fault::new("wiz.report_run", Effect::ReportFailed { reason }));
    rig.simulator
        .inject(Fault::new("wiz.report_run", Effect::ReportExpired).after(1));
    let (service, id) = rig.serve_one().await;
    let run = service.succeed(&id).await;
    assert_eq!(run["attempts"], 3, "{run:#}");
    let reports = rig.simulator.reports();
    assert_eq!((reports.len(), reports[0].runs.len()), (1, 3));
    rig.assert_in_step();
}

#[tokio::test]
async fn a_report_that_always_fails_ends_the_run_after_eight_attempts() {
    let rig = Rig::new().await;
    let reason = "out of disk".to_owned();
    rig.simulator
        .inject(Fault::new("wiz.report_run", Effect::ReportFailed { reason }).times(100));
    let (service, id) = rig.serve_one().await;
    let run = service.run(&id).await;
    assert_eq!(
        (&run["state"], &run["attempts"]),
        (&json!("failed"), &json!(8)),
        "{run:#}"
    );
    let message = text(&run["failure"]["message"]);
    assert!(
        message.contains("out of disk") && message.contains("8 attempts"),
        "{message}"
    );
    assert_eq!(run["failure"]["kind"], "report");
}

#[tokio::test]
async fn a_wait_that_wiz_asks_for_is_kept() {
    let rig = Rig::new().await;
    let slow_down = StatusFault {
        status: 429,
        retry_after_s: Some(60),
        ..StatusFault::default()
    };
    rig.simulator
        .inject(Fault::new("wiz.graphql", Effect::Status(slow_down)));
    let (service, id) = rig.serve_one().await;
    let began = rig.clock.now();
    service.succeed(&id).await;
    assert!(rig.clock.now().since(began) >= Duration::from_mins(1));
    assert_eq!(rig.simulator.requests("wiz.token"), 1);
    rig.assert_in_step();
}

#[tokio::test]
async fn a_wait_that_wiz_asks_for_is_shown_while_it_lasts_and_is_no_failure() {
    let rig = Rig::new().await;
    let slow_down = |operation: &str, status: StatusFault| {
        rig.simulator
            .inject(Fault::new(operation, Effect::Status(status)));
    };
    let asked = StatusFault {
        status: 429,
        extension_retry_after_s: Some(300),
        ..StatusFault::default()
    };
    slow_down("wiz.graphql.createReport", asked);
    slow_down(
        "wiz.token",
        StatusFault {
            status: 429,
            ..StatusFault::default()
        },
    );
    let (service, id) = rig.serve_one().await;
    let began = rig.clock.now();
    let run = service.start_run(&id).await;
    let waits = |run: &serde_json::Value| {
        let detail = run["progress"]["detail"].as_str().unwrap_or_default();
        run["phase"] == "requesting_report" && detail.ends_with("Wiz asked to slow down")
    };
    let waiting = service.run_once(&run, waits).await;
    assert_eq!(
        (&waiting["state"], &waiting["failure"], &waiting["attempts"]),
        (&json!("running"), &json!(null), &json!(1)),
        "{waiting:#}"
    );
    rig.clock.advance(Duration::from_mins(5));
    let run = service.end_of(&run).await;
    assert_eq!(
        (&run["state"], &run["attempts"], &run["progress"]["detail"]),
        (&json!("succeeded"), &json!(1), &json!(null)),
        "{run:#}"
    );
    assert!(rig.clock.now().since(began) >= Duration::from_mins(5));
    assert_eq!(rig.simulator.reports().len(), 1);
    rig.assert_in_step();
}

#[tokio::test]
async fn who_is_told_to_slow_down_for_ever_fails_in_the_end_and_says_so() {
    let rig = Rig::new().await;
    rig.simulator
        .inject(Fault::new("wiz.graphql", Effect::status(429)).times(1_000));
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    let run = rig.while_time_flies(service.end_of(&run)).await;
    assert_eq!(
        (&run["state"], &run["failure"]["kind"], &run["attempts"]),
        (&json!("failed"), &json!("rate_limited"), &json!(8)),
        "{run:#}"
    );
}

#[tokio::test]
async fn tokens_that_end_during_a_run_are_renewed() {
    let rig = Rig::with(SimulatorSettings {
        generator: generator(0),
        report_duration: Duration::from_mins(40),
        wiz_token_life: Duration::from_mins(15),
        fusion_token_life: Duration::from_mins(15),
        ..SimulatorSettings::default()
    })
    .await;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    // Each leap is shorter than a token's life, for it may fall into the middle of a call.
    for _ in 0..6 {
        service.in_phase(&run, "waiting_for_report").await;
        rig.clock.advance(Duration::from_mins(6));
    }
    let run = service.end_of(&run).await;
    assert_eq!(
        (&run["state"], &run["attempts"]),
        (&json!("succeeded"), &json!(1)),
        "{run:#}"
    );
    assert!(rig.simulator.requests("wiz.token") > 1);
    rig.assert_in_step();
}

#[tokio::test]
async fn a_run_that_takes_too_long_ends() {
    let mut rig = Rig::with(SimulatorSettings {
        report_duration: Duration::from_hours(100),
        ..SimulatorSettings::default()
    })
    .await;
    rig.config.run_timeout = Duration::from_hours(2);
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    rig.clock.advance(Duration::from_hours(3));
    let run = service.end_of(&run).await;
    assert_eq!(
        (&run["state"], &run["failure"]["kind"]),
        (&json!("failed"), &json!("timeout")),
        "{run:#}"
    );
}

#[tokio::test]
async fn records_that_fusion_refuses_keep_no_other_back() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[
        ("CVE-2024-0001", "vm-1", "10.0.0.1", "High"),
        ("CVE-2024-0002", "vm-2", "10.0.0.2", "High"),
    ]));
    let reject = |address| Fault::new("fusion.put", Effect::RejectRecords { ip: ip(address) }).times(1000);
    rig.simulator.inject(reject("10.0.0.1"));
    let (service, id) = rig.serve_one().await;
    let run = service.succeed(&id).await;
    assert_eq!(run["counts"]["rejected"], 3, "{run:#}");
    let warnings = run["warnings"].as_array().unwrap();
    let refused = warnings
        .iter()
        .find(|warning| warning["code"] == "records_rejected")
        .unwrap();
    assert!(text(&refused["message"]).contains("10.0.0.1"), "{refused}");
    assert_eq!(rig.simulator.labels().len(), 3);

    rig.simulator.clear_faults();
    service.succeed(&id).await;
    rig.assert_in_step();
}

#[tokio::test]
async fn a_push_of_which_fusion_takes_nothing_fails() {
    let rig = Rig::new().await;
    rig.simulator
        .serve_csv(report(&[("CVE-2024-0001", "vm-1", "10.0.0.1", "High")]));
    let ip = ip("10.0.0.1");
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::RejectRecords { ip }).times(1000));
    let (service, id) = rig.serve_one().await;
    let run = service.run(&id).await;
    assert_eq!(
        (&run["state"], &run["failure"]["kind"]),
        (&json!("failed"), &json!("fusion_rejected")),
        "{run:#}"
    );
    assert_eq!(
        (&run["attempts"], &run["counts"]["rejected"]),
        (&json!(1), &json!(3))
    );
}

#[tokio::test]
async fn a_record_that_is_refused_each_time_fails_no_run_in_which_all_others_are_right() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[
        ("CVE-2024-0001", "vm-1", "10.0.0.1", "High"),
        ("CVE-2024-0002", "vm-2", "10.0.0.2", "High"),
    ]));
    let ip = ip("10.0.0.1");
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::RejectRecords { ip }).times(1000));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let run = service.succeed(&id).await;
    assert_eq!(
        (&run["counts"]["rejected"], &run["counts"]["unchanged"]),
        (&json!(3), &json!(3)),
        "{run:#}"
    );
}

#[tokio::test]
async fn a_retry_after_of_nothing_spends_no_attempts_in_a_moment() {
    let rig = Rig::new().await;
    let slow_down = StatusFault {
        status: 429,
        retry_after_s: Some(0),
        ..StatusFault::default()
    };
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::Status(slow_down)).times(4));
    let (service, id) = rig.serve_one().await;
    let began = rig.clock.now();
    service.succeed(&id).await;
    // 2, 4, 8 and 16 seconds, of which jitter leaves half at least
    assert!(rig.clock.now().since(began) >= Duration::from_secs(15));
    rig.assert_in_step();
}

#[tokio::test]
async fn an_attempt_with_only_refused_records_left_does_not_fail_a_run_that_settled_others() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[
        ("CVE-2024-0001", "vm-1", "10.0.0.1", "High"),
        ("CVE-2024-0002", "vm-2", "10.0.0.2", "High"),
    ]));
    let ip = ip("10.0.0.1");
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::RejectRecords { ip }).times(1000));
    // The batch, its halves and one record alone are answered; then Fusion is away for longer than a call is repeated.
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::status(503)).after(4).times(3));
    let (service, id) = rig.serve_one().await;
    let run = service.succeed(&id).await;
    assert_eq!(
        (&run["attempts"], &run["counts"]["rejected"]),
        (&json!(2), &json!(3)),
        "{run:#}"
    );
    assert_eq!(rig.simulator.labels().len(), 3);
}
