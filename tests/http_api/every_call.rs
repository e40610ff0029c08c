//! What is refused before any call is done, tried on each call of the document.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::document::{Call, DOCUMENT, calls, filled};
use crate::service::{Answer, KEY, Service};

/// Calls that answer whatever `Accept` says: what asks for them is no client but a watch, which cannot choose.
const ANSWER_ANYWAY: [&str; 3] = ["check_health", "check_readiness", "read_metrics"];

/// The members of a problem: those of RFC 9457, and those of Fusion's own errors.
const MEMBERS: [&str; 7] = [
    "detail",
    "message",
    "name",
    "request_id",
    "status",
    "title",
    "type",
];

/// The answer is a problem of that status and name, whole and by itself.
fn is_problem(answer: &Answer, status: StatusCode, name: &str, told: &str) {
    assert_eq!(answer.status, status, "{told}: {}", answer.body);
    assert_eq!(
        answer.headers["content-type"], "application/problem+json",
        "{told}"
    );
    let problem = answer.body.as_object().unwrap();
    let members: Vec<_> = problem.keys().filter(|member| *member != "errors").collect();
    assert_eq!(members, MEMBERS, "{told}");
    assert_eq!(problem["status"], status.as_u16(), "{told}");
    assert_eq!(problem["name"], name, "{told}");
    assert_eq!(problem["type"], format!("/problems/{name}"), "{told}");
    assert_eq!(problem["message"], problem["detail"], "{told}");
    for member in ["title", "detail"] {
        assert!(
            problem[member].as_str().is_some_and(|text| !text.is_empty()),
            "{told}"
        );
    }
    let id = answer.headers["x-request-id"].to_str().unwrap();
    assert_eq!(problem["request_id"], id, "{told}");
}

fn sorted(methods: &[&str]) -> Vec<String> {
    let mut methods: Vec<_> = methods.iter().map(|method| (*method).to_owned()).collect();
    methods.sort();
    methods
}

fn allowed(headers: &HeaderMap) -> Vec<String> {
    let allow = headers["allow"].to_str().unwrap();
    sorted(&allow.split(',').map(str::trim).collect::<Vec<_>>())
}

/// The methods of a path as the document has them, and those that are served beside.
fn methods_of(calls: &[Call], path: &str) -> Vec<String> {
    let mut methods = vec!["OPTIONS"];
    for call in calls.iter().filter(|call| call.path == path) {
        methods.push(call.method.as_str());
        // `HEAD` may be sent at any time by anybody, and the dry run would start something.
        if call.method == Method::GET && call.id() != "start_dry_run" {
            methods.push("HEAD");
        }
    }
    if path == DOCUMENT {
        methods.extend(["GET", "HEAD"]);
    }
    sorted(&methods)
}

#[tokio::test]
async fn every_method_that_a_path_does_not_have_is_refused_with_those_that_it_has() {
    let service = Service::start().await;
    let calls = calls();
    let invented = Method::from_bytes(b"INVENTED").unwrap();
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::TRACE,
        invented,
    ];
    let mut paths: Vec<_> = calls.iter().map(|call| call.path.as_str()).collect();
    paths.push(DOCUMENT);
    paths.dedup();
    let mut refused = 0;
    for path in paths {
        let served = methods_of(&calls, path);
        let place = filled(path);
        for key in [None, Some(KEY)] {
            for method in methods
                .iter()
                .filter(|method| !served.contains(&method.to_string()))
            {
                // Of a call by `GET` the key is asked for first.
                let has_get = served.iter().any(|other| other == "GET");
                if key.is_none() && *method == Method::HEAD && has_get {
                    continue;
                }
                let told = format!("{method} {path}");
                let answer = service.call_as(key, method.clone(), &place, None, &[]).await;
                assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{told}");
                assert_eq!(allowed(&answer.headers), served, "{told}");
                if *method == Method::HEAD {
                    assert_eq!(answer.body, "", "{told}");
                    assert!(!answer.headers["x-request-id"].is_empty(), "{told}");
                } else {
                    is_problem(
                        &answer,
                        StatusCode::METHOD_NOT_ALLOWED,
                        "method_not_allowed",
                        &told,
                    );
                }
                refused += 1;
            }
            let told = format!("OPTIONS {path}");
            let options = service.call_as(key, Method::OPTIONS, &place, None, &[]).await;
            assert_eq!(options.status, StatusCode::NO_CONTENT, "{told}");
            assert_eq!(options.body, "", "{told}");
            assert_eq!(allowed(&options.headers), served, "{told}");
            assert!(!options.headers["x-request-id"].is_empty(), "{told}");
        }
    }
    assert!(refused > 200, "{refused}");
}

