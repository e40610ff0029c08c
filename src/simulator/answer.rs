//! Answers, and the way to give none.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// An answer of the simulator.
pub(super) type Answer = Response<Body>;

/// Marks an answer that must not reach the client: the connection ends instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsent;

/// No answer: the connection ends.
pub(super) fn cut() -> Answer {
    let mut answer = Answer::default();
    answer.extensions_mut().insert(Unsent);
    answer
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Answer::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

/// An answer in plain text.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut answer = Answer::new(Body::from(text.into()));
    *answer.status_mut() = status;
    answer
}

/// The answer with a `Retry-After`, when there is one.
pub(super) fn with_retry_after(mut answer: Answer, seconds: Option<u64>) -> Answer {
    if let Some(seconds) = seconds {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// The status of a number that a fault or setting gives.
pub(super) fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A refusal in Fusion's form.
pub(super) fn fusion_error(status: StatusCode, message: impl Into<String>) -> Answer {
    let name = status.canonical_reason().unwrap_or("Error").replace(' ', "");
    json(
        status,
        &json!({"status": status.as_u16(), "name": name, "message": message.into()}),
    )
}

/// A success in Fusion's form.
pub(super) fn fusion_data(status: StatusCode, count: usize, data: &Value) -> Answer {
    json(
        status,
        &json!({"meta": {"code": status.as_u16(), "count": count}, "data": data}),
    )
}
