//! Plans that can be read: what they tell, and how long they are kept.

use crate::rig::{Rig, assert_same, labels_by, report, text};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::holds::{assets, plan};

#[tokio::test]
async fn a_dry_run_tells_what_would_be_kept_back_and_keeps_nothing() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 50));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(assets(0, 0));
    let path = format!("/api/v1/integrations/context/{id}/run");
    let (_, answer) = service.call(Method::GET, &path, None).await;
    let run = service.end_of(&text(&answer["run"]["id"])).await;
    assert_eq!(
        (&run["state"], &run["counts"]["held"]),
        (&json!("succeeded"), &json!(150)),
        "{run:#}"
    );
    assert_eq!(plan(&service, &run).await["data"][0]["change"], "hold");
    assert_eq!(service.status_of(&id).await["held"], 0);
    assert_eq!(service.approve(&run).await.1["name"], "plan_replaced");
    assert_same(&rig.simulator.labels(), &labels_by(&assets(0, 50)));
}

#[tokio::test]
async fn plans_are_kept_for_the_newest_run_of_each_kind() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 3));
    let (service, id) = rig.serve_one().await;
    let first = service.succeed(&id).await;
    assert_eq!(plan(&service, &first).await["totals"]["added"], 9);
    rig.simulator.serve_csv(assets(1, 3));
    let second = service.succeed(&id).await;
    let steps = plan(&service, &second).await["data"].clone();
    let changes: Vec<_> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["change"])
        .collect();
    assert_eq!(changes, ["remove", "remove", "remove"]);
    let path = format!("/api/v1/runs/{}/plan", text(&first["id"]));
    let (code, answer) = service.call(Method::GET, &path, None).await;
    assert_eq!((code, &answer["name"]), (StatusCode::GONE, &json!("gone")));
}

#[tokio::test]
async fn the_plan_of_a_report_without_findings_tells_what_its_totals_tell() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator
        .serve_csv(report(&[("CVE-2024-0001", "vm-1", "10.0.0.1", "High")]));
    service.succeed(&one).await;
    rig.simulator
        .serve_csv(report(&[("CVE-2024-0002", "vm-2", "10.0.0.1", "High")]));
    service.succeed(&two).await;
    rig.simulator.serve_csv(assets(0, 0));
    let run = service.run(&one).await;
    assert_eq!(run["state"], "held", "{run:#}");
    let plan = plan(&service, &run).await;
    let steps = plan["data"].as_array().unwrap();
    let changes = steps.iter().filter(|step| step["change"] == "change").count();
    assert_eq!(json!(changes), plan["totals"]["changed"], "{plan:#}");
}
