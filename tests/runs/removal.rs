//! The deletion of an integration together with its labels.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use wiz_context::simulator::{Effect, Fault};

use crate::rig::{Rig, Service, assert_same, labels_by, report, text};

const SHARED: (&str, &str, &str, &str) = ("CVE-2024-0001", "vm-1", "10.0.0.1", "High");
const OWN: (&str, &str, &str, &str) = ("CVE-2024-0002", "vm-2", "10.0.0.2", "High");
const OTHER: (&str, &str, &str, &str) = ("CVE-2024-0003", "vm-3", "10.0.0.1", "Critical");

fn path(id: &str) -> String {
    format!("/api/v1/integrations/context/{id}")
}

/// Asks for the removal; gives its run.
async fn remove(service: &Service, id: &str) -> String {
    let path = format!("{}?labels=remove", path(id));
    let (status, answer) = service.call(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(answer["run"]["trigger"], "removal");
    text(&answer["run"]["id"])
}

#[tokio::test]
async fn labels_that_nobody_else_wants_go_before_the_integration_does() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator.serve_csv(report(&[SHARED, OWN]));
    service.succeed(&one).await;
    rig.simulator.serve_csv(report(&[OTHER]));
    service.succeed(&two).await;
    assert_eq!(rig.simulator.labels().len(), 6);

    let run = service.end_of(&remove(&service, &one).await).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    assert_same(&rig.simulator.labels(), &labels_by(&report(&[OTHER])));
    assert_eq!(rig.simulator.violations(), [""; 0]);
    assert_eq!(
        service.call(Method::GET, &path(&one), None).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(service.runs_of(&one).await.len(), 2, "its runs stay readable");
    let (_, audit) = service
        .call(Method::GET, &format!("/api/v1/audit?original_id={one}"), None)
        .await;
    let deleted = audit["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|record| record["action"] == "delete")
        .unwrap();
    assert_eq!(
        (&deleted["user"], &deleted["original_object"]["name"]),
        (&json!("admin"), &json!("one"))
    );
    service.succeed(&two).await;
    rig.assert_in_step();
}

#[tokio::test]
async fn while_labels_are_removed_nothing_else_can_be_done() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[OWN]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator
        .inject(Fault::new("fusion.delete", Effect::status(503)).times(3));
    let run = remove(&service, &id).await;
    assert_eq!(remove(&service, &id).await, run, "joined");
    let patch = Some(json!({"enabled": true}));
    for (method, path, body) in [
        (Method::PATCH, path(&id), patch),
        (Method::PUT, path(&id), Some(rig.integration("wiz2"))),
        (Method::PUT, format!("{}/run", path(&id)), None),
        (Method::GET, format!("{}/run", path(&id)), None),
    ] {
        let (status, answer) = service.call(method, &path, body).await;
        assert_eq!(
            (status, &answer["name"]),
            (StatusCode::CONFLICT, &json!("run_under_way")),
            "{answer}"
        );
        assert!(text(&answer["detail"]).contains(&run));
    }
    assert_eq!(service.end_of(&run).await["state"], "succeeded");
    assert!(rig.simulator.labels().is_empty());
}

#[tokio::test]
async fn a_run_under_way_ends_before_the_labels_are_removed() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[OWN]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator
        .inject(Fault::new("wiz", Effect::Slow { seconds: 1000 }).after(1));
    let first = service.start_run(&id).await;
    service
        .run_once(&first, |run| run["phase"] == "requesting_report")
        .await;
    let removal = service.end_of(&remove(&service, &id).await).await;
    assert_eq!(removal["state"], "succeeded", "{removal:#}");
    let first = service.end_of(&first).await;
    assert_eq!(
        (&first["state"], &first["cancellation"]["reason"]),
        (&json!("cancelled"), &json!("the integration was deleted"))
    );
    assert!(rig.simulator.labels().is_empty());
}

#[tokio::test]
async fn a_removal_that_fails_leaves_the_integration_and_the_next_run_its_labels() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[OWN]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator
        .inject(Fault::new("fusion.token", Effect::status(401)).times(100));
    rig.clock.advance(Duration::from_hours(2));
    let run = service.end_of(&remove(&service, &id).await).await;
    assert_eq!(
        (&run["state"], &run["failure"]["kind"]),
        (&json!("failed"), &json!("credentials")),
        "{run:#}"
    );
    assert_same(&rig.simulator.labels(), &labels_by(&report(&[OWN])));
    rig.simulator.clear_faults();
    service.succeed(&id).await;
    rig.assert_in_step();
    assert_eq!(
        service.end_of(&remove(&service, &id).await).await["state"],
        "succeeded"
    );
    assert!(rig.simulator.labels().is_empty());
}

