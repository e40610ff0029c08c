//! Pairs of a former installation that are taken into the ledger.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Fault};

use crate::rig::{Rig, Service, ip, labels_by, report, text};

const ONE: (&str, &str, &str, &str) = ("CVE-2024-0001", "vm-1", "10.0.0.1", "High");
const TWO: (&str, &str, &str, &str) = ("CVE-2024-0002", "vm-2", "10.0.0.2", "High");
const GONE: (&str, &str, &str, &str) = ("CVE-2024-0003", "vm-3", "10.0.0.3", "High");

async fn adopt(service: &Service, pairs: Value) -> (StatusCode, Value) {
    service
        .call(Method::POST, "/api/v1/labels/adopt", Some(pairs))
        .await
}

/// All pairs that a report gives.
fn pairs_of(report: &[u8]) -> Value {
    let pairs = labels_by(report).into_keys();
    pairs
        .map(|(ip, context)| json!({"ip": ip, "context": context}))
        .collect()
}

/// What a lost installation left in Fusion.
async fn lose_everything(reports: &[u8]) -> Rig {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(reports);
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    service.stop().await;
    for name in ["test.db", "test.db-wal", "test.db-shm"] {
        std::fs::remove_file(rig.folder().join(name)).ok();
    }
    rig
}

#[tokio::test]
async fn the_next_run_rewrites_what_is_wanted_and_removes_the_rest() {
    let rig = lose_everything(&report(&[ONE, TWO, GONE])).await;
    rig.simulator
        .plant_label(ip("10.0.0.9"), "cve", &["CVE-1999-0001"]);
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let (service, id) = rig.serve_one().await;
    let all = pairs_of(&report(&[ONE, TWO, GONE]));
    let (status, answer) = adopt(&service, all.clone()).await;
    assert_eq!(
        (status, &answer["meta"], &answer["data"]),
        (
            StatusCode::OK,
            &json!({"code": 200, "count": 1}),
            &json!({"adopted": 9, "known": 0})
        )
    );
    assert_eq!(
        adopt(&service, all.clone()).await.1["data"],
        json!({"adopted": 0, "known": 9})
    );

    let path = format!("/api/v1/integrations/context/{id}/addresses/10.0.0.3");
    let (_, why) = service.call(Method::GET, &path, None).await;
    let pair = &why["data"]["labels"][0];
    assert_eq!(
        (&pair["state"], &pair["labels"], &pair["run"]),
        (&json!("in_doubt"), &Value::Null, &Value::Null)
    );

    let run = service.succeed(&id).await;
    assert_eq!(
        (&run["counts"]["changed"], &run["counts"]["removed"]),
        (&json!(6), &json!(3)),
        "{run:#}"
    );
    let mut wanted = rig.wanted();
    wanted.insert(
        (ip("10.0.0.9"), "cve".to_owned()),
        vec!["CVE-1999-0001".to_owned()],
    );
    assert_eq!(rig.simulator.labels(), wanted, "another product's is left alone");
    assert_eq!(rig.simulator.violations(), [""; 0]);

    // What the ledger knows is as it was: nothing is sent again.
    assert_eq!(
        adopt(&service, all).await.1["data"],
        json!({"adopted": 3, "known": 6})
    );
    let run = service.succeed(&id).await;
    assert_eq!(
        (&run["counts"]["changed"], &run["counts"]["unchanged"]),
        (&json!(0), &json!(6))
    );
}

#[tokio::test]
async fn an_adoption_is_on_record() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let given = json!([{"ip": "10.0.0.1", "context": "cve"}, {"ip": "::ffff:10.0.0.1", "context": "cve"}]);
    assert_eq!(
        adopt(&service, given).await.1["data"],
        json!({"adopted": 1, "known": 0})
    );
    let (_, audit) = service
        .call(Method::GET, "/api/v1/audit?action=adopt", None)
        .await;
    let record = &audit["data"][0];
    assert_eq!(
        (&record["class"], &record["user"], &record["new_object"]),
        (
            &json!("integration"),
            &json!("admin"),
            &json!({"adopted": 1, "known": 0, "pairs": ["10.0.0.1 cve"]})
        )
    );
}

#[tokio::test]
async fn a_refusal_does_not_settle_what_was_adopted() {
    let rig = lose_everything(&report(&[ONE])).await;
    let (service, id) = rig.serve_one().await;
    adopt(&service, pairs_of(&report(&[ONE]))).await;
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::RejectRecords { ip: ip("10.0.0.1") }).times(1000));
    service.succeed(&id).await;
    rig.simulator.clear_faults();
    rig.simulator.serve_csv(report(&[TWO]));
    service.succeed(&id).await;
    rig.assert_in_step();
}

#[tokio::test]
async fn faults_are_named_by_their_place_and_nothing_is_adopted() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    let good = json!({"ip": "10.0.0.1", "context": "cve"});
    for (body, name, pointer) in [
        (
            json!([good, good, good, {"ip": "10.0.0", "context": "cve"}]),
            "invalid_body",
            "/3/ip",
        ),
        (
            json!([good, {"ip": "10.0.0.1", "context": "owner"}]),
            "invalid_body",
            "/1/context",
        ),
        (
            json!([{"ip": "10.0.0.1", "context": "cve", "labels": ["CVE-2024-0001"]}]),
            "unknown_member",
            "/0/labels",
        ),
    ] {
        let (status, answer) = adopt(&service, body).await;
        assert_eq!(
            (status, &answer["name"], &answer["errors"][0]["pointer"]),
            (StatusCode::BAD_REQUEST, &json!(name), &json!(pointer)),
            "{answer}"
        );
    }
    let (status, answer) = adopt(&service, vec![good; 10_001].into()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text(&answer["detail"]).contains("10000"), "{answer}");
    let path = format!("/api/v1/integrations/context/{id}/addresses/10.0.0.1");
    assert_eq!(
        service.call(Method::GET, &path, None).await.1["data"]["labels"],
        json!([])
    );
}

#[tokio::test]
async fn without_an_account_there_is_nothing_to_adopt_for() {
    let mut rig = Rig::new().await;
    rig.config.fusion = None;
    let service = rig.serve().await;
    let (status, answer) = adopt(&service, json!([{"ip": "10.0.0.1", "context": "cve"}])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text(&answer["detail"]).contains("NETOSECRET"), "{answer}");
}
