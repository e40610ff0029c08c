//! What cannot be put on record is not done: each change is in one transaction with its audit record.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::service::{Answer, INTEGRATIONS, SECRET, Service, id, integration};

const REFUSE: &str =
    "CREATE TRIGGER no_record BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'planted'); END";
const ALLOW: &str = "DROP TRIGGER no_record";

/// What the changes meet: an integration without a run, one with a run in the queue, one with a held run, and an API key.
struct Present {
    service: Service,
    idle: String,
    busy: String,
    queued_run: String,
    held_run: String,
    key: String,
}

impl Present {
    async fn new() -> Self {
        let service = Service::start().await;
        let idle = id(&create(&service, "idle", "").await);
        let busy = create(&service, "busy", "?run=true").await;
        let held = create(&service, "held", "?run=true").await;
        let run = |answer: &Answer| answer.body["run"]["id"].as_str().unwrap().to_owned();
        let (queued_run, held_run) = (run(&busy), run(&held));
        // As a run leaves them that kept the removal of a pair back.
        service
            .execute(&format!(
                "UPDATE runs SET state = 'held', finished_at = queued_at WHERE id = '{held_run}'; \
                 INSERT INTO ledger (account, ip, context, acknowledged, run_id, acknowledged_at, held_by, held_for) \
                 VALUES (1, x'040a010203', 'cve', 'CVE-2026-0001', '{held_run}', 1, '{held_run}', '{}')",
                id(&held)
            ))
            .await;
        let (key, _) = service.make_key("reader", "readonly").await;
        Self {
            idle: format!("{INTEGRATIONS}/{idle}"),
            busy: format!("{INTEGRATIONS}/{}", id(&busy)),
            service,
            queued_run,
            held_run,
            key,
        }
    }

    /// Every call that changes something and is on record for that.
    fn changes(&self) -> Vec<(Method, String, Option<Value>)> {
        let Self { idle, busy, .. } = self;
        let new = |name: &str| {
            let mut body = integration();
            body["name"] = name.into();
            Some(body)
        };
        let moved = json!({"wiz": {"apiendpoint": "https://api.us2.app.wiz.io"}});
        let (runs, keys) = ("/api/v1/runs", "/api/v1/api-keys");
        vec![
            (Method::POST, INTEGRATIONS.to_owned(), new("new")),
            (Method::POST, format!("{INTEGRATIONS}?run=true"), new("new")),
            (Method::PUT, idle.clone(), new("renamed")),
            (
                Method::PATCH,
                idle.clone(),
                Some(json!({"wiz": {"clientsecret": SECRET}})),
            ),
            (Method::PATCH, busy.clone(), Some(moved)),
            (Method::DELETE, idle.clone(), None),
            (Method::DELETE, busy.clone(), None),
            (Method::DELETE, format!("{idle}?labels=remove"), None),
            (Method::DELETE, format!("{busy}?labels=remove"), None),
            (Method::PUT, format!("{idle}/run"), None),
            (Method::GET, format!("{idle}/run"), None),
            (Method::PUT, format!("{busy}/run?full=true"), None),
            (Method::POST, format!("{idle}/verify?repair=true"), None),
            (Method::POST, format!("{runs}/{}/cancel", self.queued_run), None),
            (Method::POST, format!("{runs}/{}/approve", self.held_run), None),
            (
                Method::POST,
                keys.to_owned(),
                Some(json!({"name": "new", "role": "operator"})),
            ),
            (Method::DELETE, format!("{keys}/{}", self.key), None),
            (
                Method::POST,
                "/api/v1/labels/adopt".to_owned(),
                Some(json!([{"ip": "10.9.9.9", "context": "cve"}])),
            ),
        ]
    }

    async fn call(&self, change: &(Method, String, Option<Value>)) -> Answer {
        let (method, path, body) = change.clone();
        let headers = [("idempotency-key", "once")];
        self.service.call_with(method, &path, body, &headers).await
    }
}

async fn create(service: &Service, name: &str, query: &str) -> Answer {
    let mut body = integration();
    body["name"] = name.into();
    let path = format!("{INTEGRATIONS}{query}");
    let created = service.call(Method::POST, &path, Some(body)).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    created
}

#[tokio::test]
async fn what_cannot_be_put_on_record_is_not_done() {
    let count = Present::new().await.changes().len();
    for number in 0..count {
        let present = Present::new().await;
        let change = &present.changes()[number];
        let before = present.service.rows().await;
        present.service.execute(REFUSE).await;
        let refused = present.call(change).await;
        present.service.execute(ALLOW).await;
        assert_eq!(
            (refused.status, &refused.body["name"]),
            (StatusCode::INTERNAL_SERVER_ERROR, &json!("internal")),
            "{change:?}"
        );
        assert!(!refused.body.to_string().contains("planted"), "{}", refused.body);
        assert_eq!(present.service.rows().await, before, "{change:?}");

        // It failed for its record alone, and can be repeated.
        let done = present.call(change).await;
        assert!(done.status.is_success(), "{change:?}: {}", done.body);
        assert_ne!(present.service.rows().await, before, "{change:?}");
    }
}

#[tokio::test]
async fn every_call_that_changes_something_is_among_those_that_need_a_record() {
    // These leave nothing behind but what their callers asked for: a record, an answer, a check.
    const CHANGE_NOTHING: [&str; 2] = ["check_integration", "search_audit"];
    let present = Present::new().await;
    let tried = present.changes();
    let document: Value = serde_json::from_str(&wiz_context::http::openapi_json()).unwrap();
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            let operation = call["operationId"].as_str().unwrap_or("");
            if ["get", "parameters"].contains(&method.as_str()) || CHANGE_NOTHING.contains(&operation) {
                continue;
            }
            let is_this = |tried: &str| {
                let (tried, _) = tried.split_once('?').unwrap_or((tried, ""));
                let (parts, tried) = (path.split('/'), tried.split('/'));
                parts.clone().count() == tried.clone().count()
                    && parts
                        .zip(tried)
                        .all(|(part, tried)| part.starts_with('{') || part == tried)
            };
            assert!(
                tried
                    .iter()
                    .any(|(of, path, _)| of.as_str().eq_ignore_ascii_case(method) && is_this(path)),
                "{method} {path} is not tried"
            );
        }
    }
}
