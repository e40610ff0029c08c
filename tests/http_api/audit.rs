//! The audit log: searched, listed page by page, written out and proved.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::service::{INTEGRATIONS, SECRET, Service, id, integration, pointers};

async fn search(service: &Service, text: &str) -> Vec<String> {
    let body = json!({"start": -60, "end": 0, "search": text});
    let found = service
        .call(Method::POST, "/api/v1/search/audit", Some(body))
        .await;
    assert_eq!(found.status, StatusCode::OK, "{text}: {}", found.body);
    let records = found.body["data"].as_array().unwrap();
    let action = |record: &Value| {
        let word = |member: &str| record[member].as_str().unwrap().to_owned();
        format!("{} {}", word("class"), word("action"))
    };
    records.iter().map(action).collect()
}

#[tokio::test]
async fn a_search_compares_joins_and_brackets() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    let (key_id, key) = service.make_key("second admin", "admin").await;
    let change = json!({"enabled": false});
    service
        .call_as(Some(&key), Method::PATCH, &path, Some(change), &[])
        .await;
    service.call(Method::DELETE, &path, None).await;

    let (made, key_made) = ("integration create", "api_key create");
    let (changed, gone) = ("integration update", "integration delete");
    for (text, found) in [
        ("", vec![gone, changed, key_made, made]),
        ("class == api_key", vec![key_made]),
        ("class != api_key && action != update", vec![gone, made]),
        (
            "action == update || action == create && class == api_key",
            vec![changed, key_made],
        ),
        (
            "(action == update || action == create) && class == integration",
            vec![changed, made],
        ),
        ("user == \"second admin\"", vec![changed]),
        ("key_id != 1 && class == integration", vec![gone, changed, made]),
        (&format!("key_id == {key_id}"), vec![changed]),
        ("user == \"' OR 1 = 1 --\"", vec![]),
    ] {
        assert_eq!(search(&service, text).await, found, "{text}");
    }
    for (text, told) in [
        (
            "user like admin",
            "goes wrong at character 6: expected `==` or `!=`",
        ),
        ("colour == red", "goes wrong at character 1: expected a field"),
        ("user == a &&", "goes wrong at character 13"),
    ] {
        let body = json!({"start": -60, "end": 0, "search": text});
        let refused = service
            .call(Method::POST, "/api/v1/search/audit", Some(body))
            .await;
        assert_eq!(
            (refused.status, pointers(&refused)),
            (StatusCode::BAD_REQUEST, vec!["/search"])
        );
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains(told), "{detail}");
    }
}

#[tokio::test]
async fn secrets_are_on_record_as_marks_that_tell_whether_they_changed() {
    let service = Service::start().await;
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    let mark = |object: &Value| object["wiz"]["clientsecret"].as_str().unwrap().to_owned();
    for secret in [None, Some("planted-other-secret"), Some(SECRET)] {
        let mut members = json!({"enabled": false, "wiz": {}});
        if let Some(secret) = secret {
            members["wiz"]["clientsecret"] = json!(secret);
        }
        let changed = service.call(Method::PATCH, &path, Some(members)).await;
        assert_eq!(changed.status, StatusCode::OK);
    }
    service.call(Method::DELETE, &path, None).await;
    let records = service.audit("integration").await;
    let first = mark(&records[4]["new_object"]);
    assert!(first.starts_with("fingerprint:k1:"), "{first}");
    let marks = |record: &Value| (mark(&record["original_object"]), mark(&record["new_object"]));
    assert_eq!(marks(&records[3]), (first.clone(), first.clone()));
    let (before, other) = marks(&records[2]);
    assert!(before == first && other != first);
    assert_eq!(marks(&records[1]), (other, first.clone()));
    assert_eq!(mark(&records[0]["original_object"]), first);
    let listed = service.call(Method::GET, INTEGRATIONS, None).await;
    assert!(!listed.body.to_string().contains("fingerprint"));
}

/// As an outsider checks it who has the export only; the recipe is in the operator's guide.
fn head_of(export: &str) -> String {
    let mut previous = "0".repeat(64);
    for line in export.lines() {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let hash = record.as_object_mut().unwrap().remove("hash").unwrap();
        assert_eq!(record["previous_hash"], previous);
        let members: std::collections::BTreeMap<_, _> = record.as_object().unwrap().iter().collect();
        assert_eq!(members.len(), 15);
        hash.as_str().unwrap().clone_into(&mut previous);
    }
    previous
}

