//! Each call with each role, and with none.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::document::{Call, DOCUMENT, calls, filled};
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

/// What is served beside the calls of the document, to everybody: the document itself, and the pages that show it.
const OPEN: [&str; 4] = [DOCUMENT, "/docs", "/docs/", "/docs/{*rest}"];

const ROLES: [&str; 4] = ["none", "readonly", "operator", "admin"];

fn needed(call: &Call) -> usize {
    let id = call.id();
    let role = NEEDED.iter().find(|(_, calls)| calls.contains(&id));
    let (role, _) = role.unwrap_or_else(|| panic!("{id} is not in the table of roles"));
    ROLES.iter().position(|other| other == role).unwrap()
}

#[test]
fn the_document_tells_the_role_of_each_call() {
    let calls = calls();
    let listed: usize = NEEDED.iter().map(|(_, calls)| calls.len()).sum();
    assert_eq!(calls.len(), listed, "a call of the table is gone");
    for call in calls {
        let (path, operation) = (&call.path, &call.operation);
        let security = &operation["security"];
        match ROLES[needed(&call)] {
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
    for call in calls() {
        let needed = needed(&call);
        let path = filled(&call.path);
        let methods = if call.method == Method::GET {
            vec![Method::GET, Method::HEAD]
        } else {
            vec![call.method]
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

/// The paths that a router serves, as its `Debug` lists them.
fn paths(router: &axum::Router) -> BTreeSet<String> {
    let text = format!("{router:?}");
    let (_, listed) = text.split_once("paths: {").expect("a router lists its paths");
    let (listed, _) = listed.split_once("} }").expect("the list has an end");
    let paths = listed.split('"').filter(|part| part.starts_with('/'));
    paths.map(str::to_owned).collect()
}

#[tokio::test]
async fn nothing_is_served_but_the_calls_of_the_document_and_what_is_open_on_purpose() {
    let service = Service::start().await;
    let served = paths(&service.router);
    let mut known: BTreeSet<String> = calls().into_iter().map(|call| call.path).collect();
    known.extend(OPEN.map(str::to_owned));
    assert_eq!(
        served, known,
        "each route is in the document, or in the list of open ones"
    );
    // The list would tell of a route that nobody thought of.
    let more = service
        .router
        .clone()
        .route("/forgotten", axum::routing::get(|| async {}));
    assert!(paths(&more).contains("/forgotten"));
}

#[tokio::test]
async fn what_is_open_on_purpose_is_there_to_be_read_and_no_more() {
    let service = Service::start().await;
    for path in OPEN {
        let path = path.replace("{*rest}", "index.css");
        for method in [Method::GET, Method::HEAD] {
            let answer = service.call_as(None, method.clone(), &path, None, &[]).await;
            let status = answer.status;
            assert!(
                status == StatusCode::OK || status == StatusCode::SEE_OTHER,
                "{method} {path}: {status}"
            );
        }
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = service
                .call_as(None, method.clone(), &path, Some(json!({})), &[])
                .await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
}
