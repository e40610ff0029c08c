//! Each call with each role, and with none.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use wiz_context::http::openapi_json;

use crate::service::Service;

/// What each call is to need. The document is compared with it, and the service with both.
const NEEDED: [(&str, &[&str]); 4] = [
    ("none", &["check_health", "check_readiness"]),
    (
        "readonly",
        &[
            "list_integrations",
            "read_integration",
            "read_status",
            "list_runs",
            "list_integration_runs",
            "read_run",
            "list_plan_steps",
            "follow_run",
            "list_labels",
            "read_address",
            "search_audit",
            "read_audit_record",
            "list_audit",
            "export_audit",
            "verify_audit",
            "read_metrics",
        ],
    ),
    (
        "operator",
        &[
            "start_run",
            "start_dry_run",
            "cancel_run",
            "approve_run",
            "check_integration",
            "verify_labels",
        ],
    ),
    (
        "admin",
        &[
            "create_integration",
            "replace_integration",
            "update_integration",
            "delete_integration",
            "adopt_labels",
            "list_api_keys",
            "create_api_key",
            "delete_api_key",
        ],
    ),
];
const ROLES: [&str; 4] = ["none", "readonly", "operator", "admin"];

/// The calls of the document: method, path and operation.
fn calls() -> Vec<(Method, String, Value)> {
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["operationId"].is_string() {
                let method = method.to_uppercase().parse().unwrap();
                calls.push((method, path.clone(), operation.clone()));
            }
        }
    }
    calls
}

fn needed(operation: &Value) -> usize {
    let id = operation["operationId"].as_str().unwrap();
    let role = NEEDED.iter().find(|(_, calls)| calls.contains(&id));
    let (role, _) = role.unwrap_or_else(|| panic!("{id} is not in the table of roles"));
    ROLES.iter().position(|other| other == role).unwrap()
}

#[test]
fn the_document_tells_the_role_of_each_call() {
    let calls = calls();
    let listed: usize = NEEDED.iter().map(|(_, calls)| calls.len()).sum();
    assert_eq!(calls.len(), listed, "a call of the table is gone");
    for (_, path, operation) in calls {
        let security = &operation["security"];
        match ROLES[needed(&operation)] {
            "none" => assert_eq!(*security, json!([{}]), "{path}"),
            role => {
                assert_eq!(*security, json!([{ "api_key": [role] }]), "{path}");
                assert_eq!(operation["x-required-role"], role, "{path}");
                let refusals = &operation["responses"];
                assert!(refusals["401"].is_object(), "{path}");
                assert_eq!(refusals["403"].is_object(), role != "readonly", "{path}");
            }
        }
    }
}

#[tokio::test]
async fn each_call_takes_the_roles_that_it_should_and_no_other() {
    let service = Service::start().await;
    let mut keys = BTreeMap::new();
    for role in &ROLES[1..] {
        keys.insert(*role, service.make_key(&format!("the {role}"), role).await.1);
    }
    let absent = "01a20d2a-3996-73a0-af57-c27859874f3e";
    for (method, path, operation) in calls() {
        let needed = needed(&operation);
        let path = ["{id}", "{run}"]
            .iter()
            .fold(path.replace("{ip}", "10.0.0.1"), |path, name| {
                path.replace(name, absent)
            });
        let methods = if method == Method::GET {
            vec![Method::GET, Method::HEAD]
        } else {
            vec![method]
        };
        for method in methods {
            for (at, role) in ROLES.iter().enumerate() {
                let key = keys.get(role).map(String::as_str);
                let body = (method != Method::GET && method != Method::HEAD).then(|| json!({}));
                let answer = service.call_as(key, method.clone(), &path, body, &[]).await;
                let told = format!("{method} {path} with {role}: {} {}", answer.status, answer.body);
                if at >= needed {
                    let refusals = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
                    assert!(!refusals.contains(&answer.status), "{told}");
                    assert!(!answer.status.is_server_error(), "{told}");
                } else if at == 0 {
                    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{told}");
                    assert_eq!(answer.headers["www-authenticate"], "Bearer", "{told}");
                } else {
                    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{told}");
                    if method != Method::HEAD {
                        assert_eq!(answer.body["name"], "forbidden", "{told}");
                        assert!(told.contains(ROLES[needed]), "{told}");
                    }
                }
            }
        }
    }
}
