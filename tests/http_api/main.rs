//! The HTTP API on a real database: what a client sees.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod document;
mod every_call;
mod guide;
mod idempotency;
mod keys;
mod pages;
mod roles;
mod secret;
mod semantics;
mod service;
mod unaudited;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;
use wiz_context::http::openapi_json;

use crate::service::{INTEGRATIONS, Service, id, integration, pointers};

#[tokio::test]
async fn create_and_run_answers_as_fusion_does_with_the_run_beside() {
    let service = Service::start().await;
    let created = service.create("?run=true").await;
    let data = &created.body["data"][0];
    assert_eq!(created.body["meta"], json!({"code": 201, "count": 1}));
    assert_eq!(
        data["wiz"]["apiendpoint"], "https://api.us17.app.wiz.io/graphql",
        "what was pasted is put right"
    );
    assert_eq!(data["wiz"].get("clientsecret"), None);
    assert_eq!(created.body["run"]["state"], "queued");
    assert_eq!(data["status"]["active_run"]["id"], created.body["run"]["id"]);
    assert_eq!(
        created.headers["location"],
        format!("{INTEGRATIONS}/{}", id(&created))
    );
    assert_eq!(created.headers["etag"], "\"1\"");
    let listed = service.call(Method::GET, INTEGRATIONS, None).await;
    assert_eq!(listed.body["data"][0]["name"], "wiz1");
    let status = service
        .call(
            Method::GET,
            &format!("{INTEGRATIONS}/{}/status", id(&created)),
            None,
        )
        .await;
    assert_eq!(status.body["data"]["state"], "queued");
    assert_eq!(status.body["data"], listed.body["data"][0]["status"]);
}

