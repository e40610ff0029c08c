//! Calls of the GraphQL API, and the token they carry.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::FakeWiz;
use crate::domain::{AssetType, FailureKind, ReportId, ReportRunId};
use crate::wiz::{ColumnChoice, ReportRequest, ReportRunStatus, WaitListener, WizAccounts};

fn run(id: &str, run_at: &str) -> Value {
    json!({"id": id, "status": "COMPLETED", "progress": 100, "runAt": run_at, "results": {"count": 7}})
}

fn report(id: &str, name: &str, created_at: &str) -> Value {
    let report_type = json!({"id": "VULNERABILITIES", "name": "Vulnerabilities"});
    json!({"id": id, "name": name, "createdAt": created_at, "type": report_type, "lastRun": null})
}

fn reports(nodes: &[Value], cursor: Option<&str>) -> Value {
    json!({"reports": {"nodes": nodes, "pageInfo": {"hasNextPage": cursor.is_some(), "endCursor": cursor}}})
}

fn request() -> ReportRequest {
    ReportRequest {
        name: "a".into(),
        columns: ColumnChoice::Full,
        asset_types: AssetType::with_addresses(),
    }
}

const DAY: &str = "2026-11-24T00:00:00Z";
const DAY_AFTER: &str = "2026-11-25T00:00:00Z";

#[tokio::test]
async fn clients_of_one_service_account_sign_in_once() {
    let wiz = FakeWiz::start().await;
    let accounts = wiz.accounts();
    let (one, other) = (
        accounts.client(wiz.credentials("secret")),
        accounts.client(wiz.credentials("secret")),
    );
    for _ in 0..3 {
        wiz.answers(&json!({"report": null}));
    }
    let id = ReportId::new("r");
    let (a, b, c) = tokio::join!(one.report(&id), other.report(&id), one.report(&id));
    assert!(a.unwrap().is_none() && b.unwrap().is_none() && c.unwrap().is_none());
    assert_eq!(wiz.tokens(), ["t1", "t1", "t1"]);
    let form = wiz.script.lock().unwrap().sign_ins.clone();
    assert_eq!(
        form,
        ["grant_type=client_credentials&audience=wiz-api&client_id=id&client_secret=secret"]
    );

    // another secret is another matter: it has to prove itself
    accounts.client(wiz.credentials("other")).sign_in().await.unwrap();
    assert_eq!(wiz.script.lock().unwrap().sign_ins.len(), 2);
}

