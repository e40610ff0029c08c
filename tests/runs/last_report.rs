//! The last report in place of a new one: asked for by `?report=last`, or because Wiz refuses a rerun so soon.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Fault, SimulatorSettings, StatusFault};

use crate::rig::{Rig, Service, assert_same, generator, text};

const INTEGRATIONS: &str = "/api/v1/integrations/context";

async fn run_last(service: &Service, id: &str) -> Value {
    let run = service.start_run_with(id, "?report=last").await;
    service.end_of(&run).await
}

fn runs_in_wiz(rig: &Rig) -> Vec<String> {
    let reports = rig.simulator.reports();
    let runs = reports.iter().flat_map(|report| &report.runs);
    runs.map(|run| run.id.clone()).collect()
}

fn codes(run: &Value) -> Vec<String> {
    let warnings = run["warnings"].as_array().unwrap();
    warnings.iter().map(|warning| text(&warning["code"])).collect()
}

fn too_soon() -> Fault {
    Fault::new("wiz.graphql.rerunReport", Effect::RerunTooSoon { code: None })
}

#[tokio::test]
async fn the_last_report_is_read_again_without_a_rerun() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    let first = service.succeed(&id).await;
    assert_eq!(first["report_choice"], "rerun");
    let labels = rig.simulator.labels();
    // Somebody took labels away, and Wiz knows other findings by now, which only a new report would tell.
    rig.simulator.generate(generator(30));
    let run = service.start_run_with(&id, "?report=last&full=true").await;
    let run = service.end_of(&run).await;
    assert_eq!(
        (&run["state"], &run["report_choice"]),
        (&json!("succeeded"), &json!("last")),
        "{run:#}"
    );
    assert_eq!(
        run["certificate"]["report_run_id"],
        first["certificate"]["report_run_id"]
    );
    assert_eq!(run["certificate"]["report_id"], first["certificate"]["report_id"]);
    assert_eq!(codes(&run), [""; 0]);
    assert_eq!(
        (
            runs_in_wiz(&rig).len(),
            rig.simulator.requests("wiz.graphql.rerunReport")
        ),
        (1, 0)
    );
    assert_same(&rig.simulator.labels(), &labels);

    service.succeed(&id).await;
    assert_eq!(runs_in_wiz(&rig).len(), 2);
    rig.assert_in_step();
}

#[tokio::test]
async fn the_last_report_that_completed_is_read_and_not_one_that_failed() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    let first = service.succeed(&id).await;
    let reason = Effect::ReportFailed {
        reason: "a bad day".to_owned(),
    };
    rig.simulator.inject(Fault::new("wiz.report_run", reason));
    rig.simulator
        .inject(Fault::new("wiz.graphql.rerunReport", Effect::status(403)).after(1));
    let failed = service.run(&id).await;
    assert_eq!(failed["state"], "failed");
    assert_eq!(runs_in_wiz(&rig).len(), 2);
    let run = run_last(&service, &id).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    assert_eq!(
        run["certificate"]["report_run_id"],
        first["certificate"]["report_run_id"]
    );
}

#[tokio::test]
async fn without_a_last_report_a_run_that_wants_it_fails_and_says_what_to_do() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    let run = run_last(&service, &id).await;
    let failure = &run["failure"];
    assert_eq!(
        (&run["state"], &failure["kind"], &failure["retryable"]),
        (&json!("failed"), &json!("report"), &json!(false)),
        "{run:#}"
    );
    assert!(text(&failure["message"]).contains("Run without report=last"));
    assert!(rig.simulator.reports().is_empty(), "none is made");

    // A report none of whose runs completed.
    let reason = Effect::ReportFailed {
        reason: "a bad day".to_owned(),
    };
    rig.simulator
        .inject(Fault::new("wiz.report_run", reason).times(100));
    assert_eq!(service.run(&id).await["state"], "failed");
    let run = run_last(&service, &id).await;
    assert_eq!(
        (&run["state"], &run["failure"]["kind"]),
        (&json!("failed"), &json!("report"))
    );
    assert!(rig.simulator.labels().is_empty());
}

