//! What goes wrong on demand, as a client sees it.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use serde_json::json;

use super::{CSV, World, body, member};
use crate::simulator::{Effect, Ending, Fault, SimulatorSettings, StatusFault};

const CREATE: &str = "mutation CreateReport($input: CreateReportInput!) { createReport(input: $input) { report { id name } } }";

fn input() -> serde_json::Value {
    json!({"input": {"name": "a", "type": "VULNERABILITIES"}})
}

#[tokio::test]
async fn a_cut_call_is_not_carried_out_and_a_lost_answer_is() {
    let world = World::new(SimulatorSettings::default()).await;
    let token = world.wiz_token().await;
    world
        .simulator
        .inject(Fault::new("wiz.graphql.CreateReport", Effect::Cut));
    assert!(world.send_graphql(&token, CREATE, input()).await.is_err());
    assert!(world.simulator.reports().is_empty());
    world
        .simulator
        .inject(Fault::new("wiz.graphql.createReport", Effect::ResponseLost));
    assert!(world.send_graphql(&token, CREATE, input()).await.is_err());
    assert_eq!(world.simulator.reports().len(), 1);

    let token = world.fusion_token().await;
    let records = json!([{"ip": "10.0.0.1", "context": "cve", "labels": ["x"]}]);
    let put = || {
        world
            .request(Method::PUT, "/api/v1/labels/ips/bulk")
            .bearer_auth(&token)
            .json(&records)
            .send()
    };
    world.simulator.inject(Fault::new("fusion.put", Effect::Cut));
    assert!(put().await.is_err() && world.simulator.labels().is_empty());
    world
        .simulator
        .inject(Fault::new("fusion.put", Effect::ResponseLost));
    assert!(put().await.is_err() && world.simulator.labels().len() == 1);
    assert_eq!(put().await.unwrap().status(), 201);

    // Its status acknowledges a call, so that one without a body was carried out too.
    world
        .simulator
        .inject(Fault::new("fusion.delete", Effect::EmptyBody));
    let deletion = world
        .request(Method::DELETE, "/api/v1/labels/ips/bulk")
        .bearer_auth(&token)
        .json(&json!([{"ip": "10.0.0.1", "context": "cve"}]));
    let answer = deletion.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "");
    assert!(world.simulator.labels().is_empty());
}

#[tokio::test]
async fn a_status_comes_with_what_goes_with_it() {
    let world = World::new(SimulatorSettings::default()).await;
    let token = world.wiz_token().await;
    let fault = StatusFault {
        status: 429,
        retry_after_s: Some(7),
        extension_retry_after_s: Some(9),
        ..StatusFault::default()
    };
    world
        .simulator
        .inject(Fault::new("wiz.graphql", Effect::Status(fault)));
    let answer = world.send_graphql(&token, CREATE, input()).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[header::RETRY_AFTER]),
        (429, &"7".parse().unwrap())
    );
    let extensions = body(answer).await["errors"][0]["extensions"].take();
    assert_eq!(
        extensions,
        json!({"code": "RATE_LIMIT_EXCEEDED", "retryAfter": 9})
    );
    for (operation, path) in [
        ("wiz.token", "/oauth/token"),
        ("fusion.token", "/api/v1/auth/token"),
    ] {
        world.simulator.inject(Fault::new(operation, Effect::status(503)));
        assert_eq!(
            world.request(Method::POST, path).send().await.unwrap().status(),
            503
        );
    }
}

#[tokio::test]
async fn errors_can_hide_behind_a_200() {
    let world = World::new(SimulatorSettings::default()).await;
    let hidden = |carried_out| Effect::ErrorIn200 {
        code: "INTERNAL".to_owned(),
        carried_out,
    };
    for (effect, reports, data) in [
        (hidden(false), 0, json!(null)),
        (hidden(true), 1, json!(null)),
        (
            Effect::PartialData,
            2,
            json!({"createReport": {"report": {"id": "…", "name": null}}}),
        ),
    ] {
        world
            .simulator
            .inject(Fault::new("wiz.graphql.createReport", effect));
        let (status, mut answer) = world.graphql(CREATE, input()).await;
        assert_eq!((status, world.simulator.reports().len()), (200, reports));
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INTERNAL");
        if let Some(id) = answer.pointer_mut("/data/createReport/report/id") {
            *id = json!("…");
        }
        assert_eq!(answer["data"], data);
    }
}

#[tokio::test]
async fn token_answers_can_lack_the_token_or_everything() {
    let world = World::new(SimulatorSettings::default()).await;
    let ask = || {
        world
            .client
            .post(world.simulator.token_url())
            .form(&world.sign_in())
            .send()
    };
    world
        .simulator
        .inject(Fault::new("wiz.token", Effect::TokenWithoutAccessToken));
    let answer = ask().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        body(answer).await,
        json!({"expires_in": 86_400, "token_type": "Bearer"})
    );
    world.simulator.inject(Fault::new("wiz.token", Effect::EmptyBody));
    assert_eq!(body(ask().await.unwrap()).await, json!(""));
}

