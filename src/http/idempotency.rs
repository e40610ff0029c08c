//! `Idempotency-Key`: a call that a client repeats, since it does not know whether the first one came through, is answered
//! once more and done once.
//!
//! An answer of success is kept for a day, per API key; a refusal changed nothing, so it is not. A call with such a key goes on
//! when its client hangs up, so that the answer is there when the client comes back. Should the process die in the midst of
//! it, the repetition is done as though it were the first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::auth::Caller;
use super::extract::whole_body;
use super::problem::{FieldError, Problem, ProblemName};
use super::rules::rule_of;
use super::state::AppState;
use crate::store::{ANSWERS_KEPT_FOR, AnswerKey, KeptAnswer, RequestHash};

const HEADER: &str = "idempotency-key";
/// Says of an answer that it was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest answer that is kept whole. Longer ones are those of runs with many labels: they are kept without these, which
/// can be read elsewhere.
const MAX_KEPT_BYTES: usize = 256 * 1024;

/// The headers that are kept of an answer.
static KEPT_HEADERS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::LOCATION,
    header::ETAG,
    HeaderName::from_static("preference-applied"),
];

/// The calls with a key that are under way. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<Mutex<HashMap<AnswerKey, RequestHash>>>);

impl UnderWay {
    /// No call.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the place of a key; else what the call was that has it.
    fn begin(&self, key: &AnswerKey, request: &RequestHash) -> Result<Place, RequestHash> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = calls.get(key) {
            return Err(other.clone());
        }
        calls.insert(key.clone(), request.clone());
        Ok(Place {
            calls: self.clone(),
            key: key.clone(),
        })
    }
}

/// The place of a call under way, free again when it is dropped.
struct Place {
    calls: UnderWay,
    key: AnswerKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut calls = self.calls.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.remove(&self.key);
    }
}

/// Answers a repeated call with what was answered before.
pub(super) async fn repeat(State(app): State<AppState>, request: Request, next: Next) -> Response {
    if !request.headers().contains_key(HEADER) || !rule_of(&request).is_some_and(|rule| rule.is_repeatable) {
        return next.run(request).await;
    }
    match answer(app, request, next).await {
        Ok(answer) => answer,
        Err(problem) => problem.into_response(),
    }
}

async fn answer(app: AppState, request: Request, next: Next) -> Result<Response, Problem> {
    let caller = request.extensions().get::<Caller>();
    let key = AnswerKey {
        caller: caller.map(Caller::id).unwrap_or_default(),
        key: read_key(request.headers())?,
    };
    let (parts, body) = request.into_parts();
    let body = whole_body(Request::from_parts(parts.clone(), body), &app.clock).await?;
    let call = format!("{} {}", parts.method, parts.uri);
    let said: [&[u8]; 2] = [call.as_bytes(), &body];
    let hash = app.store.request_hash(&said);
    let place = app.under_way.begin(&key, &hash).map_err(|other| {
        if other == hash {
            Problem::new(
                ProblemName::RequestUnderWay,
                "The first call with this Idempotency-Key is under way. Repeat it in a moment.",
            )
            .retry_after(Duration::from_secs(1))
        } else {
            mismatch()
        }
    })?;
    let since = app.clock.now() - ANSWERS_KEPT_FOR;
    match app.store.kept_answer(&key, &said, since).await? {
        Some((_, false)) => return Err(mismatch()),
        Some((kept, true)) => return Ok(replayed(kept)),
        None => {}
    }
    let (done, wait) = oneshot::channel();
    let tasks = app.tasks.clone();
    let is_new_key = parts.uri.path() == "/api/v1/api-keys";
    tasks.spawn(async move {
        let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
        let answer = kept(&app, &key, &hash, answer, is_new_key).await;
        drop(place);
        // The client may have gone.
        drop(done.send(answer));
    });
    wait.await.map_err(|_| {
        Problem::new(
            ProblemName::Internal,
            "The service could not do this because of a fault of its own. The log tells more under this request_id.",
        )
    })
}

/// Keeps an answer of success; gives it on.
async fn kept(
    app: &AppState,
    key: &AnswerKey,
    request: &RequestHash,
    answer: Response,
    is_new_key: bool,
) -> Response {
    if !answer.status().is_success() {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let headers = KEPT_HEADERS.iter().filter_map(|name| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let kept = KeptAnswer {
        status: parts.status.as_u16(),
        headers: headers.collect(),
        body: fit_to_keep(&body, is_new_key),
    };
    if let Err(error) = app.store.keep_answer(key, request, &kept, app.clock.now()).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "an answer could not be kept for a repetition"
        );
    }
    Response::from_parts(parts, Body::from(body))
}

/// The body without what is secret or too long.
fn fit_to_keep(body: &Bytes, is_new_key: bool) -> Vec<u8> {
    if !is_new_key && body.len() <= MAX_KEPT_BYTES {
        return body.to_vec();
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    if is_new_key {
        if let Some(data) = value.get_mut("data").and_then(Value::as_object_mut) {
            data.remove("key");
        }
    } else {
        value["data"] = json!([]);
        value["meta"]["count"] = 0.into();
    }
    value.to_string().into_bytes()
}

fn replayed(kept: KeptAnswer) -> Response {
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn read_key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(HEADER).into_iter();
    let key = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    };
    let plain =
        |key: &&str| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = key.map(str::trim).filter(plain).ok_or_else(|| {
        let detail = "must be one value of 1 to 255 visible characters, a UUID for instance";
        Problem::of_members(
            ProblemName::InvalidBody,
            vec![FieldError::new("Idempotency-Key", detail)],
        )
    })?;
    Ok(key.to_owned())
}

fn mismatch() -> Problem {
    Problem::new(
        ProblemName::IdempotencyMismatch,
        "The Idempotency-Key was used for another call or body within the last day. Repeat that one, or take a new key.",
    )
}