#[tokio::test]
async fn a_renamed_integration_reads_its_last_report_with_a_warning_and_leaves_it_as_it_is() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let path = format!("{INTEGRATIONS}/{id}");
    let (status, _) = service
        .call(Method::PATCH, &path, Some(json!({"name": "wiz2"})))
        .await;
    assert_eq!(status, StatusCode::OK);
    let run = run_last(&service, &id).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    assert_eq!(codes(&run), ["report_asked_before"]);
    assert_eq!(rig.simulator.reports()[0].name, "wiz-context/test/wiz1");
}

#[tokio::test]
async fn a_dry_run_of_the_last_report_changes_nothing_and_answers_for_no_new_one() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let (labels, put) = (rig.simulator.labels(), rig.simulator.labels_put());
    let last = format!("{INTEGRATIONS}/{id}/run?report=last");
    let (status, answer) = service.call(Method::GET, &last, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let run = service.end_of(&text(&answer["run"]["id"])).await;
    assert_eq!(
        (&run["state"], &run["dry_run"]),
        (&json!("succeeded"), &json!(true)),
        "{run:#}"
    );
    assert_eq!((runs_in_wiz(&rig).len(), rig.simulator.labels_put()), (1, put));
    assert_same(&rig.simulator.labels(), &labels);

    let (status, answer) = service.call(Method::GET, &last, None).await;
    assert_eq!((status, &answer["run"]["id"]), (StatusCode::OK, &run["id"]));
    let (status, answer) = service
        .call(Method::GET, &format!("{INTEGRATIONS}/{id}/run"), None)
        .await;
    assert_eq!(
        (status, &answer["run"]["report_choice"]),
        (StatusCode::ACCEPTED, &json!("rerun"))
    );
    service.let_end(&id).await;
    assert_eq!(runs_in_wiz(&rig).len(), 2);
}

#[tokio::test]
async fn a_start_that_joins_gets_a_new_report_unless_the_run_has_chosen_the_last_one() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;

    // Not chosen yet: the new report wins, whoever came first.
    let hour = || Effect::Slow { seconds: 3_600 };
    rig.simulator
        .inject(Fault::new("wiz.graphql.vulnerabilityFindings", hour()));
    let run = service.start_run_with(&id, "?report=last").await;
    service.in_phase(&run, "signing_in").await;
    assert_eq!(service.start_run(&id).await, run, "joined");
    assert_eq!(service.start_run_with(&id, "?report=last").await, run, "joined");
    rig.clock.advance(Duration::from_hours(1));
    let ended = service.end_of(&run).await;
    assert_eq!(ended["report_choice"], "rerun", "{ended:#}");
    assert_eq!(runs_in_wiz(&rig).len(), 2);

    // Chosen: it goes on with that.
    rig.simulator.inject(Fault::new("wiz.report_file", hour()));
    let run = service.start_run_with(&id, "?report=last").await;
    service.in_phase(&run, "downloading").await;
    assert_eq!(service.start_run(&id).await, run, "joined");
    rig.clock.advance(Duration::from_hours(1));
    let ended = service.end_of(&run).await;
    assert_eq!(
        (&ended["state"], &ended["report_choice"]),
        (&json!("succeeded"), &json!("last")),
        "{ended:#}"
    );
    assert_eq!(runs_in_wiz(&rig).len(), 2);
}

