//! `/api-keys`, and what becomes of calls with keys that are not valid.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::service::{KEY, Service, pointers};

const KEYS: &str = "/api/v1/api-keys";

async fn status(service: &Service, key: &str) -> StatusCode {
    let answer = service
        .call_as(Some(key), Method::GET, "/api/v1/runs", None, &[])
        .await;
    answer.status
}

#[tokio::test]
async fn a_key_is_shown_once_and_valid_until_it_is_taken_away() {
    let service = Service::start().await;
    let body = json!({"name": "nightly job", "role": "operator", "expires_at": null});
    let made = service.call(Method::POST, KEYS, Some(body)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.body["meta"], json!({"code": 201, "count": 1}));
    assert_eq!(made.headers["cache-control"], "no-store");
    let data = made.body["data"].clone();
    let (id, key) = (data["id"].as_str().unwrap(), data["key"].as_str().unwrap());
    assert_eq!(made.headers["location"], format!("{KEYS}/{id}"));
    assert!(
        key.starts_with(&format!("wck_{}_", id.replace('-', ""))),
        "the id is a part of the key"
    );
    assert_eq!(status(&service, key).await, StatusCode::OK);

    let mut known = data.clone();
    known.as_object_mut().unwrap().remove("key");
    let listed = service.call(Method::GET, KEYS, None).await;
    assert_eq!(listed.body["data"], json!([known]));
    for record in service.audit("api_key").await {
        assert!(!record.to_string().contains(key), "{record}");
    }

    let path = format!("{KEYS}/{id}");
    let gone = service.call(Method::DELETE, &path, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(status(&service, key).await, StatusCode::UNAUTHORIZED);
    let again = service.call(Method::DELETE, &path, None).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let actions: Vec<_> = service.audit("api_key").await;
    let actions: Vec<_> = actions
        .iter()
        .map(|record| record["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["delete", "create"]);
}

#[tokio::test]
async fn an_expired_key_is_refused_and_its_last_use_is_told_within_the_hour() {
    let service = Service::start().await;
    let expires_at = service.clock.now() + Duration::from_hours(3);
    let body = json!({"name": "guest", "role": "readonly", "expires_at": expires_at});
    let made = service.call(Method::POST, KEYS, Some(body)).await;
    let key = made.body["data"]["key"].as_str().unwrap().to_owned();
    let last_used = async || {
        service.audit("api_key").await;
        let listed = service.call(Method::GET, KEYS, None).await;
        listed.body["data"][0]["last_used_at"].clone()
    };
    assert_eq!(last_used().await, Value::Null);
    assert_eq!(status(&service, &key).await, StatusCode::OK);
    let first = last_used().await;
    assert!(first.is_string());
    service.clock.advance(Duration::from_mins(30));
    assert_eq!(status(&service, &key).await, StatusCode::OK);
    assert_eq!(last_used().await, first, "not every use is written down");
    service.clock.advance(Duration::from_mins(40));
    assert_eq!(status(&service, &key).await, StatusCode::OK);
    assert_ne!(last_used().await, first);
    service.clock.advance(Duration::from_hours(2));
    assert_eq!(status(&service, &key).await, StatusCode::UNAUTHORIZED);
    let refusal = &service.audit("authentication").await[0];
    assert_eq!(
        (
            &refusal["user"],
            &refusal["new_object"]["reason"],
            &refusal["key_id"]
        ),
        (&json!("guest"), &json!("expired"), &made.body["data"]["id"])
    );
}

#[tokio::test]
async fn a_wrong_body_names_each_member_that_is_wrong() {
    let service = Service::start().await;
    let past = service.clock.now() - Duration::from_secs(1);
    for (body, wrong, name) in [
        (json!([]), vec!["", "/name", "/role"], "invalid_body"),
        (json!({}), vec!["/name", "/role"], "invalid_body"),
        (
            json!({"name": "admin", "role": "root"}),
            vec!["/name", "/role"],
            "invalid_body",
        ),
        (
            json!({"name": "a", "role": "admin", "key": "x"}),
            vec!["/key"],
            "unknown_member",
        ),
        (
            json!({"name": "a", "role": "admin", "expires_at": past}),
            vec!["/expires_at"],
            "invalid_body",
        ),
        (
            json!({"name": "a", "role": "admin", "expires_at": 7}),
            vec!["/expires_at"],
            "invalid_body",
        ),
    ] {
        let refused = service.call(Method::POST, KEYS, Some(body.clone())).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(
            (pointers(&refused), &refused.body["name"]),
            (wrong, &json!(name)),
            "{body}"
        );
    }
    service.make_key("a", "admin").await;
    let again = json!({"name": "a", "role": "readonly"});
    let taken = service.call(Method::POST, KEYS, Some(again)).await;
    assert_eq!(
        (taken.status, pointers(&taken)),
        (StatusCode::CONFLICT, vec!["/name"])
    );
}

#[tokio::test]
async fn the_last_key_that_may_do_everything_stays_when_the_settings_have_none() {
    let service = Service::start().await;
    let (spare, _) = service.make_key("spare", "admin").await;
    assert_eq!(
        service
            .call(Method::DELETE, &format!("{KEYS}/{spare}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT,
        "the key of the settings is left"
    );
    let (id, key) = service.make_key("only", "admin").await;
    let service = service.restart(None).await;
    assert_eq!(status(&service, KEY).await, StatusCode::UNAUTHORIZED);
    let delete = async |path: &str| service.call_as(Some(&key), Method::DELETE, path, None, &[]).await;
    let refused = delete(&format!("{KEYS}/{id}")).await;
    assert_eq!(
        (refused.status, &refused.body["name"]),
        (StatusCode::CONFLICT, &json!("last_admin_key"))
    );
    assert_eq!(status(&service, &key).await, StatusCode::OK);
}

#[tokio::test]
async fn failures_are_on_record_and_many_of_them_are_few_records() {
    let service = Service::start().await;
    let (id, key) = service.make_key("reader", "readonly").await;
    for _ in 0..50 {
        assert_eq!(status(&service, "planted-wrong").await, StatusCode::UNAUTHORIZED);
        let forbidden = service.call_as(Some(&key), Method::GET, KEYS, None, &[]).await;
        assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
        let missing = service.call_as(None, Method::GET, KEYS, None, &[]).await;
        assert_eq!(missing.status, StatusCode::UNAUTHORIZED);
    }
    let records = service.audit("authentication").await;
    assert_eq!(records.len(), 6, "{records:?}");
    let requests: u64 = records
        .iter()
        .map(|record| record["new_object"]["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(requests, 150);
    let forbidden = records
        .iter()
        .find(|record| record["action"] == "forbid")
        .unwrap();
    assert_eq!(
        (&forbidden["user"], &forbidden["key_id"]),
        (&json!("reader"), &json!(id))
    );
    let refused = records
        .iter()
        .find(|record| record["action"] == "refuse")
        .unwrap();
    assert_eq!(refused["user"], "anonymous");
    assert!(!json!(records).to_string().contains("planted-wrong"));
}

#[tokio::test]
async fn who_did_something_is_told_by_the_name_and_the_id_of_the_key() {
    let service = Service::start().await;
    let created = service.create("").await;
    let integration = crate::service::id(&created);
    let (id, key) = service.make_key("night shift", "operator").await;
    let path = format!("{}/{integration}/run", crate::service::INTEGRATIONS);
    let headers = [("x-request-id", "my-request")];
    let run = service
        .call_as(Some(&key), Method::PUT, &path, None, &headers)
        .await;
    assert_eq!(run.status, StatusCode::ACCEPTED, "{}", run.body);
    let path = format!("/api/v1/runs/{}/cancel", run.body["run"]["id"].as_str().unwrap());
    let cancelled = service
        .call_as(Some(&key), Method::POST, &path, None, &headers)
        .await;
    assert_eq!(cancelled.status, StatusCode::ACCEPTED);
    assert_eq!(cancelled.headers["location"], path.trim_end_matches("/cancel"));
    let records = service.audit("integration").await;
    for record in &records[..3] {
        assert_eq!(
            (&record["user"], &record["key_id"], &record["request_id"]),
            (&json!("night shift"), &json!(id), &json!("my-request")),
            "{record}"
        );
    }
    assert_eq!(
        (&records[3]["user"], &records[3]["key_id"]),
        (&json!("admin"), &Value::Null)
    );
}
