//! What HTTP promises of each call: versions, types, methods, compression, places.

use std::io::Read as _;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::document::DOCUMENT;
use crate::service::{INTEGRATIONS, KEY, Service, id};

#[tokio::test]
async fn who_has_the_version_already_is_told_so_without_a_body() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    let document = service.call(Method::GET, DOCUMENT, None).await;
    let tag = document.headers["etag"].to_str().unwrap().to_owned();
    for (path, tag) in [(path.as_str(), "\"1\""), (DOCUMENT, tag.as_str())] {
        let weak = format!("W/{tag}");
        let listed = format!("\"0\", {tag}");
        for known in [tag, &weak, &listed, "*"] {
            for method in [Method::GET, Method::HEAD] {
                let same = service
                    .call_with(method, path, None, &[("if-none-match", known)])
                    .await;
                assert_eq!(
                    (same.status, &same.body),
                    (StatusCode::NOT_MODIFIED, &json!("")),
                    "{path} {known}"
                );
                assert_eq!(same.headers["etag"], tag);
            }
        }
        let other = service
            .call_with(Method::GET, path, None, &[("if-none-match", "\"0\"")])
            .await;
        assert_eq!(
            (other.status, &other.headers["etag"]),
            (StatusCode::OK, &tag.parse().unwrap())
        );
    }
}

#[tokio::test]
async fn a_change_of_another_version_is_refused_and_a_weak_tag_meets_none() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    let change = async |method: Method, tag: &str| {
        let body = (method == Method::PATCH).then(|| json!({"enabled": true}));
        let answer = service.call_with(method, &path, body, &[("if-match", tag)]).await;
        answer.status
    };
    for tag in ["\"2\"", "W/\"1\"", "1", "\"2\", W/\"1\""] {
        for method in [Method::PATCH, Method::DELETE] {
            assert_eq!(
                change(method, tag).await,
                StatusCode::PRECONDITION_FAILED,
                "{tag}"
            );
        }
    }
    assert_eq!(change(Method::PATCH, "\"7\", \"1\"").await, StatusCode::OK);
    assert_eq!(change(Method::PATCH, "*").await, StatusCode::OK);
    assert_eq!(change(Method::DELETE, "\"3\"").await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_answer_that_the_caller_does_not_take_is_not_made() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}/run", id(&created));
    let refused = service
        .call_with(Method::PUT, &path, None, &[("accept", "text/html")])
        .await;
    assert_eq!(
        (refused.status, &refused.body["name"]),
        (StatusCode::NOT_ACCEPTABLE, &json!("not_acceptable"))
    );
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    let runs = service.call(Method::GET, "/api/v1/runs", None).await;
    assert_eq!(runs.body["meta"]["count"], 0, "nothing was started");
    for (path, accept, status) in [
        ("/api/v1/runs", "application/*;q=0.5, text/html", StatusCode::OK),
        (
            "/api/v1/runs",
            "application/json;q=0, */*",
            StatusCode::NOT_ACCEPTABLE,
        ),
        ("/api/v1/audit/export", "application/x-ndjson", StatusCode::OK),
        (
            "/api/v1/audit/export",
            "application/json",
            StatusCode::NOT_ACCEPTABLE,
        ),
        ("/metrics", "text/plain;version=0.0.4", StatusCode::OK),
    ] {
        let answer = service
            .call_with(Method::GET, path, None, &[("accept", accept)])
            .await;
        assert_eq!(answer.status, status, "{path} {accept}");
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let service = Service::start().await;
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let request = Request::builder()
            .method(Method::POST)
            .uri(INTEGRATIONS)
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", media);
        let refused = service.send(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(
            (refused.status, &refused.body["name"]),
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                &json!("unsupported_media_type")
            ),
            "{media}"
        );
    }
}