#[tokio::test]
async fn a_wrong_body_names_every_member_that_is_wrong() {
    let service = Service::start().await;
    let body = json!({
        "name": "wiz/1", "type": "aws", "enabled": "yes", "updateinterval": 3600, "colour": "red",
        "wiz": {"apiendpoint": "https://me:pw@api.us1.app.wiz.io", "tokenurl": "https://evil.example/oauth/token", "clientid": ""},
    });
    let refused = service.call(Method::POST, INTEGRATIONS, Some(body)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    assert_eq!(refused.body["name"], "unknown_member");
    assert_eq!(refused.body["message"], refused.body["detail"]);
    let expected = [
        "/colour",
        "/name",
        "/type",
        "/enabled",
        "/updateinterval",
        "/wiz/apiendpoint",
        "/wiz/tokenurl",
        "/wiz/clientid",
        "/wiz/clientsecret",
    ];
    assert_eq!(pointers(&refused), expected);
    for body in [json!([]), json!({}), json!({"wiz": 1})] {
        let refused = service.call(Method::POST, INTEGRATIONS, Some(body)).await;
        assert_eq!(
            (refused.status, &refused.body["name"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_body"))
        );
    }
    let taken = service.create("").await;
    let again = service
        .call(Method::POST, INTEGRATIONS, Some(integration()))
        .await;
    assert_eq!(
        (again.status, pointers(&again)),
        (StatusCode::CONFLICT, vec!["/name"])
    );
    assert_eq!(
        service.call(Method::GET, INTEGRATIONS, None).await.body["meta"]["count"],
        1,
        "{}",
        id(&taken)
    );
}

#[tokio::test]
async fn masks_and_empty_secrets_are_no_secrets() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    for secret in [json!(null), json!(""), json!("  "), json!("****"), json!(7)] {
        let mut body = integration();
        body["wiz"]["clientsecret"] = secret.clone();
        let merged = json!({"wiz": {"clientsecret": secret}});
        for (method, path, body) in [
            (Method::POST, INTEGRATIONS, body.clone()),
            (Method::PUT, &path, body),
            (Method::PATCH, &path, merged),
        ] {
            let refused = service.call(method.clone(), path, Some(body)).await;
            assert_eq!(
                (refused.status, pointers(&refused)),
                (StatusCode::BAD_REQUEST, vec!["/wiz/clientsecret"]),
                "{method} {secret}"
            );
        }
    }
}

#[tokio::test]
async fn what_was_read_can_be_sent_back_and_a_secret_is_kept_until_the_account_changes() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    let mut body = created.body["data"][0].clone();
    body["enabled"] = json!(false);
    let replaced = service.call(Method::PUT, &path, Some(body.clone())).await;
    assert_eq!(
        (replaced.status, &replaced.body["data"]["enabled"]),
        (StatusCode::OK, &json!(false)),
        "{}",
        replaced.body
    );
    assert_eq!(replaced.body["data"]["status"]["next_run_at"], json!(null));
    body["wiz"]["clientid"] = json!("another");
    let refused = service.call(Method::PUT, &path, Some(body)).await;
    assert_eq!(
        (refused.status, pointers(&refused)),
        (StatusCode::BAD_REQUEST, vec!["/wiz/clientsecret"])
    );
    let change = Some(json!({"updateinterval": 90_000}));
    let stale = service
        .call_with(Method::PATCH, &path, change.clone(), &[("if-match", "\"1\"")])
        .await;
    assert_eq!(
        (stale.status, &stale.body["name"]),
        (StatusCode::PRECONDITION_FAILED, &json!("precondition_failed"))
    );
    let patched = service
        .call_with(Method::PATCH, &path, change, &[("if-match", "\"2\"")])
        .await;
    assert_eq!(
        (patched.status, &patched.body["data"]["updateinterval"]),
        (StatusCode::OK, &json!(90_000))
    );
    assert_eq!(patched.headers["etag"], "\"3\"");
}

#[tokio::test]
async fn a_run_under_way_is_joined_and_a_dry_one_becomes_real() {
    let service = Service::start_at_pace(10_000).await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}/run", id(&created));
    let dry = service.call(Method::GET, &path, None).await;
    assert_eq!(
        (dry.status, &dry.body["run"]["dry_run"]),
        (StatusCode::ACCEPTED, &json!(true))
    );
    assert_eq!(dry.body["data"], json!([]));
    let real = service.call(Method::PUT, &path, None).await;
    assert_eq!(
        (&real.body["run"]["id"], &real.body["run"]["dry_run"]),
        (&dry.body["run"]["id"], &json!(false))
    );
    assert_eq!(
        real.headers["location"],
        format!("/api/v1/runs/{}", dry.body["run"]["id"].as_str().unwrap())
    );
    let rejected = service
        .call(Method::PUT, &format!("{path}?if_running=reject"), None)
        .await;
    assert_eq!(
        (rejected.status, &rejected.body["name"]),
        (StatusCode::CONFLICT, &json!("run_under_way"))
    );
    let waited = service
        .call_with(Method::PUT, &path, None, &[("prefer", "wait=60")])
        .await;
    assert_eq!(
        (waited.status, &waited.headers["preference-applied"]),
        (StatusCode::ACCEPTED, &"wait=60".parse().unwrap())
    );
    let head = service.call(Method::HEAD, &path, None).await;
    assert_eq!(
        (head.status, head.headers.get("allow")),
        (
            StatusCode::METHOD_NOT_ALLOWED,
            Some(&"GET,PUT,OPTIONS".parse().unwrap())
        )
    );
}

#[tokio::test]
async fn a_queued_run_is_cancelled_at_once_and_never_twice() {
    let service = Service::start().await;
    let created = service.create("?run=true").await;
    let run = created.body["run"]["id"].as_str().unwrap();
    let cancelled = service
        .call(Method::POST, &format!("/api/v1/runs/{run}/cancel"), None)
        .await;
    assert_eq!(
        (cancelled.status, &cancelled.body["run"]["state"]),
        (StatusCode::ACCEPTED, &json!("cancelled"))
    );
    let again = service
        .call(Method::POST, &format!("/api/v1/runs/{run}/cancel"), None)
        .await;
    assert_eq!(
        (again.status, &again.body["name"]),
        (StatusCode::CONFLICT, &json!("run_ended"))
    );
    assert_eq!(again.body["detail"], "The run has ended already, as `cancelled`.");
    let listed = service.call(Method::GET, "/api/v1/runs", None).await;
    assert_eq!(listed.body["data"][0]["cancellation"]["user"], "admin");
}

#[tokio::test]
async fn an_edit_of_where_an_integration_points_cancels_its_run() {
    let service = Service::start().await;
    let created = service.create("?run=true").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    let moved = json!({"wiz": {"apiendpoint": "https://api.us2.app.wiz.io"}});
    assert_eq!(
        service.call(Method::PATCH, &path, Some(moved)).await.status,
        StatusCode::OK
    );
    let run = created.body["run"]["id"].as_str().unwrap();
    let run = service
        .call(Method::GET, &format!("/api/v1/runs/{run}"), None)
        .await;
    assert_eq!(
        (
            &run.body["data"]["state"],
            &run.body["data"]["cancellation"]["reason"]
        ),
        (&json!("cancelled"), &json!("edited"))
    );
}

