//! The calls for IP labels.

#![expect(
    clippy::disallowed_types,
    reason = "the simulator answers in Fusion's form, not in the service's own"
)]

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::simulator::answer::{Answer, empty, fusion_data, fusion_error};
use crate::simulator::fault::Effect;
use crate::simulator::shared::{Shared, bearer, is_good};

use super::labels::LabelPair;
use super::rules::{Record, record, records};
use super::token::refusal;

/// Answers carry at most so many records.
const MAX_ANSWERED: usize = 1_000;

/// `PUT` and `DELETE /api/v1/labels/ips/bulk`.
pub(in crate::simulator) async fn bulk(
    State(shared): State<Arc<Shared>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let puts = method == Method::PUT;
    let read = records(&body, puts);
    let pairs = read.as_ref().map_or_else(
        |_| Vec::new(),
        |read| read.iter().map(|(pair, _)| pair.clone()).collect(),
    );
    let busy = Busy::new(&shared, pairs);
    let name = if puts { "fusion.put" } else { "fusion.delete" };
    let concerns = |effect: &Effect| match effect {
        Effect::RejectRecords { ip } => busy.pairs.iter().any(|(of, _)| of == ip),
        _ => true,
    };
    let met = shared.meet(&[name.to_owned()], concerns).await;
    if let Some(answer) = met.instead(refusal) {
        return answer;
    }
    if let Some(refused) = refused(&shared, &headers, body.len()) {
        return refused;
    }
    if let Some(Effect::RejectRecords { ip }) = met
        .0
        .iter()
        .find(|effect| matches!(effect, Effect::RejectRecords { .. }))
    {
        return fusion_error(
            StatusCode::BAD_REQUEST,
            format!("the record of {ip} is not acceptable"),
        );
    }
    let answer = match read {
        Err(problem) => fusion_error(StatusCode::BAD_REQUEST, problem),
        Ok(records) if puts => put_all(&shared, records),
        Ok(records) => delete_all(&shared, &records),
    };
    met.sent(answer)
}

fn put_all(shared: &Shared, records: Vec<Record>) -> Answer {
    let mut state = shared.state();
    let store = &mut state.fusion.labels;
    let written = records.len();
    let mut changed = 0;
    for (pair, labels) in records {
        changed += usize::from(store.put(pair, labels));
        store.put += 1;
    }
    let count = if shared.settings.count_only_changes {
        changed
    } else {
        written
    };
    fusion_data(StatusCode::CREATED, count, &json!([]))
}

fn delete_all(shared: &Shared, records: &[Record]) -> Answer {
    let mut state = shared.state();
    let mut removed = 0;
    for (pair, _) in records {
        if state.fusion.labels.is_foreign(pair) {
            state.violation(format!(
                "a label that another product wrote was deleted: {}, {}",
                pair.0, pair.1
            ));
        }
        removed += usize::from(state.fusion.labels.remove(pair));
    }
    state.fusion.labels.deleted += u64::try_from(removed).unwrap_or(u64::MAX);
    let count = if shared.settings.count_only_changes {
        removed
    } else {
        records.len()
    };
    fusion_data(StatusCode::OK, count, &json!([]))
}

/// `PUT` and `POST /api/v1/labels/ips`.
pub(in crate::simulator) async fn one(
    State(shared): State<Arc<Shared>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let met = shared.meet(&["fusion.put".to_owned()], |_| true).await;
    if let Some(answer) = met
        .instead(refusal)
        .or_else(|| refused(&shared, &headers, body.len()))
    {
        return answer;
    }
    let item: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (pair, labels) = match record(&item, true) {
        Ok(record) => record,
        Err(problem) => return fusion_error(StatusCode::BAD_REQUEST, problem),
    };
    shared.state().fusion.labels.put(pair, labels);
    let status = if method == Method::POST {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    met.sent(fusion_data(status, 1, &item))
}

/// `GET /api/v1/labels/ips/all/{context}`.
pub(in crate::simulator) async fn all_of_context(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(context): Path<String>,
) -> Answer {
    answered(&shared, &headers, |(_, of)| *of == context).await
}

/// `GET /api/v1/labels/ips/{ip}`.
pub(in crate::simulator) async fn of_address(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(ip): Path<String>,
) -> Answer {
    let ip = ip.parse::<IpAddr>().ok();
    answered(&shared, &headers, |(of, _)| Some(*of) == ip).await
}

/// `GET` and `DELETE /api/v1/labels/ips/{ip}/{context}`.
pub(in crate::simulator) async fn one_pair(
    State(shared): State<Arc<Shared>>,
    method: Method,
    headers: HeaderMap,
    Path((ip, context)): Path<(String, String)>,
) -> Answer {
    let Ok(ip) = ip.parse::<IpAddr>() else {
        return fusion_error(StatusCode::BAD_REQUEST, "not an IP address");
    };
    let pair = (ip, context);
    if method == Method::GET {
        return answered(&shared, &headers, |of| *of == pair).await;
    }
    let met = shared.meet(&["fusion.delete".to_owned()], |_| true).await;
    if let Some(answer) = met.instead(refusal).or_else(|| refused(&shared, &headers, 0)) {
        return answer;
    }
    let mut state = shared.state();
    if state.fusion.labels.is_foreign(&pair) {
        state.violation(format!(
            "a label that another product wrote was deleted: {ip}, {}",
            pair.1
        ));
    }
    let answer = if state.fusion.labels.remove(&pair) {
        empty(StatusCode::NO_CONTENT)
    } else {
        fusion_error(StatusCode::NOT_FOUND, "no such label")
    };
    met.sent(answer)
}

/// The records that a condition names.
async fn answered(shared: &Shared, headers: &HeaderMap, wanted: impl Fn(&LabelPair) -> bool) -> Answer {
    let met = shared.meet(&["fusion.get".to_owned()], |_| true).await;
    if let Some(answer) = met.instead(refusal).or_else(|| refused(shared, headers, 0)) {
        return answer;
    }
    let state = shared.state();
    let found = state
        .fusion
        .labels
        .all()
        .iter()
        .filter(|(pair, _)| wanted(pair))
        .take(MAX_ANSWERED);
    let records =
        found.map(|((ip, context), labels)| json!({"ip": ip, "context": context, "labels": labels}));
    let records: Vec<Value> = records.collect();
    met.sent(fusion_data(StatusCode::OK, records.len(), &Value::Array(records)))
}

/// Who may not ask, and what is too much.
fn refused(shared: &Shared, headers: &HeaderMap, body_bytes: usize) -> Option<Answer> {
    let is_known = is_good(&shared.state().fusion.tokens, bearer(headers), shared.now());
    if !is_known {
        Some(fusion_error(
            StatusCode::UNAUTHORIZED,
            "the bearer token is missing, unknown or expired",
        ))
    } else if body_bytes > shared.settings.fusion_body_bytes {
        Some(fusion_error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too large",
        ))
    } else {
        None
    }
}

/// The pairs of a body that is being worked on, until this is dropped.
struct Busy<'a> {
    shared: &'a Shared,
    pairs: Vec<LabelPair>,
}

impl<'a> Busy<'a> {
    fn new(shared: &'a Shared, pairs: Vec<LabelPair>) -> Self {
        let mut state = shared.state();
        if let Some((ip, context)) = state.fusion.labels.occupy(&pairs).first() {
            let message = format!("two bodies at once hold the same pair: {ip}, {context}");
            state.violation(message);
        }
        drop(state);
        Self { shared, pairs }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.shared.state().fusion.labels.release(&self.pairs);
    }
}
