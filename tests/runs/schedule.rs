//! The schedule: which runs start by themselves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Rig, Service};

/// The runs of an integration once there are so many and none is under way.
async fn after(rig: &Rig, service: &Service, id: &str, number: usize) -> Vec<Value> {
    loop {
        let runs = service.runs_of(id).await;
        assert!(runs.len() <= number, "{runs:#?}");
        if runs.len() == number && runs.iter().all(|run| !run["finished_at"].is_null()) {
            return runs;
        }
        rig.clock.sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn auto_update_runs_at_once_and_then_once_an_interval() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let mut body = rig.integration("wiz1");
    body["enabled"] = json!(true);
    let id = service.create(body).await;
    let runs = after(&rig, &service, &id, 1).await;
    assert_eq!(
        (&runs[0]["trigger"], &runs[0]["state"]),
        (&json!("schedule"), &json!("succeeded")),
        "{runs:#?}"
    );
    rig.clock.advance(Duration::from_hours(23));
    assert_eq!(after(&rig, &service, &id, 1).await.len(), 1);
    rig.clock.advance(Duration::from_mins(80));
    after(&rig, &service, &id, 2).await;
    service.stop().await;

    // overdue after a stop: once
    rig.clock.advance(Duration::from_hours(100));
    let service = rig.serve().await;
    after(&rig, &service, &id, 3).await;
    rig.clock.advance(Duration::from_hours(1));
    let runs = after(&rig, &service, &id, 3).await;
    assert!(runs.iter().all(|run| run["state"] == "succeeded"), "{runs:#?}");
    rig.assert_in_step();
}

#[tokio::test]
async fn without_auto_update_nothing_starts_by_itself() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    rig.clock.advance(Duration::from_hours(1000));
    let run = service.succeed(&id).await;
    assert_eq!(run["trigger"], "manual");
    assert_eq!(service.runs_of(&id).await.len(), 1);
    assert_eq!(service.status_of(&id).await["next_run_at"], json!(null));
}