#[tokio::test]
async fn a_slow_answer_comes_when_the_clock_says_so() {
    let world = World::new(SimulatorSettings::default()).await;
    world
        .simulator
        .inject(Fault::new("wiz.token", Effect::Slow { seconds: 86_400 }));
    let started = world.clock.now();
    assert!(world.hurry(world.wiz_token()).await.starts_with("wiz-token-"));
    assert!(world.clock.now().since(started) >= Duration::from_hours(24));
}

#[tokio::test]
async fn a_download_that_breaks_off_can_be_gone_on_with() {
    let world = World::new(SimulatorSettings::default()).await;
    let report = world.create("a", json!(null), "GZIP").await;
    let url = member(&world.finished_run_of(&report).await, "/url");
    let whole = world
        .client
        .get(&url)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let effect = Effect::Truncate {
        bytes: 20_000,
        ending: Ending::Cut,
    };
    world.simulator.inject(Fault::new("wiz.report_file", effect));
    let mut answer = world.client.get(&url).send().await.unwrap();
    assert_eq!(answer.content_length(), Some(u64::try_from(whole.len()).unwrap()));
    let etag = answer.headers()[header::ETAG].clone();
    let mut got = Vec::new();
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => got.extend_from_slice(&chunk),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken && got.len() == 20_000, "{} bytes", got.len());
    let rest = world
        .client
        .get(&url)
        .header(header::RANGE, "bytes=20000-")
        .header(header::IF_RANGE, etag);
    let rest = rest.send().await.unwrap();
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    got.extend_from_slice(&rest.bytes().await.unwrap());
    assert!(got == whole, "the parts make the whole");
}

#[tokio::test]
async fn a_shortened_file_can_look_whole() {
    let world = World::new(SimulatorSettings::default()).await;
    world.simulator.serve_csv(CSV);
    let report = world.create("a", json!(null), "NONE").await;
    let url = member(&world.finished_run_of(&report).await, "/url");
    for (ending, length) in [(Ending::Honest, Some("30")), (Ending::Unannounced, None)] {
        world.simulator.inject(Fault::new(
            "wiz.report_file",
            Effect::Truncate { bytes: 30, ending },
        ));
        let answer = world.client.get(&url).send().await.unwrap();
        let announced = answer
            .headers()
            .get(header::CONTENT_LENGTH)
            .map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(announced.as_deref(), length);
        assert_eq!(answer.text().await.unwrap(), CSV[..30]);
    }
}

#[tokio::test]
async fn a_run_can_fail_expire_or_miscount() {
    let world = World::new(SimulatorSettings::default()).await;
    world.simulator.serve_csv(CSV);
    let report = world.create("a", json!(null), "NONE").await;
    for (effect, status, count) in [
        (
            Effect::ReportFailed {
                reason: "out of disk".to_owned(),
            },
            "FAILED",
            json!(null),
        ),
        (Effect::ReportExpired, "EXPIRED", json!(null)),
        (Effect::CountPlus { rows: 3 }, "COMPLETED", json!({"count": 5})),
        (Effect::CountNull, "COMPLETED", json!(null)),
    ] {
        world
            .simulator
            .inject(Fault::new("wiz.report_run", effect.clone()));
        world.rerun(&report).await;
        let run = world.finished_run_of(&report).await;
        assert_eq!(
            (&run["status"], &run["results"]),
            (&json!(status), &count),
            "{effect:?}"
        );
        let reason = matches!(effect, Effect::ReportFailed { .. }).then_some("out of disk");
        assert_eq!(run["failedReason"], json!(reason));
    }
}

#[tokio::test]
async fn a_record_can_spoil_the_bodies_that_hold_it() {
    let world = World::new(SimulatorSettings::default()).await;
    let token = world.fusion_token().await;
    let reject = Effect::RejectRecords {
        ip: "10.0.0.2".parse().unwrap(),
    };
    world.simulator.inject(Fault::new("fusion.put", reject).times(2));
    let records = |ips: &[&str]| {
        ips.iter()
            .map(|ip| json!({"ip": ip, "context": "cve", "labels": ["x"]}))
            .collect()
    };
    for (ips, status) in [
        (&["10.0.0.1", "10.0.0.2"][..], 400),
        (&["10.0.0.1"], 201),
        (&["10.0.0.2"], 400),
        (&["10.0.0.2"], 201),
    ] {
        assert_eq!(
            world.bulk(&token, Method::PUT, records(ips)).await.0,
            status,
            "{ips:?}"
        );
    }
}
