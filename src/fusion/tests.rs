//! Calls against a Fusion of a few lines that keeps what it is given.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{get, post, put};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use super::{FusionAccount, FusionClient, PushOutcome};
use crate::domain::{AllowedHosts, Context, FailureKind, LabelRecord, Labels, Pair};
use crate::outgoing::test_server::TestServer;

/// The account whose key signs in at a server.
pub(super) fn account(url: &Url) -> FusionAccount {
    let secret = json!({
        "url": url, "shortname": "acme", "appname": "wiz-context", "sharedsecret": "planted-secret", "appkey": "planted-key",
    });
    let secret = BASE64_STANDARD_NO_PAD.encode(secret.to_string());
    FusionAccount::read(&secret, &AllowedHosts::default()).unwrap()
}

/// A pair of its own for each number.
pub(super) fn pair(number: u32) -> Pair {
    let ip = std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number));
    Pair {
        ip: ip.try_into().unwrap(),
        context: Context::Cve,
    }
}

/// A record of that many labels.
pub(super) fn record(number: u32, labels: usize) -> LabelRecord {
    let lines: Vec<_> = (0..labels).map(|label| format!("CVE-2026-{label:04}")).collect();
    LabelRecord {
        pair: pair(number),
        labels: Labels::from_lines(lines.join("\n")).unwrap(),
    }
}

fn records(count: u32) -> Vec<LabelRecord> {
    (0..count).map(|number| record(number, 1)).collect()
}

#[derive(Default)]
struct Script {
    sign_ins: Vec<Value>,
    /// Answers in place of the real one, next first; `None` lets a call pass.
    faults: VecDeque<Option<(StatusCode, &'static str)>>,
    refused_tokens: Vec<&'static str>,
    /// Addresses that make a request a bad one.
    bad: Vec<String>,
    calls: usize,
    held: BTreeMap<String, Value>,
}

type Shared = Arc<Mutex<Script>>;

struct FakeFusion {
    server: TestServer,
    state: Shared,
}

impl FakeFusion {
    async fn start() -> Self {
        let state = Shared::default();
        let router = Router::new()
            .route("/api/v1/auth/token", post(sign_in))
            .route("/api/v1/labels/ips/bulk", put(write).delete(delete))
            .route("/api/v1/labels/ips/{ip}", get(read))
            .with_state(state.clone());
        let server = TestServer::start(router).await;
        Self { server, state }
    }

    fn client(&self) -> FusionClient {
        let account = account(&self.server.url("/api/v1"));
        FusionClient::new(self.server.outgoing(), self.server.clock.clone(), account)
    }

    fn refuse(&self, numbers: impl IntoIterator<Item = u32>) {
        let bad = numbers.into_iter().map(|number| pair(number).ip.to_string());
        self.state.lock().unwrap().bad = bad.collect();
    }

    fn fail(&self, status: StatusCode, body: &'static str) {
        self.state.lock().unwrap().faults.push_back(Some((status, body)));
    }

    fn held(&self) -> usize {
        self.state.lock().unwrap().held.len()
    }

    fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }
}

async fn sign_in(State(state): State<Shared>, body: Bytes) -> String {
    let mut state = state.lock().unwrap();
    state.sign_ins.push(serde_json::from_slice(&body).unwrap());
    json!({ "access_token": format!("t{}", state.sign_ins.len()), "expires_in": 86_400 }).to_string()
}

type Reply = (StatusCode, String);

/// Takes a bulk call apart, or answers it with a refusal.
fn begin(state: &mut Script, headers: &HeaderMap, body: &[u8]) -> Result<Vec<Value>, Reply> {
    state.calls += 1;
    let token = headers["authorization"]
        .to_str()
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap();
    if state.refused_tokens.contains(&token) {
        return Err((StatusCode::UNAUTHORIZED, String::new()));
    }
    if let Some((status, body)) = state.faults.pop_front().flatten() {
        return Err((status, body.to_owned()));
    }
    let records: Vec<Value> = serde_json::from_slice(body).unwrap();
    if records
        .iter()
        .any(|record| state.bad.iter().any(|bad| record["ip"] == **bad))
    {
        let error = json!({ "status": 400, "name": "BadRequest", "message": "a bad address" });
        return Err((StatusCode::BAD_REQUEST, error.to_string()));
    }
    Ok(records)
}

