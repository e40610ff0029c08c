//! Lists, page by page, while records come and go.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::service::{Answer, INTEGRATIONS, Service, integration, pointers};

/// A list, as it is asked for, and the member that tells its records apart.
type List<'a> = (&'a str, &'a str);

const KEYS: List<'_> = ("/api/v1/api-keys", "name");
const ALL: List<'_> = (INTEGRATIONS, "name");
const RUNS: List<'_> = ("/api/v1/runs", "id");
const AUDIT: List<'_> = ("/api/v1/audit", "id");

fn names(answer: &Answer, member: &str) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let records = answer.body["data"].as_array().unwrap();
    let name = |record: &Value| record[member].as_str().unwrap().to_owned();
    records.iter().map(name).collect()
}

async fn page(service: &Service, path: &str, limit: u32, cursor: Option<&str>) -> Answer {
    let cursor = cursor
        .map(|cursor| format!("&cursor={cursor}"))
        .unwrap_or_default();
    service
        .call(Method::GET, &format!("{path}?limit={limit}{cursor}"), None)
        .await
}

fn next(page: &Answer) -> Option<&str> {
    page.body["meta"]["next"].as_str()
}

/// Reads a list two records at a time, and lets `meanwhile` happen between any two pages. What was there all the time is
/// to be seen once each, in the list's own order, and nothing at all twice.
async fn read_while(service: &Service, (path, member): List<'_>, mut meanwhile: impl AsyncFnMut(usize)) {
    let before = names(&page(service, path, 1000, None).await, member);
    assert!(before.len() >= 5, "{path}: too few to see anything");
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = page(service, path, 2, cursor.as_deref()).await;
        seen.extend(names(&page, member));
        cursor = next(&page).map(str::to_owned);
        if cursor.is_none() {
            break;
        }
        meanwhile(pages).await;
        pages += 1;
        assert!(pages < 20, "{path}: it does not end");
    }
    let after = names(&page(service, path, 1000, None).await, member);
    let stayed: Vec<_> = before.iter().filter(|name| after.contains(name)).collect();
    let listed: Vec<_> = seen.iter().filter(|name| stayed.contains(name)).collect();
    assert_eq!(listed, stayed, "{path}");
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "{path}: {seen:?}");
}

async fn make(service: &Service, name: &str) -> (String, String) {
    let mut body = integration();
    body["name"] = json!(name);
    let path = format!("{INTEGRATIONS}?run=true");
    let made = service.call(Method::POST, &path, Some(body)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let id = |object: &Value| object["id"].as_str().unwrap().to_owned();
    (id(&made.body["data"][0]), id(&made.body["run"]))
}

/// Names before, among and behind the others, so that what comes between two pages may come at each of these places.
const MORE: [[&str; 3]; 3] = [
    ["a 1", "m 1", "z 1"],
    ["a 2", "m 2", "z 2"],
    ["a 3", "m 3", "z 3"],
];

#[tokio::test]
async fn integrations_may_come_and_go_between_two_pages() {
    let service = Service::start().await;
    let mut ids = Vec::new();
    for name in ["b", "c d", "k", "n", "p_q", "s", "y"] {
        ids.push(make(&service, name).await.0);
    }
    read_while(&service, ALL, async |at| {
        for name in MORE.get(at).into_iter().flatten() {
            make(&service, name).await;
        }
        // The one that the page before ended with, then one that is still to come.
        if let Some(gone) = [1, 6].get(at) {
            let path = format!("{INTEGRATIONS}/{}", ids[*gone]);
            let gone = service.call(Method::DELETE, &path, None).await;
            assert_eq!(gone.status, StatusCode::NO_CONTENT);
        }
    })
    .await;
}

#[tokio::test]
async fn keys_may_come_and_go_between_two_pages() {
    let service = Service::start().await;
    let mut ids = Vec::new();
    for name in ["b", "c d", "k", "n", "p", "s", "y"] {
        ids.push(service.make_key(name, "readonly").await.0);
    }
    read_while(&service, KEYS, async |at| {
        for name in MORE.get(at).into_iter().flatten() {
            service.make_key(name, "operator").await;
        }
        if let Some(gone) = [1, 6].get(at) {
            let path = format!("{}/{}", KEYS.0, ids[*gone]);
            let gone = service.call(Method::DELETE, &path, None).await;
            assert_eq!(gone.status, StatusCode::NO_CONTENT);
        }
    })
    .await;
}

/// Runs one after the other of one integration, each cancelled at once.
async fn run(service: &Service, id: &str) {
    let path = format!("{INTEGRATIONS}/{id}/run");
    let begun = service.call(Method::PUT, &path, None).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.body);
    let run = begun.body["run"]["id"].as_str().unwrap();
    let path = format!("/api/v1/runs/{run}/cancel");
    let cancelled = service.call(Method::POST, &path, None).await;
    assert_eq!(cancelled.status, StatusCode::ACCEPTED, "{}", cancelled.body);
}

#[tokio::test]
async fn runs_and_audit_records_may_come_between_two_pages() {
    let service = Service::start().await;
    let (id, first) = make(&service, "one").await;
    let path = format!("/api/v1/runs/{first}/cancel");
    service.call(Method::POST, &path, None).await;
    for _ in 0..6 {
        run(&service, &id).await;
    }
    let own = format!("{INTEGRATIONS}/{id}/runs");
    for list in [RUNS, AUDIT, (own.as_str(), "id")] {
        read_while(&service, list, async |at| {
            run(&service, &id).await;
            let name = format!("{} {at}", list.0.len());
            make(&service, &name).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_or_that_was_changed_is_refused_by_name() {
    let service = Service::start().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let (id, first) = make(&service, name).await;
        let path = format!("/api/v1/runs/{first}/cancel");
        service.call(Method::POST, &path, None).await;
        run(&service, &id).await;
        service.make_key(name, "readonly").await;
        ids.push(id);
    }
    let own: Vec<_> = ids.iter().map(|id| format!("{INTEGRATIONS}/{id}/runs")).collect();
    let lists = [ALL.0, KEYS.0, RUNS.0, AUDIT.0, own[0].as_str(), own[1].as_str()];
    let mut cursors = Vec::new();
    for list in lists {
        let page = page(&service, list, 1, None).await;
        cursors.push(
            next(&page)
                .unwrap_or_else(|| panic!("{list} has one page"))
                .to_owned(),
        );
    }
    let labels = format!("{INTEGRATIONS}/{}/labels", ids[0]);
    for list in lists.into_iter().chain([labels.as_str()]) {
        for (of, cursor) in lists.iter().zip(&cursors) {
            let answer = page(&service, list, 1, Some(cursor)).await;
            if *of == list {
                assert_eq!(answer.status, StatusCode::OK, "{list}: {}", answer.body);
                continue;
            }
            is_refused(&answer, &format!("{list} with the cursor of {of}"));
            let longer = format!("{cursor}A");
            let mangled = [&cursor[1..], &cursor[..cursor.len() - 1], longer.as_str()];
            for text in mangled.into_iter().chain(["", "a", "%FF", "0", "..", "%00"]) {
                let answer = page(&service, list, 1, Some(text)).await;
                is_refused(&answer, &format!("{list} with {text}"));
            }
        }
    }
}

fn is_refused(answer: &Answer, told: &str) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{told}: {}", answer.body);
    assert_eq!(answer.body["name"], "invalid_body", "{told}");
    assert_eq!(pointers(answer), ["?cursor"], "{told}");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("is not a cursor of this list"),
        "{told}: {detail}"
    );
}
