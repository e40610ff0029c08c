//! The attempts at a run, on its record.

use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Fault, SimulatorSettings};

use crate::rig::{Rig, generator};

/// How each attempt at a run ended: outcome, phase, kind of failure.
fn ends(run: &Value) -> Vec<(Value, Value, Value)> {
    let log = run["attempt_log"].as_array().unwrap();
    for (at, attempt) in log.iter().enumerate() {
        assert_eq!(attempt["number"], json!(at + 1), "{run:#}");
        assert!(attempt["began_at"].is_string(), "{run:#}");
        let ended = attempt["ended_at"].as_str();
        assert_eq!(ended.is_none(), attempt["outcome"].is_null(), "{run:#}");
        assert!(
            ended.is_none_or(|ended| ended >= attempt["began_at"].as_str().unwrap()),
            "{run:#}"
        );
    }
    let end = |attempt: &Value| {
        let failure = attempt["failure"]["kind"].clone();
        (attempt["outcome"].clone(), attempt["phase"].clone(), failure)
    };
    log.iter().map(end).collect()
}

fn end(outcome: &str, phase: &str, failure: Option<&str>) -> (Value, Value, Value) {
    (json!(outcome), json!(phase), json!(failure))
}

#[tokio::test]
async fn each_attempt_is_on_the_record_with_how_it_ended() {
    let rig = Rig::with(SimulatorSettings {
        generator: generator(0),
        report_duration: std::time::Duration::from_hours(1),
        ..SimulatorSettings::default()
    })
    .await;
    rig.simulator
        .inject(Fault::new("wiz.graphql.reportRuns", Effect::PartialData));
    let service = rig.serve_crashing().await;
    let id = service.create(rig.integration("wiz1")).await;
    let run = service.start_run(&id).await;
    let record = service.in_phase(&run, "waiting_for_report").await;
    let failed = end("failed", "requesting_report", Some("wiz_unavailable"));
    let open = (json!(null), json!(null), json!(null));
    assert_eq!(ends(&record), [failed.clone(), open], "{record:#}");
    service.crash();

    let asked = rig.simulator.requests("wiz.graphql.reportRun");
    let service = rig.serve().await;
    let waits_again = |run: &Value| {
        let asks = rig.simulator.requests("wiz.graphql.reportRun") > asked;
        asks && run["phase"] == "waiting_for_report"
    };
    service.run_once(&run, waits_again).await;
    service.stop().await;

    let service = rig.serve().await;
    service.run_once(&run, |run| run["attempts"] == 4).await;
    rig.clock.advance(std::time::Duration::from_hours(1));
    let record = service.end_of(&run).await;
    let expected = [
        failed,
        end("lost", "waiting_for_report", None),
        end("interrupted", "waiting_for_report", None),
        end("ended", "pushing", None),
    ];
    assert_eq!(ends(&record), expected, "{record:#}");
    rig.assert_in_step();
}

#[tokio::test]
async fn a_run_that_fails_for_good_ends_with_a_failed_attempt() {
    let rig = Rig::new().await;
    rig.simulator
        .inject(Fault::new("wiz.token", Effect::status(401)).times(100));
    let (service, id) = rig.serve_one().await;
    let record = service.run(&id).await;
    assert_eq!(ends(&record), [end("failed", "signing_in", Some("credentials"))]);
    assert_eq!(record["attempt_log"][0]["failure"], record["failure"]);
}