#[tokio::test]
async fn a_rerun_that_comes_too_soon_reads_the_last_report_and_warns_of_its_age() {
    for code in [None, Some("REPORT_RERUN_LIMIT".to_owned())] {
        let rig = Rig::new().await;
        let (service, id) = rig.serve_one().await;
        let first = service.succeed(&id).await;
        rig.clock.advance(Duration::from_hours(5));
        rig.simulator.inject(too_soon_as(code.clone()).times(100));
        let run = service.run(&id).await;
        assert_eq!(run["state"], "succeeded", "{code:?}: {run:#}");
        assert_eq!(
            run["certificate"]["report_run_id"],
            first["certificate"]["report_run_id"]
        );
        assert_eq!(codes(&run), ["report_reused"]);
        let message = text(&run["warnings"][0]["message"]);
        assert!(
            message.contains("which is 5 h ") && message.contains("a report can be rerun once in 24 hours"),
            "{message}"
        );
        assert_eq!(runs_in_wiz(&rig).len(), 1);
        rig.assert_in_step();
    }
}

fn too_soon_as(code: Option<String>) -> Fault {
    Fault::new("wiz.graphql.rerunReport", Effect::RerunTooSoon { code })
}

#[tokio::test]
async fn a_refused_rerun_of_an_old_report_is_no_matter_of_too_soon() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let labels = rig.simulator.labels();
    rig.clock.advance(Duration::from_hours(30));
    rig.simulator.inject(too_soon());
    let run = service.run(&id).await;
    assert_eq!(
        (&run["state"], &run["failure"]["kind"]),
        (&json!("failed"), &json!("report")),
        "{run:#}"
    );
    assert!(
        text(&run["failure"]["message"]).contains("once in 24 hours"),
        "Wiz's words are there"
    );
    assert_same(&rig.simulator.labels(), &labels);
}

#[tokio::test]
async fn other_refusals_of_a_rerun_stay_failures() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let refusal = Effect::Status(StatusFault {
        status: 403,
        ..StatusFault::default()
    });
    rig.simulator
        .inject(Fault::new("wiz.graphql.rerunReport", refusal));
    let run = service.run(&id).await;
    assert_eq!(
        (&run["state"], &run["failure"]["kind"]),
        (&json!("failed"), &json!("permission")),
        "{run:#}"
    );

    // One that passes is waited for.
    let slow_down = Effect::Status(StatusFault {
        status: 429,
        retry_after_s: Some(60),
        ..StatusFault::default()
    });
    rig.simulator
        .inject(Fault::new("wiz.graphql.rerunReport", slow_down));
    let run = service.succeed(&id).await;
    assert_eq!((codes(&run).len(), &run["attempts"]), (0, &json!(1)));
    assert_eq!(runs_in_wiz(&rig).len(), 2);
}

#[tokio::test]
async fn a_report_that_is_being_made_is_waited_for_when_another_rerun_is_refused() {
    let rig = Rig::with(SimulatorSettings {
        generator: generator(0),
        report_duration: Duration::from_hours(1),
        ..SimulatorSettings::default()
    })
    .await;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    rig.clock.advance(Duration::from_hours(1));
    service.end_of(&run).await;
    // A run that is cancelled leaves its order at Wiz.
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    service
        .call(Method::POST, &format!("/api/v1/runs/{run}/cancel"), None)
        .await;
    service.end_of(&run).await;
    rig.simulator.generate(generator(0));
    rig.simulator.inject(too_soon());
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    rig.clock.advance(Duration::from_hours(1));
    let run = service.end_of(&run).await;
    assert_eq!(
        (&run["state"], codes(&run)),
        (&json!("succeeded"), vec!["report_reused".to_owned()]),
        "{run:#}"
    );
    let runs = runs_in_wiz(&rig);
    assert_eq!(
        (runs.len(), &run["certificate"]["report_run_id"]),
        (2, &json!(runs[1]))
    );
}

#[tokio::test]
async fn a_choice_that_is_none_is_refused() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    for method in [Method::PUT, Method::GET] {
        let path = format!("{INTEGRATIONS}/{id}/run?report=first");
        let (status, answer) = service.call(method, &path, None).await;
        assert_eq!(
            (status, &answer["errors"][0]["pointer"]),
            (StatusCode::BAD_REQUEST, &json!("?report"))
        );
    }
    assert!(service.runs_of(&id).await.is_empty());
}
