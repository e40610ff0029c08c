//! Errors as answers: RFC 9457 problems that also carry the keys of Fusion's own errors.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Trigger;
use crate::store::StoreError;

/// The stable codes of errors, their status and their title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProblemName {
    InvalidBody,
    UnknownMember,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    NameTaken,
    RunUnderWay,
    RunEnded,
    PlanReplaced,
    LastAdminKey,
    RequestUnderWay,
    Gone,
    PreconditionFailed,
    TooLarge,
    UnsupportedMediaType,
    IdempotencyMismatch,
    Slow,
    RateLimited,
    Internal,
}

impl ProblemName {
    /// The status of an answer.
    pub(super) const fn status(self) -> StatusCode {
        self.parts().1
    }

    const fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidBody => (
                "invalid_body",
                StatusCode::BAD_REQUEST,
                "The request cannot be used",
            ),
            Self::UnknownMember => (
                "unknown_member",
                StatusCode::BAD_REQUEST,
                "The request has an unknown member",
            ),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "An API key is needed"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "The role is too narrow"),
            Self::NotAcceptable => (
                "not_acceptable",
                StatusCode::NOT_ACCEPTABLE,
                "The answer has another type",
            ),
            Self::LastAdminKey => (
                "last_admin_key",
                StatusCode::CONFLICT,
                "It is the last key that may do everything",
            ),
            Self::RequestUnderWay => (
                "request_under_way",
                StatusCode::CONFLICT,
                "The first call is under way",
            ),
            Self::IdempotencyMismatch => (
                "idempotency_mismatch",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The key belongs to another request",
            ),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "There is no such thing"),
            Self::MethodNotAllowed => (
                "method_not_allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "Not with this method",
            ),
            Self::NameTaken => ("name_taken", StatusCode::CONFLICT, "The name is taken"),
            Self::RunUnderWay => ("run_under_way", StatusCode::CONFLICT, "A run is under way"),
            Self::RunEnded => ("run_ended", StatusCode::CONFLICT, "The run has ended"),
            Self::PlanReplaced => ("plan_replaced", StatusCode::CONFLICT, "The plan was replaced"),
            Self::Gone => ("gone", StatusCode::GONE, "It is no longer kept"),
            Self::PreconditionFailed => (
                "precondition_failed",
                StatusCode::PRECONDITION_FAILED,
                "The settings changed meanwhile",
            ),
            Self::TooLarge => (
                "too_large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body is too large",
            ),
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON",
            ),
            Self::Slow => (
                "request_timeout",
                StatusCode::REQUEST_TIMEOUT,
                "The body came too slowly",
            ),
            Self::RateLimited => ("rate_limited", StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "The service could not",
            ),
        }
    }
}

/// The most members that an answer names, so that it stays smaller than a request that has nothing but wrong ones.
const MOST_ERRORS: usize = 100;

/// What is wrong with one member of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct FieldError {
    /// The member, as a JSON pointer; `?name` for a query parameter.
    #[schema(example = "/updateinterval")]
    pub(super) pointer: String,
    /// What is wrong, and what would be right.
    #[schema(example = "must be a whole number of seconds from 86400 (one day) to 604800 (one week)")]
    pub(super) detail: String,
}

impl FieldError {
    /// An error of the member at a pointer.
    pub(super) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

/// An error answer.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    name: ProblemName,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
}

/// An error answer (`application/problem+json`, RFC 9457) with the keys of Fusion's errors beside.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// The kind of problem; relative to the service.
    #[schema(example = "/problems/invalid_body")]
    pub(super) r#type: String,
    /// The kind in words.
    #[schema(example = "The request cannot be used")]
    pub(super) title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    pub(super) status: u16,
    /// What happened, and what to do.
    pub(super) detail: String,
    /// The stable code of the kind.
    #[schema(example = "invalid_body")]
    pub(super) name: &'static str,
    /// The same as `detail`.
    pub(super) message: String,
    /// What is wrong with each member, where members are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<FieldError>,
    /// The id of the request, to find it in the log.
    pub(super) request_id: String,
}