#[tokio::test]
async fn the_export_is_the_chain_and_its_head_is_told_by_the_check_and_the_figures() {
    let service = Service::start().await;
    // More than are read at a time.
    let created = service.create("").await;
    let path = format!("{INTEGRATIONS}/{}", id(&created));
    for number in 0..520 {
        let change = json!({"updateinterval": 86_400 + number});
        service.call(Method::PATCH, &path, Some(change)).await;
    }
    let export = service.call(Method::GET, "/api/v1/audit/export", None).await;
    assert_eq!(export.headers["content-type"], "application/x-ndjson");
    let export = export.body.as_str().unwrap();
    assert_eq!(export.lines().count(), 521);
    let head = head_of(export);

    let verdict = service.call(Method::GET, "/api/v1/audit/verify", None).await;
    let told = &verdict.body["data"];
    assert_eq!(
        (
            &told["valid"],
            &told["records"],
            &told["head"],
            told.get("first_bad")
        ),
        (&json!(true), &json!(521), &json!(head), None)
    );
    let metrics = service.call(Method::GET, "/metrics", None).await;
    assert!(
        metrics
            .body
            .as_str()
            .unwrap()
            .contains(&format!("wiz_context_audit_head{{hash=\"{head}\"}} 1"))
    );
    for (asked, contains) in [(head.to_uppercase(), true), ("1".repeat(64), false)] {
        let path = format!("/api/v1/audit/verify?head={asked}");
        let verdict = service.call(Method::GET, &path, None).await;
        assert_eq!(verdict.body["data"]["contains"], contains);
    }
    let wrong = service
        .call(Method::GET, "/api/v1/audit/verify?head=1", None)
        .await;
    assert_eq!(
        (wrong.status, pointers(&wrong)),
        (StatusCode::BAD_REQUEST, vec!["?head"])
    );

    let some = service
        .call(Method::GET, "/api/v1/audit/export?action=create", None)
        .await;
    assert!(some.body["action"] == "create", "{}", some.body);
    let none = service
        .call(Method::GET, "/api/v1/audit/export?action=none", None)
        .await;
    assert_eq!((none.status, none.body.as_str()), (StatusCode::OK, Some("")));
}

#[tokio::test]
async fn pages_go_on_where_they_were_whatever_is_written_meanwhile() {
    let service = Service::start().await;
    for number in 0..7 {
        let mut body = integration();
        body["name"] = json!(format!("wiz{number}"));
        service.call(Method::POST, INTEGRATIONS, Some(body)).await;
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/audit?action=create&limit=3".to_owned();
    loop {
        let page = service.call(Method::GET, &path, None).await;
        let records = page.body["data"].as_array().unwrap();
        seen.extend(
            records
                .iter()
                .map(|record| record["new_object"]["name"].as_str().unwrap().to_owned()),
        );
        let mut body = integration();
        body["name"] = json!(format!("later{}", seen.len()));
        service.call(Method::POST, INTEGRATIONS, Some(body)).await;
        let Some(next) = page.body["meta"]["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/audit?action=create&limit=3&cursor={next}");
    }
    assert_eq!(seen, ["wiz6", "wiz5", "wiz4", "wiz3", "wiz2", "wiz1", "wiz0"]);
}

#[tokio::test]
async fn records_are_asked_for_by_time_in_each_way_of_writing_it() {
    let service = Service::start().await;
    service.create("").await;
    service.clock.advance(Duration::from_hours(2));
    let between = service.clock.now();
    service.make_key("later", "readonly").await;
    let count = async |query: &str| {
        let listed = service
            .call(Method::GET, &format!("/api/v1/audit?{query}"), None)
            .await;
        assert_eq!(listed.status, StatusCode::OK, "{query}: {}", listed.body);
        listed.body["meta"]["count"].as_u64().unwrap()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count(&format!("since={between}")).await, 1);
    assert_eq!(count(&format!("since={}", between.as_millis())).await, 1);
    assert_eq!(count("since=-3600").await, 1);
    assert_eq!(count("until=-3600").await, 1);
    assert_eq!(
        count("since=2026-01-01T00:00:00+01:00&until=2027-01-01T00:00:00Z").await,
        2
    );
    let wrong = service
        .call(Method::GET, "/api/v1/audit?since=yesterday", None)
        .await;
    assert_eq!(
        (wrong.status, pointers(&wrong)),
        (StatusCode::BAD_REQUEST, vec!["?since"])
    );
}