#[tokio::test]
async fn a_deleted_integration_leaves_its_runs_and_its_audit_records() {
    let service = Service::start().await;
    let created = service.create("?run=true").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    assert_eq!(
        service.call(Method::DELETE, &path, None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        service.call(Method::GET, &path, None).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        service
            .call(Method::GET, &format!("{path}/runs"), None)
            .await
            .body["data"][0]["state"],
        "cancelled"
    );
    let search = json!({"start": -60, "end": 0, "search": format!("original_id == {}", id(&created))});
    let found = service
        .call(Method::POST, "/api/v1/search/audit", Some(search))
        .await;
    let actions: Vec<_> = found.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["action"].clone())
        .collect();
    assert_eq!(
        actions,
        ["delete", "run_end", "run_cancel", "run_start", "create"]
    );
    let record = found.body["data"][0]["id"].as_str().unwrap();
    let fetched = service
        .call(Method::GET, &format!("/api/v1/fetch/audit/{record}"), None)
        .await;
    assert_eq!(fetched.body["data"], found.body["data"][0]);
}

#[tokio::test]
async fn without_a_key_only_the_health_calls_and_the_document_answer() {
    let service = Service::start().await;
    let get = |path: &str, key: &str| {
        let request = Request::builder().uri(path).header("authorization", key);
        request.body(Body::empty()).unwrap()
    };
    for path in ["/healthz", "/readyz", "/api/v1/openapi.json"] {
        assert_eq!(service.send(get(path, "")).await.status, StatusCode::OK, "{path}");
    }
    for path in [INTEGRATIONS, "/api/v1/runs", "/api/v1/audit", "/metrics"] {
        for key in ["", "Bearer wrong", "Basic YTpi"] {
            let refused = service.send(get(path, key)).await;
            assert_eq!(
                (refused.status, &refused.body["name"]),
                (StatusCode::UNAUTHORIZED, &json!("unauthorized")),
                "{path}"
            );
            assert_eq!(refused.headers["www-authenticate"], "Bearer");
        }
    }
    service
        .call(Method::from_bytes(b"INVENTED").unwrap(), INTEGRATIONS, None)
        .await;
    let metrics = service.call(Method::GET, "/metrics", None).await;
    let metrics = metrics.body.as_str().unwrap();
    assert!(metrics.contains("wiz_context_integrations 0"));
    assert!(metrics.contains(r#"method="other""#) && !metrics.contains("INVENTED"));
}

#[tokio::test]
async fn what_is_wrong_outside_of_a_body_is_a_problem_too() {
    let service = Service::start().await;
    let unknown = service.call(Method::GET, "/api/v1/runs?colour=red", None).await;
    assert_eq!(
        (&unknown.body["name"], pointers(&unknown)),
        (&json!("unknown_member"), vec!["?colour"])
    );
    let limit = service.call(Method::GET, "/api/v1/runs?limit=0", None).await;
    assert_eq!(
        (limit.status, pointers(&limit)),
        (StatusCode::BAD_REQUEST, vec!["?limit"])
    );
    assert_eq!(
        service.call(Method::GET, "/api/v1/runs/no-id", None).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        service.call(Method::GET, "/nowhere", None).await.body["name"],
        "not_found"
    );
    let wrong = service.call(Method::PUT, "/api/v1/runs", None).await;
    assert_eq!(
        (wrong.status, &wrong.body["name"]),
        (StatusCode::METHOD_NOT_ALLOWED, &json!("method_not_allowed"))
    );
    let typeless = service
        .call_with(
            Method::POST,
            INTEGRATIONS,
            None,
            &[("content-type", "text/plain")],
        )
        .await;
    assert_eq!(typeless.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = json!({"name": "x".repeat(2 << 20)});
    assert_eq!(
        service.call(Method::POST, INTEGRATIONS, Some(large)).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let named = service
        .call_with(Method::GET, "/api/v1/runs", None, &[("x-request-id", "my-id")])
        .await;
    assert_eq!(named.headers["x-request-id"], "my-id");
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(
        committed == openapi_json(),
        "write it anew: cargo run -- openapi > openapi/openapi.json"
    );
}
