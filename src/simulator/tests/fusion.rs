//! Fusion's sign-in and labels.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{World, body};
use crate::simulator::{Effect, Fault, SimulatorSettings};

fn record(ip: &str, labels: &[&str]) -> Value {
    json!({"ip": ip, "context": "cve", "labels": labels})
}

fn pair(ip: &str) -> (IpAddr, String) {
    (ip.parse().unwrap(), "cve".to_owned())
}

#[tokio::test]
async fn a_statement_gets_one_token_once() {
    let world = World::new(SimulatorSettings::default()).await;
    let jwt = world.jwt("a");
    let answer = world.send_jwt(&jwt).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(body(answer).await["expires_in"], 3600);
    let again = world.send_jwt(&jwt).await;
    assert_eq!(again.status(), 401);
    let error = json!({"status": 401, "name": "Unauthorized", "message": "the jti was used before"});
    assert_eq!(body(again).await, error);
    assert_eq!(world.send_jwt("nonsense").await.status(), 401);
}

#[tokio::test]
async fn labels_are_written_replaced_read_and_removed() {
    let world = World::new(SimulatorSettings::default()).await;
    let token = world.fusion_token().await;
    let records = json!([
        record("10.0.0.1", &["CVE-2023-0001"]),
        record("2001:db8::1", &["CVE-2023-0002"])
    ]);
    let (status, answer) = world.bulk(&token, Method::PUT, records).await;
    assert_eq!(
        (status, &answer["meta"]),
        (201, &json!({"code": 201, "count": 2}))
    );
    world
        .bulk(
            &token,
            Method::PUT,
            json!([record("10.0.0.1", &["CVE-2024-9999"])]),
        )
        .await;
    let labels = world.simulator.labels();
    assert_eq!(labels[&pair("10.0.0.1")], ["CVE-2024-9999"]);
    assert_eq!((labels.len(), world.simulator.labels_put()), (2, 3));

    for path in ["all/cve", "2001%3Adb8%3A%3A1", "2001%3Adb8%3A%3A1/cve"] {
        let request = world
            .request(Method::GET, &format!("/api/v1/labels/ips/{path}"))
            .bearer_auth(&token);
        let answer = body(request.send().await.unwrap()).await;
        let records = answer["data"].as_array().unwrap();
        assert_eq!(
            records.last(),
            Some(&record("2001:db8::1", &["CVE-2023-0002"])),
            "{path}"
        );
    }
    let gone = json!([{"ip": "10.0.0.1", "context": "cve"}]);
    let (status, _) = world.bulk(&token, Method::DELETE, gone).await;
    assert_eq!((status, world.simulator.labels_deleted()), (200, 1));
    let request = |method| {
        world
            .request(method, "/api/v1/labels/ips/2001%3Adb8%3A%3A1/cve")
            .bearer_auth(&token)
    };
    assert_eq!(request(Method::DELETE).send().await.unwrap().status(), 204);
    assert!(world.simulator.labels().is_empty());
    let one = world
        .request(Method::POST, "/api/v1/labels/ips")
        .bearer_auth(&token);
    assert_eq!(
        one.json(&record("10.0.0.9", &["x"]))
            .send()
            .await
            .unwrap()
            .status(),
        201
    );
    assert!(world.simulator.violations().is_empty());
}

#[tokio::test]
async fn bodies_and_bearers_that_break_a_rule_change_nothing() {
    let settings = SimulatorSettings {
        fusion_body_bytes: 1_000,
        ..SimulatorSettings::default()
    };
    let world = World::new(settings).await;
    let token = world.fusion_token().await;
    let good = json!([record("10.0.0.1", &["x"])]);
    assert_eq!(world.bulk("unknown", Method::PUT, good.clone()).await.0, 401);
    for (records, status) in [
        (json!([record("10.0.0.1", &[])]), 400),
        (
            json!([record("10.0.0.1", &["x"]), record("10.0.0.1", &["y"])]),
            400,
        ),
        (
            (0..100)
                .map(|at| record(&format!("10.0.0.{at}"), &["x"]))
                .collect(),
            413,
        ),
    ] {
        let (found, answer) = world.bulk(&token, Method::PUT, records).await;
        assert_eq!((found, &answer["status"]), (status, &json!(status)));
    }
    world.clock.advance(Duration::from_hours(1));
    assert_eq!(world.bulk(&token, Method::PUT, good).await.0, 401);
    assert!(world.simulator.labels().is_empty());
}

#[tokio::test]
async fn deleting_what_another_product_wrote_is_a_violation_unless_it_was_replaced() {
    let world = World::new(SimulatorSettings::default()).await;
    let token = world.fusion_token().await;
    for ip in ["10.0.0.1", "10.0.0.2"] {
        world
            .simulator
            .plant_label(ip.parse().unwrap(), "cve", &["CVE-1999-0001"]);
    }
    world
        .bulk(
            &token,
            Method::PUT,
            json!([record("10.0.0.1", &["CVE-2023-0001"])]),
        )
        .await;
    world
        .bulk(
            &token,
            Method::DELETE,
            json!([{"ip": "10.0.0.1", "context": "cve"}]),
        )
        .await;
    assert!(world.simulator.violations().is_empty());
    world
        .bulk(
            &token,
            Method::DELETE,
            json!([{"ip": "10.0.0.2", "context": "cve"}]),
        )
        .await;
    assert!(world.simulator.violations()[0].contains("10.0.0.2"));
}

#[tokio::test]
async fn bodies_that_hold_the_same_pair_at_once_are_a_violation() {
    let settings = SimulatorSettings {
        fusion_token_life: Duration::from_hours(100_000),
        ..SimulatorSettings::default()
    };
    let world = World::new(settings).await;
    let token = world.fusion_token().await;
    world
        .simulator
        .inject(Fault::new("fusion.put", Effect::Slow { seconds: 3_600 }));
    let records = json!([record("10.0.0.1", &["x"])]);
    let mut slow = std::pin::pin!(world.bulk(&token, Method::PUT, records.clone()));
    while world.simulator.requests("fusion.put") == 0 {
        assert!(futures_util::poll!(slow.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(world.bulk(&token, Method::PUT, records.clone()).await.0, 201);
    assert!(world.simulator.violations()[0].contains("10.0.0.1, cve"));
    assert_eq!(world.hurry(slow).await.0, 201);
    assert_eq!(world.simulator.violations().len(), 1);
}

#[tokio::test]
async fn a_count_of_changes_only_leaves_out_what_was_so_before() {
    let settings = SimulatorSettings {
        count_only_changes: true,
        ..SimulatorSettings::default()
    };
    let world = World::new(settings).await;
    let token = world.fusion_token().await;
    for count in [1, 0] {
        let (_, answer) = world
            .bulk(&token, Method::PUT, json!([record("10.0.0.1", &["x"])]))
            .await;
        assert_eq!(answer["meta"]["count"], count);
    }
}
