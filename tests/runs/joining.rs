//! Starts that meet a run under way, dry runs, cancelling, edits and deletes.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use wiz_context::simulator::{Effect, Fault, SimulatorSettings};

use crate::rig::{Rig, generator, report, text};

const INTEGRATIONS: &str = "/api/v1/integrations/context";

/// A rig whose reports take an hour.
async fn slow_rig() -> Rig {
    Rig::with(SimulatorSettings {
        generator: generator(0),
        report_duration: Duration::from_hours(1),
        ..SimulatorSettings::default()
    })
    .await
}

#[tokio::test]
async fn a_dry_run_tells_the_labels_and_changes_nothing() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    let path = format!("{INTEGRATIONS}/{id}/run");
    let (status, answer) = service.call(Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let run = service.end_of(&text(&answer["run"]["id"])).await;
    assert_eq!(
        (&run["state"], &run["dry_run"]),
        (&json!("succeeded"), &json!(true)),
        "{run:#}"
    );
    assert!(rig.simulator.labels().is_empty());
    assert_eq!(service.status_of(&id).await["pairs"], 0, "no facts are in force");

    let (status, answer) = service.call(Method::GET, &path, None).await;
    assert_eq!(
        (status, answer["run"]["id"].clone()),
        (StatusCode::OK, run["id"].clone())
    );
    let wanted = rig.wanted();
    assert_eq!(answer["data"].as_array().unwrap().len(), wanted.len().min(1000));
    assert_eq!(run["counts"]["added"], wanted.len());
}

#[tokio::test]
async fn a_dry_run_that_a_start_joins_becomes_real() {
    let rig = slow_rig().await;
    let (service, id) = rig.serve_one().await;
    let (_, answer) = service
        .call(Method::GET, &format!("{INTEGRATIONS}/{id}/run"), None)
        .await;
    let dry = text(&answer["run"]["id"]);
    service.in_phase(&dry, "waiting_for_report").await;
    assert_eq!(service.start_run(&id).await, dry, "joined");
    let rejecting = format!("{INTEGRATIONS}/{id}/run?if_running=reject");
    let (status, answer) = service.call(Method::PUT, &rejecting, None).await;
    assert_eq!(
        (status, &answer["name"]),
        (StatusCode::CONFLICT, &json!("run_under_way"))
    );
    rig.clock.advance(Duration::from_hours(1));
    let run = service.end_of(&dry).await;
    assert_eq!(
        (&run["state"], &run["dry_run"]),
        (&json!("succeeded"), &json!(false)),
        "{run:#}"
    );
    rig.assert_in_step();
}

#[tokio::test]
async fn a_cancelled_run_ends_and_the_next_one_begins_afresh() {
    let rig = slow_rig().await;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    let (status, answer) = service
        .call(Method::POST, &format!("/api/v1/runs/{run}/cancel"), None)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let ended = service.end_of(&run).await;
    assert_eq!(
        (&ended["state"], &ended["failure"]),
        (&json!("cancelled"), &json!(null)),
        "{ended:#}"
    );
    assert!(rig.simulator.labels().is_empty());
    let (status, _) = service
        .call(Method::POST, &format!("/api/v1/runs/{run}/cancel"), None)
        .await;
    assert_eq!(status, StatusCode::CONFLICT);

    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    rig.clock.advance(Duration::from_hours(1));
    assert_eq!(service.end_of(&run).await["state"], "succeeded");
    rig.assert_in_step();
}

#[tokio::test]
async fn an_edit_of_where_an_integration_points_cancels_its_run_and_other_edits_do_not() {
    let rig = slow_rig().await;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    let patch = async |body| {
        let (status, answer) = service
            .call(Method::PATCH, &format!("{INTEGRATIONS}/{id}"), Some(body))
            .await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    };
    patch(json!({"updateinterval": 100_000})).await;
    assert_eq!(
        service.in_phase(&run, "waiting_for_report").await["state"],
        "running"
    );
    patch(json!({"wiz": {"clientid": "another", "clientsecret": "another"}})).await;
    let run = service.end_of(&run).await;
    assert_eq!(run["state"], "cancelled", "{run:#}");
    assert_eq!(run["cancellation"]["reason"], "edited");
}

#[tokio::test]
async fn a_deleted_integration_ends_its_run_and_its_labels_stay() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let labels = rig.simulator.labels().len();
    rig.simulator.inject(Fault::new(
        "wiz.graphql.reportRun",
        Effect::Slow { seconds: 36_000 },
    ));
    let run = service.start_run(&id).await;
    service.in_phase(&run, "requesting_report").await;
    let (status, _) = service
        .call(Method::DELETE, &format!("{INTEGRATIONS}/{id}"), None)
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(service.end_of(&run).await["state"], "cancelled");
    assert_eq!(rig.simulator.labels().len(), labels);
    assert_eq!(service.runs_of(&id).await.len(), 2, "its runs stay readable");
}

#[tokio::test]
async fn a_stop_gives_the_run_back_and_the_next_start_goes_on_with_the_same_report() {
    let rig = slow_rig().await;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    service.stop().await;
    let service = rig.serve().await;
    rig.clock.advance(Duration::from_hours(1));
    let run = service.end_of(&run).await;
    assert_eq!(
        (&run["state"], &run["attempts"]),
        (&json!("succeeded"), &json!(2)),
        "{run:#}"
    );
    let reports = rig.simulator.reports();
    assert_eq!((reports.len(), reports[0].runs.len()), (1, 1));
    rig.assert_in_step();

    // in the middle of the push
    rig.simulator.generate(generator(30));
    rig.simulator
        .inject(Fault::new("fusion", Effect::Slow { seconds: 100_000 }).after(1));
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    rig.clock.advance(Duration::from_hours(1));
    service.in_phase(&run, "pushing").await;
    service.stop().await;
    rig.simulator.clear_faults();
    let service = rig.serve().await;
    assert_eq!(service.end_of(&run).await["state"], "succeeded");
    assert_eq!(rig.simulator.reports()[0].runs.len(), 2);
    rig.assert_in_step();
}

#[tokio::test]
async fn a_push_that_is_told_to_end_hears_the_answers_that_are_under_way() {
    let rig = Rig::new().await;
    rig.simulator
        .serve_csv(report(&[("CVE-2024-0001", "vm-1", "10.0.0.1", "High")]));
    let (service, id) = rig.serve_one().await;
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::Slow { seconds: 1 }).times(100));
    let run = service.start_run(&id).await;
    service
        .run_once(&run, |_| rig.simulator.requests("fusion.put") > 0)
        .await;
    let (status, _) = service
        .call(Method::POST, &format!("/api/v1/runs/{run}/cancel"), None)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    service.end_of(&run).await;
    let held = rig.simulator.labels();
    let (_, told) = service
        .call(Method::GET, &format!("{INTEGRATIONS}/{id}/labels"), None)
        .await;
    let told = told["data"].as_array().unwrap().len();
    assert_eq!((told, held.len()), (3, 3), "the ledger knows what Fusion holds");
}

#[tokio::test]
async fn a_run_without_a_fusion_account_stays_dry_whoever_joins_it() {
    let mut rig = slow_rig().await;
    rig.config.fusion = None;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    assert_eq!(service.start_run(&id).await, run);
    rig.clock.advance(Duration::from_hours(1));
    let run = service.end_of(&run).await;
    assert_eq!(
        (&run["state"], &run["dry_run"]),
        (&json!("succeeded"), &json!(true)),
        "{run:#}"
    );
    assert_eq!(service.status_of(&id).await["pairs"], 0, "no facts are in force");
}
