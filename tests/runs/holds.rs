//! Removals that are kept back until a person approves them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Fault};

use crate::rig::{Labels, Rig, Service, assert_same, labels_by, report, text};

/// The assets `from..to`, each with an address of its own and three pairs.
pub(crate) fn assets(from: u8, to: u8) -> Vec<u8> {
    let rows: Vec<_> = (from..to)
        .map(|number| (format!("vm-{number}"), format!("10.0.0.{number}")))
        .collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|(asset, ip)| ("CVE-2024-0001", asset.as_str(), ip.as_str(), "High"))
        .collect();
    report(&rows)
}

pub(crate) async fn plan(service: &Service, run: &Value) -> Value {
    let path = format!("/api/v1/runs/{}/plan?limit=1000", text(&run["id"]));
    let (status, plan) = service.call(Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    plan
}

/// What a warning of a run says.
fn warning(run: &Value, code: &str) -> String {
    let warnings = run["warnings"].as_array().unwrap();
    let warning = warnings.iter().find(|warning| warning["code"] == code).unwrap();
    text(&warning["message"])
}

/// What Fusion holds when the removals are kept back: what it held, with the new values over it.
fn with(mut held: Labels, new: &[u8]) -> Labels {
    held.extend(labels_by(new));
    held
}

#[tokio::test]
async fn a_great_part_of_the_labels_goes_only_when_a_person_approves_it() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 50));
    let (service, id) = rig.serve_one().await;
    let first = service.succeed(&id).await;

    // 20 of 50 assets are gone, two are new.
    rig.simulator.serve_csv(assets(20, 52));
    let run = service.run(&id).await;
    assert_eq!(run["state"], "held", "{run:#}");
    assert_eq!(
        (
            &run["counts"]["held"],
            &run["counts"]["removed"],
            &run["counts"]["added"]
        ),
        (&json!(60), &json!(0), &json!(6))
    );
    assert!(warning(&run, "removals_held").contains("20 %"));
    assert_same(
        &rig.simulator.labels(),
        &with(labels_by(&assets(0, 50)), &assets(20, 52)),
    );
    let status = service.status_of(&id).await;
    assert_eq!(
        (&status["held"], &status["last_success"]["id"]),
        (&json!(60), &first["id"])
    );
    let path = format!("/api/v1/integrations/context/{id}/labels?ip=10.0.0.0");
    let (_, labels) = service.call(Method::GET, &path, None).await;
    assert_eq!(
        labels["meta"]["count"], 3,
        "what is held is among the labels: {labels}"
    );
    let plan = plan(&service, &run).await;
    let steps = plan["data"].as_array().unwrap();
    let of = |change: &str| steps.iter().filter(|step| step["change"] == change).count();
    assert_eq!((of("hold"), of("add"), of("remove")), (60, 6, 0));
    assert_eq!(
        (&steps[0]["ip"], &steps[0]["after"], &steps[0]["before"]),
        (&json!("10.0.0.0"), &Value::Null, &json!(["CVE-2024-0001"]))
    );

    let (code, answer) = service.approve(&run).await;
    assert_eq!(code, StatusCode::ACCEPTED, "{answer}");
    let approval = service.end_of(&text(&answer["run"]["id"])).await;
    assert_eq!(
        (
            &approval["state"],
            &approval["trigger"],
            &approval["approved_by"],
            &approval["counts"]["removed"]
        ),
        (
            &json!("succeeded"),
            &json!("approval"),
            &json!("admin"),
            &json!(60)
        ),
        "{approval:#}"
    );
    rig.assert_in_step();
    assert_eq!(service.status_of(&id).await["held"], 0);
    let (_, audit) = service
        .call(Method::GET, "/api/v1/audit?action=run_approve", None)
        .await;
    let told = &audit["data"][0];
    assert_eq!(
        (
            &audit["meta"]["count"],
            &told["user"],
            &told["original_object"]["id"],
            &told["new_object"]["id"]
        ),
        (&json!(1), &json!("admin"), &run["id"], &approval["id"]),
        "{audit:#}"
    );
    let (code, answer) = service.approve(&run).await;
    assert_eq!(
        (code, &answer["name"]),
        (StatusCode::CONFLICT, &json!("plan_replaced"))
    );
}

