//! History that is kept no longer goes by itself, and nothing with it that anybody needs.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rig::{Rig, Service, report, text};

const DAY: Duration = Duration::from_hours(24);

/// Lets days pass, each in its turn.
fn days(rig: &Rig, days: u32) {
    for _ in 0..days {
        rig.clock.advance(DAY);
    }
}

/// Waits until an integration has so many runs.
async fn until_runs(rig: &Rig, service: &Service, id: &str, number: usize) -> Vec<Value> {
    loop {
        let runs = service.runs_of(id).await;
        assert!(runs.len() >= number, "{runs:#?}");
        if runs.len() == number {
            return runs;
        }
        rig.clock.sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn runs_go_with_the_days_and_the_last_success_stays() {
    let rig = Rig::new().await;
    let row = ("CVE-2024-0001", "vm-1", "10.0.0.1", "High");
    rig.simulator.serve_csv(report(&[row]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let success = service.succeed(&id).await;
    let page = format!("/api/v1/integrations/context/{id}/runs?limit=1");
    let (_, answer) = service.call(Method::GET, &page, None).await;
    let cursor = text(&answer["meta"]["next"]);

    days(&rig, 60);
    let path = format!("/api/v1/integrations/context/{id}");
    let wrong = json!({"wiz": {"clientsecret": "another"}});
    let (status, answer) = service.call(Method::PATCH, &path, Some(wrong)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let failed = service.run(&id).await;
    assert_eq!(failed["failure"]["kind"], "credentials", "{failed:#}");
    assert_eq!(service.runs_of(&id).await.len(), 3, "none is old enough");

    days(&rig, 31);
    let runs = until_runs(&rig, &service, &id, 2).await;
    assert_eq!(
        (&runs[0]["id"], &runs[1]["id"]),
        (&failed["id"], &success["id"]),
        "the last success stays, however old"
    );
    let status = service.status_of(&id).await;
    assert_eq!(
        (&status["last_success"]["id"], &status["pairs"]),
        (&success["id"], &json!(3))
    );
    assert!(status["label_age_s"].as_u64() > Some(90 * 86_400), "{status:#}");
    let (code, answer) = service
        .call(Method::GET, &format!("{page}&cursor={cursor}"), None)
        .await;
    assert_eq!((code, &answer["data"]), (StatusCode::OK, &json!([])));
    rig.assert_in_step();
    service.stop().await;
}

#[tokio::test]
async fn at_the_start_the_runs_beyond_the_number_go() {
    let mut rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    let mut last = Value::Null;
    for _ in 0..4 {
        last = service.succeed(&id).await;
    }
    service.stop().await;
    rig.config.retention.runs = 2;
    let service = rig.serve().await;
    let runs = until_runs(&rig, &service, &id, 2).await;
    assert_eq!(runs[0]["id"], last["id"]);
    let (_, audit) = service.call(Method::GET, "/api/v1/audit", None).await;
    let ended = |record: &&Value| record["action"] == "run_end";
    assert_eq!(
        audit["data"].as_array().unwrap().iter().filter(ended).count(),
        4,
        "the audit log is kept for ever"
    );
    service.stop().await;

    rig.config.retention.audit_age = Some(DAY);
    days(&rig, 3);
    let service = rig.serve().await;
    loop {
        let (_, audit) = service.call(Method::GET, "/api/v1/audit", None).await;
        if audit["data"].as_array().unwrap().len() == 1 {
            break;
        }
        rig.clock.sleep(Duration::from_millis(200)).await;
    }
    service.succeed(&id).await;
    rig.assert_in_step();
}