#[tokio::test]
async fn every_call_whose_answers_the_caller_does_not_take_is_refused() {
    let service = Service::start().await;
    for call in calls() {
        let told = format!("{} {}", call.method, call.path);
        let types = call.operation["responses"].as_object().unwrap().iter();
        let has_body = types
            .filter(|(status, _)| status.starts_with('2'))
            .any(|(_, answer)| answer["content"].is_object());
        let refuses = has_body && !ANSWER_ANYWAY.contains(&call.id());
        assert_eq!(call.can_answer("406"), refuses, "{told}");
        let body = (call.method != Method::GET).then(|| json!({}));
        for accept in ["image/png", "application/vnd.no-such+json", "*/*;q=0"] {
            let answer = service
                .call_with(
                    call.method.clone(),
                    &filled(&call.path),
                    body.clone(),
                    &[("accept", accept)],
                )
                .await;
            if refuses {
                is_problem(&answer, StatusCode::NOT_ACCEPTABLE, "not_acceptable", &told);
            } else {
                assert_ne!(answer.status, StatusCode::NOT_ACCEPTABLE, "{told}");
                assert!(!answer.status.is_server_error(), "{told}");
            }
        }
    }
    let runs = service.call(Method::GET, "/api/v1/runs", None).await;
    assert_eq!(runs.body["meta"]["count"], 0, "nothing was started");
}

#[tokio::test]
async fn every_call_with_a_body_of_another_type_is_refused() {
    let service = Service::start().await;
    let mut tried = 0;
    for call in calls() {
        let told = format!("{} {}", call.method, call.path);
        let takes_body = call.operation["requestBody"].is_object();
        assert_eq!(call.can_answer("415"), takes_body, "{told}");
        if !takes_body {
            continue;
        }
        tried += 1;
        for media in [
            None,
            Some("text/plain"),
            Some("application/xml"),
            Some("multipart/form-data; boundary=x"),
            Some("application/jsonp"),
            Some("text/json"),
        ] {
            let mut request = Request::builder()
                .method(call.method.clone())
                .uri(filled(&call.path))
                .header("authorization", format!("Bearer {KEY}"));
            if let Some(media) = media {
                request = request.header("content-type", media);
            }
            let answer = service.send(request.body(Body::from("{}")).unwrap()).await;
            let told = format!("{told} {media:?}");
            is_problem(
                &answer,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                &told,
            );
        }
        let types = call.operation["requestBody"]["content"].as_object().unwrap();
        for media in types.keys() {
            let answer = service
                .call_with(
                    call.method.clone(),
                    &filled(&call.path),
                    None,
                    &[("content-type", media)],
                )
                .await;
            assert_ne!(
                answer.status,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "{told} {media}"
            );
        }
    }
    assert_eq!(tried, 6, "the calls with a body");
}

#[tokio::test]
async fn no_header_of_whatever_bytes_is_a_fault_of_the_service() {
    let service = Service::start().await;
    let headers = [
        "authorization",
        "if-match",
        "if-none-match",
        "idempotency-key",
        "prefer",
        "x-request-id",
        "accept",
        "accept-encoding",
        "content-type",
        "last-event-id",
        "origin",
        "host",
        "x-forwarded-for",
    ];
    // Latin 1, UTF-8 broken off, an overlong form, a tab, and text that is neither ASCII nor wrong.
    let values: [&[u8]; 6] = [
        b"\xe9",
        b"Bearer \xff\xfe",
        b"wait=\xc3",
        b"\xc0\xaf",
        b"\"1\"\t\xf0\x9f",
        "ключ".as_bytes(),
    ];
    for call in calls() {
        for header in headers {
            for value in values {
                let mut request = Request::builder()
                    .method(call.method.clone())
                    .uri(filled(&call.path));
                if header != "authorization" {
                    request = request.header("authorization", format!("Bearer {KEY}"));
                }
                if header != "content-type" && call.method != Method::GET {
                    request = request.header("content-type", "application/json");
                }
                let request = request.header(header, value).body(Body::from("[]")).unwrap();
                let answer = service.send(request).await;
                let told = format!("{} {} with {header}: {value:?}", call.method, call.path);
                assert!(!answer.status.is_server_error(), "{told}: {}", answer.body);
                let id = answer.headers["x-request-id"].to_str().unwrap();
                assert!(!id.is_empty() && id.is_ascii(), "{told}");
                assert!(
                    call.can_answer(answer.status.as_str()),
                    "{told}: {}",
                    answer.status
                );
                if answer.status.is_client_error() {
                    assert_eq!(answer.body["status"], answer.status.as_u16(), "{told}");
                }
            }
        }
    }
    let refused = |header: &'static str, method: Method, path: &'static str| {
        let service = &service;
        async move {
            let mut request = Request::builder().method(method).uri(path);
            if header != "authorization" {
                request = request.header("authorization", format!("Bearer {KEY}"));
            }
            let request = request.header(header, b"\xe9".as_slice());
            service.send(request.body(Body::empty()).unwrap()).await
        }
    };
    let runs = "/api/v1/runs";
    let verify = "/api/v1/integrations/context/01a20d2a-3996-73a0-af57-c27859874f3e/verify";
    for (header, method, path, status) in [
        ("authorization", Method::GET, runs, StatusCode::UNAUTHORIZED),
        ("accept", Method::GET, runs, StatusCode::NOT_ACCEPTABLE),
        ("idempotency-key", Method::POST, verify, StatusCode::BAD_REQUEST),
    ] {
        let answer = refused(header, method, path).await;
        assert_eq!(answer.status, status, "{header}: {}", answer.body);
    }
    let kept: Value = service.call(Method::GET, runs, None).await.body;
    assert_eq!(kept["meta"]["count"], 0);
}