#[tokio::test]
async fn the_next_run_judges_afresh_what_was_kept_back() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 50));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(assets(20, 50));
    let held = service.run(&id).await;
    assert_eq!(held["state"], "held", "{held:#}");

    // As many are kept back by the next run, for they count as the integration's still.
    let again = service.run(&id).await;
    assert_eq!(
        (&again["state"], &again["counts"]["held"]),
        (&json!("held"), &json!(60)),
        "{again:#}"
    );
    assert_eq!(
        service.approve(&held).await.0,
        StatusCode::CONFLICT,
        "the later run has it"
    );

    // Most came back: what is left to remove is little.
    rig.simulator.serve_csv(assets(5, 50));
    let run = service.succeed(&id).await;
    assert_eq!(run["counts"]["removed"], 15);
    rig.assert_in_step();
}

#[tokio::test]
async fn a_report_without_findings_changes_nothing_until_it_is_approved() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 3));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let before = rig.simulator.labels();

    rig.simulator.serve_csv(assets(0, 0));
    let run = service.run(&id).await;
    assert_eq!(
        (&run["state"], &run["counts"]["held"]),
        (&json!("held"), &json!(9)),
        "{run:#}"
    );
    let warning = warning(&run, "no_findings");
    assert!(
        warning.contains("read:vulnerabilities") && warning.contains("project"),
        "{warning}"
    );
    assert_same(&rig.simulator.labels(), &before);
    let status = service.status_of(&id).await;
    assert_eq!(
        (&status["pairs"], &status["held"]),
        (&json!(9), &json!(9)),
        "its facts stay"
    );

    // Also over a restart.
    service.stop().await;
    let service = rig.serve().await;
    let (code, answer) = service.approve(&run).await;
    assert_eq!(code, StatusCode::ACCEPTED, "{answer}");
    let approval = service.end_of(&text(&answer["run"]["id"])).await;
    assert_eq!(approval["state"], "succeeded", "{approval:#}");
    assert!(rig.simulator.labels().is_empty());
    rig.assert_in_step();
    let status = service.status_of(&id).await;
    assert_eq!(
        (
            &status["held"],
            &status["last_success"]["id"],
            status["label_age_s"].is_u64()
        ),
        (&json!(0), &approval["id"], true)
    );
    assert_eq!(
        service.run(&id).await["state"],
        "succeeded",
        "nothing is left to lose"
    );
}

#[tokio::test]
async fn findings_that_come_back_replace_what_was_kept_back() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 3));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(assets(0, 0));
    let held = service.run(&id).await;
    assert_eq!(held["state"], "held", "{held:#}");
    rig.simulator.serve_csv(assets(1, 4));
    service.succeed(&id).await;
    rig.assert_in_step();
    assert_eq!(service.status_of(&id).await["held"], 0);
    assert_eq!(service.approve(&held).await.1["name"], "plan_replaced");
}

#[tokio::test]
async fn what_is_kept_back_for_one_integration_no_other_removes() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator.serve_csv(assets(0, 50));
    service.succeed(&one).await;
    rig.simulator.serve_csv(assets(100, 150));
    service.succeed(&two).await;

    rig.simulator.serve_csv(assets(25, 50));
    let held = service.run(&one).await;
    assert_eq!(held["state"], "held", "{held:#}");
    rig.simulator.serve_csv(assets(100, 149));
    let run = service.succeed(&two).await;
    assert_eq!(run["counts"]["removed"], 3, "its own only");
    assert_eq!(service.status_of(&one).await["held"], 75);
    assert_eq!(rig.simulator.labels().len(), 150 + 147);

    let (_, answer) = service.approve(&held).await;
    let approval = service.end_of(&text(&answer["run"]["id"])).await;
    assert_eq!(approval["state"], "succeeded", "{approval:#}");
    let mut wanted = labels_by(&assets(25, 50));
    wanted.extend(labels_by(&assets(100, 149)));
    assert_same(&rig.simulator.labels(), &wanted);
}