async fn write(State(state): State<Shared>, headers: HeaderMap, body: Bytes) -> Reply {
    let mut state = state.lock().unwrap();
    match begin(&mut state, &headers, &body) {
        Err(refusal) => refusal,
        Ok(records) => {
            let count = records.len();
            let keyed = records
                .into_iter()
                .map(|record| (record["ip"].to_string(), record));
            state.held.extend(keyed);
            (
                StatusCode::CREATED,
                json!({ "meta": { "code": 201, "count": count }, "data": [] }).to_string(),
            )
        }
    }
}

async fn delete(State(state): State<Shared>, headers: HeaderMap, body: Bytes) -> Reply {
    let mut state = state.lock().unwrap();
    match begin(&mut state, &headers, &body) {
        Err(refusal) => refusal,
        Ok(pairs) => {
            let removed = pairs
                .iter()
                .filter(|pair| state.held.remove(&pair["ip"].to_string()).is_some());
            let count = removed.count();
            (
                StatusCode::OK,
                json!({ "meta": { "code": 200, "count": count }, "data": [] }).to_string(),
            )
        }
    }
}

async fn read(State(state): State<Shared>, uri: Uri) -> Reply {
    let state = state.lock().unwrap();
    let ip = uri.path().rsplit('/').next().unwrap().to_owned();
    match state.held.get(&Value::from(ip).to_string()) {
        Some(record) => (StatusCode::OK, json!({ "data": [record] }).to_string()),
        None => (StatusCode::NOT_FOUND, String::new()),
    }
}

fn settled(outcome: &PushOutcome) -> (usize, usize, usize) {
    (
        outcome.acknowledged.len(),
        outcome.rejected.len(),
        outcome.unsettled.len(),
    )
}

#[tokio::test]
async fn labels_are_written_read_and_deleted() {
    let fusion = FakeFusion::start().await;
    let client = fusion.client();
    assert_eq!(client.put(&records(3)).await.unwrap().count, Some(3));
    let held = client.labels_of(pair(1).ip).await.unwrap();
    assert_eq!((held.len(), held[0].context.as_str()), (1, "cve"));
    assert_eq!(held[0].labels, ["CVE-2026-0000"]);
    assert_eq!(client.delete(&[pair(1), pair(2)]).await.unwrap().count, Some(2));
    assert!(client.labels_of(pair(1).ip).await.unwrap().is_empty());
    assert_eq!(fusion.held(), 1);

    let state = fusion.state.lock().unwrap();
    assert_eq!(
        state.held.values().next().unwrap()["labels"],
        json!(["CVE-2026-0000"])
    );
    assert_eq!(state.sign_ins.len(), 1);
    assert_eq!(
        state.sign_ins[0].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["jwt"]
    );
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let fusion = FakeFusion::start().await;
    let client = fusion.client();
    fusion.state.lock().unwrap().refused_tokens = vec!["t1"];
    let (a, b) = tokio::join!(client.put(&[]), client.put(&[]));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(fusion.state.lock().unwrap().sign_ins.len(), 2);

    fusion.state.lock().unwrap().refused_tokens = vec!["t2", "t3"];
    let failure = client.put(&records(1)).await.unwrap_err().failure();
    assert_eq!(
        (failure.kind, failure.retryable),
        (FailureKind::Credentials, false)
    );
    assert_eq!(fusion.state.lock().unwrap().sign_ins.len(), 3);
}

#[tokio::test]
async fn a_client_apart_signs_in_even_with_a_token_at_hand() {
    let fusion = FakeFusion::start().await;
    let client = fusion.client();
    client.sign_in().await.unwrap();
    client.sign_in().await.unwrap();
    client.apart().sign_in().await.unwrap();
    assert_eq!(fusion.state.lock().unwrap().sign_ins.len(), 2);
}

#[tokio::test]
async fn bad_records_stand_alone_in_the_end_and_keep_no_other_back() {
    let fusion = FakeFusion::start().await;
    fusion.refuse([7, 8, 99]);
    let outcome = fusion.client().push_labels(&records(100)).await;
    assert_eq!(settled(&outcome), (97, 3, 0));
    let rejected: Vec<_> = outcome.rejected.iter().map(|(pair, _)| *pair).collect();
    assert_eq!(rejected, [pair(7), pair(8), pair(99)]);
    assert_eq!(outcome.rejected[0].1, "a bad address");
    assert!(outcome.error.is_none() && !outcome.count_differs);
    assert_eq!(fusion.held(), 97);

    fusion.refuse([3]);
    let pairs: Vec<_> = (0..6).map(pair).collect();
    let outcome = fusion.client().push_removals(&pairs).await;
    assert_eq!(settled(&outcome), (5, 1, 0));
    assert_eq!(fusion.held(), 92);
}