#[tokio::test]
async fn a_check_signs_in_even_with_a_token_at_hand() {
    let wiz = FakeWiz::start().await;
    let client = wiz.client();
    client.sign_in().await.unwrap();
    client.sign_in().await.unwrap();
    assert_eq!(wiz.script.lock().unwrap().sign_ins.len(), 1);
    let refusal = (401, json!({"error": "access_denied"}));
    wiz.script.lock().unwrap().sign_in_answers.push_back(refusal);
    let failure = client.sign_in_anew().await.unwrap_err().failure();
    assert_eq!(
        (failure.kind, failure.retryable),
        (FailureKind::Credentials, false)
    );
    assert!(
        failure.message.contains("wiz.clientsecret"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let wiz = FakeWiz::start().await;
    let client = wiz.client();
    wiz.script.lock().unwrap().refused_tokens = vec!["t1"];
    wiz.answers(&json!({"report": report("r", "a", DAY)}));
    assert!(client.report(&ReportId::new("r")).await.unwrap().is_some());
    assert_eq!(wiz.tokens(), ["t1", "t2"]);

    wiz.script.lock().unwrap().refused_tokens = vec!["t2", "t3"];
    let failure = client.report(&ReportId::new("r")).await.unwrap_err().failure();
    assert_eq!(failure.kind, FailureKind::Credentials);
    assert_eq!(wiz.tokens(), ["t1", "t2", "t2", "t3"]);
}

#[tokio::test]
async fn the_oldest_report_of_exactly_the_name_is_found_over_all_pages() {
    let wiz = FakeWiz::start().await;
    let first = [report("1", "ab", DAY), report("2", "a", DAY_AFTER)];
    wiz.answers(&reports(&first, Some("next")));
    wiz.answers(&reports(&[report("3", "a", DAY)], None));
    let found = wiz.client().find_report("a").await.unwrap().unwrap();
    assert_eq!((found.report.id.as_str(), found.matches), ("3", 2));
    let expected = json!({
        "first": 100, "after": "next", "filterBy": {"search": "a", "type": ["VULNERABILITIES"]},
    });
    assert_eq!(wiz.variables()[1], expected);

    wiz.answers(&reports(&[report("1", "ab", DAY)], None));
    assert!(wiz.client().find_report("a").await.unwrap().is_none());
}

#[tokio::test]
async fn a_cursor_that_repeats_ends_the_search() {
    let wiz = FakeWiz::start().await;
    wiz.answers(&reports(&[], Some("same")));
    wiz.answers(&reports(&[], Some("same")));
    assert!(
        wiz.client()
            .find_report("a")
            .await
            .unwrap_err()
            .failure()
            .retryable
    );
}

#[tokio::test]
async fn reports_are_made_changed_and_rerun() {
    let wiz = FakeWiz::start().await;
    let (client, id, request) = (wiz.client(), ReportId::new("r"), request());
    let answer = |name: &str| json!({name: {"report": report("r", "a", DAY)}});
    wiz.answers(&answer("createReport"));
    wiz.answers(&answer("updateReport"));
    wiz.answers(&answer("rerunReport"));
    assert_eq!(client.create_report(&request).await.unwrap().id, id);
    assert_eq!(client.update_report(&id, &request).await.unwrap().id, id);
    assert_eq!(client.rerun_report(&id).await.unwrap().id, id);

    let variables = wiz.variables();
    assert_eq!(variables[0]["input"]["type"], "VULNERABILITIES");
    assert_eq!(variables[1]["input"]["id"], "r");
    assert_eq!(variables[1]["input"]["override"]["name"], "a");
    assert_eq!(variables[2], json!({"input": {"id": "r"}}));
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_not_repeated() {
    let wiz = FakeWiz::start().await;
    wiz.answers_with(503, &json!({}));
    let error = wiz.client().create_report(&request()).await.unwrap_err();
    assert!(error.failure().retryable && !error.is_bad_user_input());
    assert_eq!(wiz.variables().len(), 1);

    wiz.answers_with(503, &json!({}));
    wiz.answers(&json!({"reportRun": run("x", DAY)}));
    assert!(
        wiz.client()
            .report_run(&ReportRunId::new("x"))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_refused_column_is_told_apart() {
    let wiz = FakeWiz::start().await;
    let refusal =
        json!({"errors": [{"message": "unknown column", "extensions": {"code": "BAD_USER_INPUT"}}]});
    wiz.answers_with(400, &refusal);
    assert!(
        wiz.client()
            .create_report(&request())
            .await
            .unwrap_err()
            .is_bad_user_input()
    );
}

#[tokio::test]
async fn the_newest_run_comes_from_the_list_or_from_the_report() {
    let wiz = FakeWiz::start().await;
    let (client, id) = (wiz.client(), ReportId::new("r"));
    wiz.answers(&json!({"reportRuns": {"nodes": [run("1", DAY), run("2", DAY_AFTER), run("3", DAY_AFTER)]}}));
    let newest = client.newest_report_run(&id).await.unwrap().unwrap();
    assert_eq!(
        (newest.id.as_str(), newest.status, newest.rows),
        ("2", ReportRunStatus::Completed, Some(7))
    );

    let mut with_last = report("r", "a", DAY);
    with_last["lastRun"] = run("4", DAY);
    wiz.answers(&json!({"reportRuns": {"nodes": []}}));
    wiz.answers(&json!({"report": with_last}));
    let newest = client.newest_report_run(&id).await.unwrap().unwrap();
    assert_eq!(newest.id.as_str(), "4");
}

#[tokio::test]
async fn what_wiz_does_not_know_is_none() {
    let wiz = FakeWiz::start().await;
    let unknown = json!({"errors": [{"message": "no such", "extensions": {"code": "NOT_FOUND"}}]});
    let client = wiz.client();
    wiz.answers_with(404, &unknown);
    assert!(client.report(&ReportId::new("r")).await.unwrap().is_none());
    wiz.answers_with(200, &unknown);
    assert!(client.report_run(&ReportRunId::new("x")).await.unwrap().is_none());
    wiz.answers_with(200, &unknown);
    let error = client.rerun_report(&ReportId::new("r")).await.unwrap_err();
    assert!(error.is_not_found());
}

#[tokio::test]
async fn a_service_account_that_is_told_to_slow_down_pauses_for_all_its_clients() {
    let wiz = FakeWiz::start().await;
    let accounts = WizAccounts::new(wiz.server.outgoing(), wiz.server.clock.clone(), NonZeroU32::MIN);
    let (one, other) = (
        accounts.client(wiz.credentials("secret")),
        accounts.client(wiz.credentials("secret")),
    );
    let before = wiz.server.clock.now();
    let slow_down = json!({"errors": [{"extensions": {"code": "RATE_LIMIT_EXCEEDED", "retryAfter": 300}}]});
    wiz.answers_with(429, &slow_down);
    let error = one.sees_finding().await.unwrap_err();
    let asked = Duration::from_mins(5);
    assert_eq!(
        (error.failure().kind, error.retry_after()),
        (FailureKind::RateLimited, Some(asked))
    );

    wiz.answers(&json!({"vulnerabilityFindings": {"nodes": [{"id": "f"}]}}));
    assert!(other.sees_finding().await.unwrap());
    assert!(wiz.server.clock.now().since(before) >= asked);
}

/// A listener of waits, and whether each thing it heard was the beginning of one.
fn listener() -> (WaitListener, Arc<Mutex<Vec<bool>>>) {
    let heard = Arc::<Mutex<Vec<bool>>>::default();
    let notes = Arc::clone(&heard);
    let listener: WaitListener = Arc::new(move |until| {
        notes.lock().unwrap().push(until.is_some());
        std::future::ready(()).boxed()
    });
    (listener, heard)
}

#[tokio::test]
async fn a_patient_client_waits_as_long_as_wiz_asks_and_tells_of_it() {
    let wiz = FakeWiz::start().await;
    let (listener, heard) = listener();
    let client = wiz.client().patient(listener);
    let busy = (429, json!({}));
    wiz.script.lock().unwrap().sign_in_answers.push_back(busy);
    let slow_down = json!({"errors": [{"extensions": {"code": "RATE_LIMIT_EXCEEDED", "retryAfter": 300}}]});
    wiz.answers_with(429, &slow_down);
    wiz.answers(&json!({"createReport": {"report": report("r", "a", DAY)}}));
    let before = wiz.server.clock.now();
    client.create_report(&request()).await.unwrap();
    assert!(wiz.server.clock.now().since(before) >= Duration::from_mins(5));
    assert_eq!(*heard.lock().unwrap(), [true, false, true, false]);
    assert_eq!(wiz.variables().len(), 2);

    // Beside HTTP 200 the report may have been made all the same.
    wiz.answers_with(200, &slow_down);
    let error = client.create_report(&request()).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::RateLimited);
    assert_eq!(wiz.variables().len(), 3);
}

#[tokio::test]
async fn every_try_takes_a_turn_the_sign_in_among_them() {
    let wiz = FakeWiz::start().await;
    let accounts = WizAccounts::new(wiz.server.outgoing(), wiz.server.clock.clone(), NonZeroU32::MIN);
    let client = accounts.client(wiz.credentials("secret"));
    for _ in 0..2 {
        wiz.answers_with(503, &json!({}));
    }
    wiz.answers(&json!({"vulnerabilityFindings": {"nodes": []}}));
    let before = wiz.server.clock.now();
    assert!(!client.sees_finding().await.unwrap());
    // Four requests, a second apart each.
    assert!(wiz.server.clock.now().since(before) >= Duration::from_secs(3));
}
