//! Calls that a client repeats with the same `Idempotency-Key`.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::service::{INTEGRATIONS, KEY, SECRET, Service, id, integration};

const REPEATED: [(&str, &str); 1] = [("idempotency-key", "0af2b0d0-4c8c-4f0f-9f0e-1d3c3e1b7a10")];

fn is_replayed(answer: &crate::service::Answer) -> bool {
    answer.headers.contains_key("idempotency-replayed")
}

#[tokio::test]
async fn a_repeated_call_is_done_once_and_answered_as_before_also_after_a_restart() {
    let service = Service::start().await;
    let create = async |service: &Service| {
        service
            .call_with(Method::POST, INTEGRATIONS, Some(integration()), &REPEATED)
            .await
    };
    let first = create(&service).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    assert!(!is_replayed(&first));
    let check = |again: crate::service::Answer| {
        assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body));
        for name in ["location", "etag", "content-type"] {
            assert_eq!(again.headers[name], first.headers[name]);
        }
        assert!(is_replayed(&again));
    };
    check(create(&service).await);
    let service = service.restart(Some(KEY)).await;
    check(create(&service).await);
    let listed = service.call(Method::GET, INTEGRATIONS, None).await;
    assert_eq!(listed.body["meta"]["count"], 1);

    service.clock.advance(Duration::from_hours(25));
    let later = create(&service).await;
    assert_eq!(
        later.status,
        StatusCode::CONFLICT,
        "a day later it is a call as any other"
    );
}

#[tokio::test]
async fn another_call_or_body_with_the_key_is_refused_and_another_caller_has_keys_of_its_own() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}/run", id(&created));
    let run = service.call_with(Method::PUT, &path, None, &REPEATED).await;
    assert_eq!(run.status, StatusCode::ACCEPTED);
    let verify = format!("{INTEGRATIONS}/{}/verify", id(&created));
    for (method, path, body) in [
        (Method::PUT, format!("{path}?full=true"), None),
        (Method::PUT, path.clone(), Some(json!({}))),
        (Method::POST, verify, None),
        (Method::POST, INTEGRATIONS.to_owned(), Some(integration())),
    ] {
        let other = service.call_with(method, &path, body, &REPEATED).await;
        assert_eq!(
            (other.status, &other.body["name"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_mismatch")),
            "{path}"
        );
    }
    let (_, key) = service.make_key("other", "operator").await;
    let other = service
        .call_as(Some(&key), Method::PUT, &path, None, &REPEATED)
        .await;
    assert!(other.status == StatusCode::ACCEPTED && !is_replayed(&other));
}

#[tokio::test]
async fn a_refusal_is_not_kept_and_calls_that_change_nothing_take_no_notice() {
    let service = Service::start().await;
    let refused = service
        .call_with(Method::POST, INTEGRATIONS, Some(json!({})), &REPEATED)
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let right = service
        .call_with(Method::POST, INTEGRATIONS, Some(integration()), &REPEATED)
        .await;
    assert_eq!(right.status, StatusCode::CREATED, "{}", right.body);
    let search = json!({"start": -60, "end": 0});
    for _ in 0..2 {
        let found = service
            .call_with(
                Method::POST,
                "/api/v1/search/audit",
                Some(search.clone()),
                &REPEATED,
            )
            .await;
        assert!(found.status == StatusCode::OK && !is_replayed(&found));
    }
    let path = format!("{INTEGRATIONS}/{}", id(&right));
    let read = service.call_with(Method::GET, &path, None, &REPEATED).await;
    assert_eq!(read.status, StatusCode::OK);
    for wrong in ["", "a b", &"a".repeat(256)] {
        let headers = [("idempotency-key", wrong)];
        let refused = service
            .call_with(Method::POST, INTEGRATIONS, Some(integration()), &headers)
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let large = json!({"name": "x".repeat(2 << 20)});
    let refused = service
        .call_with(
            Method::POST,
            INTEGRATIONS,
            Some(large),
            &[("idempotency-key", "large")],
        )
        .await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_answer_to_a_new_key_comes_again_without_the_key() {
    let service = Service::start().await;
    let make = async || {
        let body = json!({"name": "job", "role": "readonly"});
        service
            .call_with(Method::POST, "/api/v1/api-keys", Some(body), &REPEATED)
            .await
    };
    let (first, again) = (make().await, make().await);
    assert_eq!(
        (first.status, again.status),
        (StatusCode::CREATED, StatusCode::CREATED)
    );
    let mut known = first.body.clone();
    assert!(known["data"].as_object_mut().unwrap().remove("key").is_some());
    assert_eq!(again.body, known);
    assert!(is_replayed(&again));
}

fn wait_for_run(path: &str) -> Request<Body> {
    Request::builder()
        .method(Method::PUT)
        .uri(path)
        .header("authorization", format!("Bearer {KEY}"))
        .header("prefer", "wait=60")
        .header("idempotency-key", REPEATED[0].1)
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn while_the_first_call_is_under_way_a_repetition_is_put_off_even_when_the_client_is_gone() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}/run", id(&created));
    // A client that waits for a run, which nobody works on here, and hangs up.
    let mut first = Box::pin(service.router.clone().oneshot(wait_for_run(&path)));
    loop {
        assert!((&mut first).now_or_never().is_none());
        let runs = service.call(Method::GET, "/api/v1/runs", None).await;
        if runs.body["meta"]["count"] == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(first);
    let again = service.call_with(Method::PUT, &path, None, &REPEATED).await;
    assert_eq!(
        (again.status, &again.body["name"]),
        (StatusCode::CONFLICT, &json!("request_under_way")),
        "{}",
        again.body
    );
    assert_eq!(again.headers["retry-after"], "1");
    let other = service
        .call_with(Method::POST, INTEGRATIONS, Some(integration()), &REPEATED)
        .await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);

    // The time that it prefers to wait passes, and the answer is there for who comes back.
    let kept = loop {
        service.clock.advance(Duration::from_secs(61));
        let again = service.send(wait_for_run(&path)).await;
        if again.status != StatusCode::CONFLICT {
            break again;
        }
        tokio::task::yield_now().await;
    };
    assert!(
        kept.status == StatusCode::ACCEPTED && is_replayed(&kept),
        "{}",
        kept.body
    );
    assert_eq!(kept.headers["preference-applied"], "wait=60");
    let runs = service.call(Method::GET, "/api/v1/runs", None).await;
    assert_eq!(runs.body["meta"]["count"], 1);
}

#[tokio::test]
async fn nothing_secret_of_a_call_is_kept() {
    let service = Service::start().await;
    service
        .call_with(Method::POST, INTEGRATIONS, Some(integration()), &REPEATED)
        .await;
    let body = json!({"name": "job", "role": "readonly"});
    let made = service
        .call_with(
            Method::POST,
            "/api/v1/api-keys",
            Some(body),
            &[("idempotency-key", "second")],
        )
        .await;
    let key = made.body["data"]["key"].as_str().unwrap().to_owned();
    for needle in [SECRET, &key, KEY] {
        for (name, bytes) in service.files() {
            let found = memchr::memmem::find(&bytes, needle.as_bytes());
            assert!(found.is_none(), "{name} tells {needle}");
        }
    }
    let kept: Value = made.body;
    assert!(kept["data"]["key"].is_string());
}