impl Problem {
    /// A problem of a kind; the detail is a sentence that also says what to do.
    pub(super) fn new(name: ProblemName, detail: impl Into<String>) -> Self {
        Self {
            name,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// The same, with when it may be tried again.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }

    /// The body is longer than any call needs.
    pub(super) fn too_large() -> Self {
        Self::new(
            ProblemName::TooLarge,
            "The body is larger than 1 MiB, which no call of this service needs.",
        )
    }

    /// The body did not come in the time that it had.
    pub(super) fn slow(time: Duration) -> Self {
        Self::new(
            ProblemName::Slow,
            format!(
                "The body did not come within {} s. Send it again, without pauses.",
                time.as_secs()
            ),
        )
    }

    /// The body broke off.
    pub(super) fn unread() -> Self {
        Self::new(
            ProblemName::InvalidBody,
            "The body could not be read to its end. Send it again.",
        )
    }

    /// A problem with members of the request; unknown members decide the kind.
    pub(super) fn of_members(name: ProblemName, mut errors: Vec<FieldError>) -> Self {
        errors.truncate(MOST_ERRORS);
        let told: Vec<_> = errors
            .iter()
            .map(|error| format!("`{}` {}", error.pointer, error.detail))
            .collect();
        Self {
            name,
            detail: format!("{}.", told.join("; ")),
            errors,
            retry_after: None,
        }
    }

    /// There is no integration, run or record with the id.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            ProblemName::NotFound,
            format!("There is no {what} with this id. List them to see which there are."),
        )
    }

    /// The body, for the request of that id.
    pub(super) fn body(self, request_id: String) -> ProblemBody {
        let (name, status, title) = self.name.parts();
        ProblemBody {
            r#type: format!("/problems/{name}"),
            title,
            status: status.as_u16(),
            message: self.detail.clone(),
            detail: self.detail,
            name,
            errors: self.errors,
            request_id,
        }
    }
}

impl IntoResponse for Problem {
    /// The problem travels as an extension to the outermost layer, which knows the request's id and writes the body.
    fn into_response(self) -> Response {
        let status = self.name.status();
        let mut response = status.into_response();
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            let seconds = HeaderValue::from(wait.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::not_found(what),
            StoreError::RunEnded(state) => Self::new(
                ProblemName::RunEnded,
                format!("The run has ended already, as `{}`.", state.as_str()),
            ),
            StoreError::RunEnding(run) => Self::new(
                ProblemName::RunUnderWay,
                format!("The run {run} was told to end and is still ending. Try again in a moment."),
            )
            .retry_after(Duration::from_secs(2)),
            StoreError::RunUnderWay(run, Trigger::Removal) => Self::new(
                ProblemName::RunUnderWay,
                format!(
                    "The run {run} removes this integration and its labels. Wait for its end, or cancel it to keep the \
                     integration."
                ),
            ),
            StoreError::RunUnderWay(run, trigger) => Self::new(
                ProblemName::RunUnderWay,
                format!(
                    "The run {run} ({}) is under way. Wait for its end, or cancel it.",
                    trigger.as_str()
                ),
            ),
            StoreError::NothingHeld => Self::new(
                ProblemName::PlanReplaced,
                "The run keeps nothing back: it never did, a later run judged afresh, or it was approved already.",
            ),
            StoreError::LastAdminKey => Self::new(
                ProblemName::LastAdminKey,
                "Without this key nobody could make keys, for the settings have none. Make another of the role `admin` that \
                 does not expire, or set WIZ_CONTEXT_ADMIN_KEY, first.",
            ),
            StoreError::NameTaken => Self::of_members(
                ProblemName::NameTaken,
                vec![FieldError::new(
                    "/name",
                    "is taken by another one; choose another",
                )],
            ),
            StoreError::StaleTag => Self::new(
                ProblemName::PreconditionFailed,
                "The settings changed since they were read. Read them again and repeat the change with the new ETag.",
            ),
            error => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a request failed in the store"
                );
                Self::new(
                    ProblemName::Internal,
                    "The service could not do this because of a fault of its own. The log tells more under this request_id.",
                )
            }
        }
    }
}