#[tokio::test]
async fn the_methods_of_a_path_are_told_by_options_and_where_another_is_refused() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    let run = format!("{path}/run");
    for (path, methods) in [
        (INTEGRATIONS, "GET,HEAD,POST,OPTIONS"),
        (path.as_str(), "GET,HEAD,PUT,PATCH,DELETE,OPTIONS"),
        ("/api/v1/audit", "GET,HEAD,OPTIONS"),
        ("/api/v1/search/audit", "POST,OPTIONS"),
        ("/healthz", "GET,HEAD,OPTIONS"),
        (DOCUMENT, "GET,HEAD,OPTIONS"),
        (run.as_str(), "GET,PUT,OPTIONS"),
    ] {
        let sorted = |methods: &str| {
            let mut methods: Vec<_> = methods.split(',').map(str::to_owned).collect();
            methods.sort();
            methods
        };
        let told = service.call_as(None, Method::OPTIONS, path, None, &[]).await;
        assert_eq!(
            (told.status, &told.body),
            (StatusCode::NO_CONTENT, &json!("")),
            "{path}"
        );
        assert_eq!(
            sorted(told.headers["allow"].to_str().unwrap()),
            sorted(methods),
            "{path}"
        );
        let refused = service.call(Method::TRACE, path, None).await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(
            sorted(refused.headers["allow"].to_str().unwrap()),
            sorted(methods),
            "{path}"
        );
    }
    let nowhere = service.call(Method::OPTIONS, "/api/v1/nowhere", None).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let service = Service::start().await;
    let created = service.create("").await;
    for path in [
        INTEGRATIONS,
        &format!("{INTEGRATIONS}/{}", id(&created)),
        "/api/v1/audit",
        "/metrics",
    ] {
        let (head, get) = (
            service.call(Method::HEAD, path, None).await,
            service.call(Method::GET, path, None).await,
        );
        assert_eq!((head.status, &head.body), (StatusCode::OK, &json!("")), "{path}");
        assert_eq!(head.headers["content-type"], get.headers["content-type"]);
        assert_eq!(head.headers.get("etag"), get.headers.get("etag"));
    }
    let nothing = service
        .call(
            Method::HEAD,
            "/api/v1/runs/01a20d2a-3996-73a0-af57-c27859874f3e",
            None,
        )
        .await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn answers_are_compressed_for_who_takes_that() {
    let service = Service::start().await;
    service.create("").await;
    for path in [
        "/api/v1/audit",
        "/api/v1/audit/export",
        DOCUMENT,
        "/api/v1/nowhere",
    ] {
        let plain = service.call(Method::GET, path, None).await;
        assert_eq!(plain.headers.get("content-encoding"), None);
        let request = Request::builder()
            .uri(path)
            .header("authorization", format!("Bearer {KEY}"))
            .header("accept-encoding", "gzip")
            .header("x-request-id", plain.headers["x-request-id"].clone());
        let request = request.body(Body::empty()).unwrap();
        let packed = service.router.clone().oneshot(request).await.unwrap();
        assert_eq!(packed.headers()["content-encoding"], "gzip", "{path}");
        assert_eq!(packed.headers()["vary"], "accept-encoding", "{path}");
        let bytes = packed.into_body().collect().await.unwrap().to_bytes();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*bytes)
            .read_to_string(&mut text)
            .unwrap();
        let unpacked = serde_json::from_str(&text).unwrap_or(Value::String(text));
        assert_eq!(unpacked, plain.body, "{path}");
    }
}

#[tokio::test]
async fn the_id_of_a_request_is_given_back_when_it_is_a_plain_word() {
    let service = Service::start().await;
    for (given, kept) in [
        ("my-id_1.2", true),
        ("a b", false),
        ("", false),
        (&*"a".repeat(129), false),
    ] {
        let answer = service
            .call_with(Method::GET, "/api/v1/nowhere", None, &[("x-request-id", given)])
            .await;
        let told = answer.headers["x-request-id"].to_str().unwrap();
        assert_eq!(told == given, kept, "{given}");
        assert!(!told.is_empty());
        assert_eq!(answer.body["request_id"], told);
    }
}

#[tokio::test]
async fn what_was_made_says_where_it_is_and_a_preference_that_was_met_is_told() {
    let service = Service::start_at_pace(10_000).await;
    let created = service.create("?run=true").await;
    let run = created.body["run"]["id"].as_str().unwrap();
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    assert_eq!(created.headers["location"], path);
    assert_eq!(
        service.call(Method::GET, &path, None).await.status,
        StatusCode::OK
    );
    let waited = service
        .call_with(
            Method::PUT,
            &format!("{path}/run"),
            None,
            &[("prefer", "wait=1, return=minimal")],
        )
        .await;
    assert_eq!(waited.headers["preference-applied"], "wait=1");
    let place = waited.headers["location"].to_str().unwrap();
    assert_eq!(place, format!("/api/v1/runs/{run}"));
    assert_eq!(
        service.call(Method::GET, place, None).await.body["data"]["id"],
        run
    );
    let at_once = service.call(Method::PUT, &format!("{path}/run"), None).await;
    assert_eq!(at_once.headers.get("preference-applied"), None);
}

#[tokio::test]
async fn a_switch_without_a_word_is_no_order() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    for (method, call) in [
        (Method::PUT, "run?full="),
        (Method::PUT, "run?full"),
        (Method::PUT, "run?full=yes"),
        (Method::GET, "run?fresh="),
        (Method::POST, "verify?repair="),
    ] {
        let answer = service.call(method, &format!("{path}/{call}"), None).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{call}");
        let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert_eq!(detail, "must be `true` or `false`", "{call}");
    }
    let runs = service.call(Method::GET, &format!("{path}/runs"), None).await;
    assert_eq!(runs.body["meta"]["count"], 0);
}