#[tokio::test]
async fn a_removal_goes_on_after_a_crash() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[OWN, SHARED]));
    let service = rig.serve_crashing().await;
    let id = service.create(rig.integration("wiz1")).await;
    service.succeed(&id).await;
    rig.simulator
        .inject(Fault::new("fusion.delete", Effect::ResponseLost).times(1));
    let run = remove(&service, &id).await;
    service
        .run_once(&run, |_| rig.simulator.requests("fusion.delete") > 0)
        .await;
    service.crash();
    let service = rig.serve().await;
    assert_eq!(service.end_of(&run).await["state"], "succeeded");
    assert!(rig.simulator.labels().is_empty());
    assert_eq!(
        service.call(Method::GET, &path(&id), None).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn labels_can_only_be_removed_from_an_account_that_is_set() {
    let mut rig = Rig::new().await;
    rig.config.fusion = None;
    let (service, id) = rig.serve_one().await;
    let path = format!("{}?labels=remove", path(&id));
    let (status, answer) = service.call(Method::DELETE, &path, None).await;
    assert_eq!(
        (status, &answer["errors"][0]["pointer"]),
        (StatusCode::BAD_REQUEST, &json!("?labels"))
    );
    assert!(text(&answer["detail"]).contains("NETOSECRET"));
}

/// Removes the labels of an integration, which does not succeed, until the run is cancelled or the caller deletes.
async fn stuck_removal(rig: &Rig, service: &Service, id: &str) -> String {
    rig.simulator
        .inject(Fault::new("fusion.delete", Effect::status(503)).times(1000));
    let run = remove(service, id).await;
    service
        .run_once(&run, |_| rig.simulator.requests("fusion.delete") > 0)
        .await;
    run
}

#[tokio::test]
async fn labels_stay_where_a_removal_gives_way_to_a_deletion_that_keeps_them() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator.serve_csv(report(&[OWN]));
    service.succeed(&one).await;
    rig.simulator.serve_csv(report(&[OTHER]));
    service.succeed(&two).await;
    let before = rig.simulator.labels();
    let run = stuck_removal(&rig, &service, &one).await;
    let (status, _) = service.call(Method::DELETE, &path(&one), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    service.end_of(&run).await;
    rig.simulator.clear_faults();
    service.succeed(&two).await;
    assert_same(&rig.simulator.labels(), &before);
}

#[tokio::test]
async fn after_a_cancelled_removal_an_empty_report_still_waits_for_a_person() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[OWN, SHARED]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let before = rig.simulator.labels();
    let run = stuck_removal(&rig, &service, &id).await;
    let cancel = format!("/api/v1/runs/{run}/cancel");
    service.call(Method::POST, &cancel, None).await;
    assert_eq!(service.end_of(&run).await["state"], "cancelled");
    rig.simulator.clear_faults();
    rig.simulator.serve_csv(report(&[]));
    let run = service.run(&id).await;
    assert_eq!(run["state"], "held", "{run:#}");
    assert_same(&rig.simulator.labels(), &before);
}

#[tokio::test]
async fn after_a_cancelled_removal_no_other_integration_goes_on_with_it() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator.serve_csv(report(&[OWN]));
    service.succeed(&one).await;
    rig.simulator.serve_csv(report(&[OTHER]));
    service.succeed(&two).await;
    let before = rig.simulator.labels();
    let run = stuck_removal(&rig, &service, &one).await;
    let cancel = format!("/api/v1/runs/{run}/cancel");
    service.call(Method::POST, &cancel, None).await;
    assert_eq!(service.end_of(&run).await["state"], "cancelled");
    rig.simulator.clear_faults();
    service.succeed(&two).await;
    assert_same(&rig.simulator.labels(), &before);
}

#[tokio::test]
async fn an_integration_stays_while_fusion_refuses_to_remove_its_labels() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[OWN, SHARED]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let ip = crate::rig::ip("10.0.0.2");
    rig.simulator
        .inject(Fault::new("fusion.delete", Effect::RejectRecords { ip }).times(1000));
    let run = service.end_of(&remove(&service, &id).await).await;
    assert!(!rig.simulator.labels().is_empty(), "some were refused");
    let (status, _) = service.call(Method::GET, &path(&id), None).await;
    assert_eq!(status, StatusCode::OK, "its labels are still there: {run:#}");
}

#[tokio::test]
async fn a_secret_that_does_not_open_stops_a_report_and_no_removal() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[SHARED, OWN]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let database = sqlx::SqlitePool::connect(rig.config.database.as_str())
        .await
        .unwrap();
    sqlx::query("UPDATE integrations SET client_secret = x'00'")
        .execute(&database)
        .await
        .unwrap();
    database.close().await;
    let run = service.run(&id).await;
    assert_eq!(run["failure"]["kind"], "credentials", "{run:#}");

    let run = service.end_of(&remove(&service, &id).await).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    assert!(rig.simulator.labels().is_empty());
}
