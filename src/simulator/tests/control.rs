//! What a person does to the simulated world by HTTP.

use reqwest::Method;
use serde_json::json;

use super::{CSV, World, body, member};
use crate::simulator::SimulatorSettings;

#[tokio::test]
async fn faults_are_set_and_cleared_by_http() {
    let world = World::new(SimulatorSettings::default()).await;
    let faults = |method| world.request(method, "/simulator/faults");
    let fault = json!({"operation": "wiz.token", "times": 5, "effect": {"status": {"status": 502}}});
    assert_eq!(
        faults(Method::POST).json(&fault).send().await.unwrap().status(),
        204
    );
    assert_eq!(
        faults(Method::POST)
            .json(&json!([fault]))
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(
        faults(Method::POST)
            .json(&json!({"operation": "wiz"}))
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
    let token = || {
        world
            .client
            .post(world.simulator.token_url())
            .form(&world.sign_in())
            .send()
    };
    assert_eq!(token().await.unwrap().status(), 502);
    assert_eq!(faults(Method::DELETE).send().await.unwrap().status(), 204);
    assert_eq!(token().await.unwrap().status(), 200);
    assert_eq!(body(faults(Method::GET).send().await.unwrap()).await, json!([]));
}

#[tokio::test]
async fn a_report_is_given_and_the_state_is_shown() {
    let world = World::new(SimulatorSettings::default()).await;
    let report = |method| world.request(method, "/simulator/report");
    assert_eq!(report(Method::PUT).body(CSV).send().await.unwrap().status(), 204);
    let id = world.create("a", json!(["Name"]), "NONE").await;
    let run = world.finished_run_of(&id).await;
    assert_eq!(run["results"]["count"], 2);
    let state = body(
        world
            .request(Method::GET, "/simulator/state")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(member(&state, "/reports/0/name"), "a");
    assert_eq!(state["reports"][0]["runs"][0]["rows"], 2);
    assert_eq!(state["requests"]["wiz.graphql.reportrun"], 1);
    assert_eq!(state["violations"], json!([]));
    let broken = report(Method::PUT)
        .body(vec![0x1f, 0x8b, 0])
        .send()
        .await
        .unwrap();
    assert_eq!(broken.status(), 400);
    let generated = report(Method::POST).json(&json!({"findings": 10, "header": "legacy41"}));
    assert_eq!(generated.send().await.unwrap().status(), 204);
    assert!(
        world
            .simulator
            .report_csv()
            .starts_with(b"ID,WizURL,Name,CVSSSeverity,HasExploit")
    );
}

#[tokio::test]
async fn labels_are_planted_and_listed() {
    let world = World::new(SimulatorSettings::default()).await;
    let label = json!({"ip": "10.0.0.1", "context": "role", "labels": ["dns"]});
    let planted = world
        .request(Method::PUT, "/simulator/labels")
        .json(&label)
        .send()
        .await
        .unwrap();
    assert_eq!(planted.status(), 204);
    for (query, records) in [
        ("", json!([label])),
        ("?context=role", json!([label])),
        ("?context=cve", json!([])),
    ] {
        let answer = world
            .request(Method::GET, &format!("/simulator/labels{query}"))
            .send()
            .await
            .unwrap();
        assert_eq!(body(answer).await, records);
    }
}
