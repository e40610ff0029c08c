//! What browsers are told: the headers that keep answers from being misused, and which pages of other origins may ask.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::problem::{FieldError, Problem, ProblemName};
use crate::domain::Origin;

/// Nothing of an answer is to be run, shown in a frame, or kept by anybody on the way.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
];

/// The pages below `/docs` bring their own scripts and styles; nothing comes from elsewhere.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers that a request carries once. Whoever reads the other one, a proxy perhaps, would see another request.
const ONCE: [HeaderName; 5] = [
    header::HOST,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    HeaderName::from_static("idempotency-key"),
];

/// Adds the headers to an answer that does not have its own.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    let docs = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if docs {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(DOCS_POLICY),
        );
    }
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Refuses requests that carry a header twice of which there is to be one.
pub(super) async fn refuse_doubles(request: Request, next: Next) -> Response {
    let twice = |name: &&HeaderName| request.headers().get_all(*name).iter().nth(1).is_some();
    let errors: Vec<_> = ONCE
        .iter()
        .filter(twice)
        .map(|name| FieldError::new(name.as_str(), "is a header that may come once only"))
        .collect();
    if errors.is_empty() {
        next.run(request).await
    } else {
        Problem::of_members(ProblemName::InvalidBody, errors).into_response()
    }
}

/// Lets pages of these origins ask. Keys go in a header, so that no page has one by itself, as it would have a cookie.
pub(super) fn cross_origin(origins: &[Origin]) -> CorsLayer {
    let origins = origins
        .iter()
        .map(|origin| HeaderValue::try_from(origin.as_str()).expect("an origin fits into a header"));
    let plain = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            plain("idempotency-key"),
            plain("last-event-id"),
            plain("prefer"),
            plain("x-request-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            plain("preference-applied"),
            plain("ratelimit"),
            plain("ratelimit-policy"),
            plain("x-request-id"),
        ])
        .max_age(Duration::from_mins(10))
}