#[tokio::test]
async fn a_batch_that_is_too_large_for_fusion_is_sent_in_parts() {
    let fusion = FakeFusion::start().await;
    fusion.fail(StatusCode::PAYLOAD_TOO_LARGE, "");
    let outcome = fusion.client().push_labels(&records(10)).await;
    assert_eq!((settled(&outcome), fusion.calls()), ((10, 0, 0), 3));
}

#[tokio::test]
async fn a_batch_that_is_bad_throughout_is_given_up() {
    let fusion = FakeFusion::start().await;
    fusion.refuse(0..1000);
    let outcome = fusion.client().push_labels(&records(1000)).await;
    assert_eq!(settled(&outcome), (0, 32, 968));
    let failure = outcome.error.unwrap().failure();
    assert_eq!(
        (failure.kind, failure.retryable),
        (FailureKind::FusionRejected, false)
    );
    assert!(failure.message.contains("each of the 32 records") && failure.message.ends_with("a bad address"));

    // a small one is tried to its end
    let fusion = FakeFusion::start().await;
    fusion.refuse(0..32);
    let outcome = fusion.client().push_labels(&records(32)).await;
    assert_eq!(settled(&outcome), (0, 32, 0));
    assert!(outcome.error.is_none());
}

#[tokio::test]
async fn many_bad_records_at_the_front_do_not_hide_the_good_ones() {
    let fusion = FakeFusion::start().await;
    fusion.refuse(0..100);
    let outcome = fusion.client().push_labels(&records(1000)).await;
    assert_eq!(settled(&outcome), (900, 100, 0));
}

#[tokio::test]
async fn an_outage_in_the_middle_leaves_the_rest_unsettled() {
    let fusion = FakeFusion::start().await;
    let client = fusion.client();
    // the batch is refused, its first half taken, and quick retries do not outlast the outage at the second
    fusion.fail(StatusCode::BAD_REQUEST, "");
    fusion.state.lock().unwrap().faults.push_back(None);
    for _ in 0..3 {
        fusion.fail(StatusCode::SERVICE_UNAVAILABLE, "");
    }
    let outcome = client.push_labels(&records(4)).await;
    assert_eq!((settled(&outcome), fusion.held()), ((2, 0, 2), 2));
    assert_eq!(outcome.unsettled, [pair(2), pair(3)]);
    let failure = outcome.error.unwrap().failure();
    assert_eq!(
        (failure.kind, failure.retryable),
        (FailureKind::FusionUnavailable, true)
    );

    // 429 is left to the run, which knows how long it can wait
    fusion.fail(StatusCode::TOO_MANY_REQUESTS, "");
    let before = fusion.calls();
    let outcome = client.push_removals(&[pair(0)]).await;
    assert_eq!((settled(&outcome), fusion.calls() - before), ((0, 0, 1), 1));
    assert_eq!(outcome.error.unwrap().failure().kind, FailureKind::RateLimited);
}

#[tokio::test]
async fn a_short_outage_is_outlasted() {
    let fusion = FakeFusion::start().await;
    fusion.fail(StatusCode::BAD_GATEWAY, "");
    fusion.fail(StatusCode::GATEWAY_TIMEOUT, "");
    assert_eq!(
        settled(&fusion.client().push_labels(&records(2)).await),
        (2, 0, 0)
    );
}

#[tokio::test]
async fn another_count_than_was_sent_is_told() {
    let fusion = FakeFusion::start().await;
    let outcome = fusion.client().push_removals(&[pair(1)]).await;
    assert!(outcome.count_differs && settled(&outcome) == (1, 0, 0));
}

#[tokio::test]
async fn what_is_no_acknowledgement_settles_nothing() {
    let fusion = FakeFusion::start().await;
    fusion.fail(StatusCode::OK, "<html>a proxy</html>");
    let outcome = fusion.client().push_labels(&records(1)).await;
    assert_eq!(settled(&outcome), (0, 0, 1));
    assert!(outcome.error.unwrap().failure().retryable);
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end() {
    let fusion = FakeFusion::start().await;
    let client = fusion.client();
    client.sign_in().await.unwrap();
    fusion.server.clock.advance(Duration::from_mins(24 * 60 - 5));
    client.sign_in().await.unwrap();
    assert_eq!(fusion.state.lock().unwrap().sign_ins.len(), 2);
}