#[tokio::test]
async fn the_share_that_goes_without_asking_is_a_setting() {
    let mut rig = Rig::new().await;
    rig.config.hold_removals_percent = 100;
    rig.simulator.serve_csv(assets(0, 50));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(assets(49, 50));
    service.succeed(&id).await;
    rig.assert_in_step();
}

async fn delete(service: &Service, id: &str) {
    let path = format!("/api/v1/integrations/context/{id}");
    assert_eq!(
        service.call(Method::DELETE, &path, None).await.0,
        StatusCode::NO_CONTENT
    );
}

async fn cancel(service: &Service, run: &str) {
    let path = format!("/api/v1/runs/{run}/cancel");
    assert_eq!(
        service.call(Method::POST, &path, None).await.0,
        StatusCode::ACCEPTED
    );
    service.end_of(run).await;
}

#[tokio::test]
async fn what_was_kept_back_for_a_deleted_integration_does_not_stay_for_ever() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator.serve_csv(assets(0, 50));
    service.succeed(&one).await;
    rig.simulator.serve_csv(assets(20, 50));
    assert_eq!(service.run(&one).await["state"], "held");
    // The assets 0 to 20 moved to the other integration, with the same labels.
    rig.simulator.serve_csv(assets(0, 20));
    service.succeed(&two).await;
    delete(&service, &one).await;
    rig.simulator.serve_csv(assets(5, 20));
    let run = service.succeed(&two).await;
    let mut wanted = labels_by(&assets(5, 20));
    wanted.extend(labels_by(&assets(20, 50)));
    assert_same(&rig.simulator.labels(), &wanted);
    assert_eq!(run["counts"]["removed"], 15);
}

#[tokio::test]
async fn a_cancelled_approval_removes_nothing_more() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator.serve_csv(assets(0, 50));
    service.succeed(&one).await;
    rig.simulator.serve_csv(assets(100, 150));
    service.succeed(&two).await;
    rig.simulator.serve_csv(assets(25, 50));
    let held = service.run(&one).await;
    assert_eq!(held["state"], "held", "{held:#}");
    rig.simulator
        .inject(Fault::new("fusion.delete", Effect::status(503)).times(1000));
    let (_, answer) = service.approve(&held).await;
    let approval = text(&answer["run"]["id"]);
    service
        .run_once(&approval, |_| rig.simulator.requests("fusion.delete") > 0)
        .await;
    cancel(&service, &approval).await;
    rig.simulator.clear_faults();
    rig.simulator.serve_csv(assets(100, 150));
    service.succeed(&two).await;
    assert_eq!(
        rig.simulator.labels().len(),
        300,
        "another integration's run removed them"
    );
}

#[tokio::test]
async fn an_approval_of_a_deleted_integration_is_not_found() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 50));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(assets(20, 50));
    let held = service.run(&id).await;
    delete(&service, &id).await;
    assert_eq!(
        service.approve(&held).await.0,
        StatusCode::NOT_FOUND,
        "so says its documentation"
    );
}

#[tokio::test]
async fn what_a_cancelled_run_keeps_back_is_on_the_audit_log() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 50));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(assets(20, 52));
    let puts = rig.simulator.requests("fusion.put");
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::status(503)).times(1000));
    let run = service.start_run(&id).await;
    service
        .run_once(&run, |_| rig.simulator.requests("fusion.put") > puts)
        .await;
    cancel(&service, &run).await;
    assert_eq!(service.status_of(&id).await["held"], 60);
    let path = format!("/api/v1/audit?original_id={id}");
    let (_, audit) = service.call(Method::GET, &path, None).await;
    let mut actions = audit["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| &record["action"]);
    assert!(
        actions.any(|action| action == "run_hold"),
        "60 pairs are held, unrecorded"
    );
}
