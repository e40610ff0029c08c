//! The outermost layer: the request's id, its span, its time, and the bodies of problems.

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use super::problem::Problem;
use super::state::AppState;

/// The id of a request: the caller's `x-request-id` where it is a plain word, else a new one.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

const HEADER: &str = "x-request-id";

impl RequestId {
    fn of(request: &Request) -> Self {
        let given = request
            .headers()
            .get(HEADER)
            .and_then(|value| value.to_str().ok());
        let plain = |id: &&str| {
            (1..=128).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        Self(
            given
                .filter(plain)
                .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned),
        )
    }
}

/// Gives a request its id and span, and its answer the id, the time, and where it is a problem the body.
pub(super) async fn layer(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let method = request.method().to_string();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!("http.request", method, route, request_id = id.0);
    let began = app.clock.now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let took = app.clock.now().since(began);
    let status = response.status().as_u16();
    app.metrics.request_answered(&method, &route, status, took);
    span.in_scope(|| tracing::info!(status, duration_ms = took.as_millis(), "answered"));
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let body = serde_json::to_vec(&problem.body(id.0.clone())).expect("plain data has a JSON form");
        *response.body_mut() = Body::from(body);
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
    }
    let id = HeaderValue::try_from(id.0).expect("a plain word fits into a header");
    response.headers_mut().insert(HEADER, id);
    response
}
