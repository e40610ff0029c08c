//! Extractors whose rejection is a problem that names the member.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::json::{self, JsonError};
use super::problem::{FieldError, Problem, ProblemName};
use super::state::AppState;
use crate::clock::Clock;
use crate::domain::Address;

/// How long a body may take to come, all of it: a mebibyte on a line of 300 kbit/s.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A JSON body, not yet looked into.
#[derive(Debug)]
pub(super) struct Json(pub(super) Value);

impl FromRequest<AppState> for Json {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let content_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let essence = content_type
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        let is_json = essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"));
        if !is_json {
            return Err(Problem::new(
                ProblemName::UnsupportedMediaType,
                "Send the body as JSON, with the header `Content-Type: application/json`.",
            ));
        }
        let body = whole_body(request, &state.clock).await?;
        // serde_json stops at 128 levels, so a deep body is an error and not an overflow.
        json::read(&body).map(Self).map_err(|error| match error {
            JsonError::NotJson(error) => {
                let place = format!("line {}, column {}", error.line(), error.column());
                Problem::new(
                    ProblemName::InvalidBody,
                    format!("The body is not JSON: it breaks off or goes wrong at {place}."),
                )
            }
            JsonError::Twice(pointer) => {
                let error = FieldError::new(pointer, "comes twice; send it once");
                Problem::of_members(ProblemName::InvalidBody, vec![error])
            }
        })
    }
}

/// The whole body of a request, within the limit of all bodies and in the time that they have.
pub(super) async fn whole_body(request: Request, clock: &Clock) -> Result<Bytes, Problem> {
    let body = tokio::select! {
        biased;
        body = Bytes::from_request(request, &()) => body,
        () = clock.sleep(BODY_TIME) => return Err(Problem::slow(BODY_TIME)),
    };
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        _ => Problem::unread(),
    })
}

/// The one id in a path.
#[derive(Debug)]
pub(super) struct Id<T>(pub(super) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let id = params
            .as_ref()
            .ok()
            .and_then(|params| params.iter().next())
            .and_then(|(_, id)| id.parse().ok());
        id.map(Self).ok_or_else(|| Problem::not_found("record"))
    }
}

/// The address in a path, its parameter `ip`; percent-encoding is undone.
#[derive(Debug)]
pub(super) struct IpInPath(pub(super) Address);

impl<S: Send + Sync> FromRequestParts<S> for IpInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let ip = params
            .iter()
            .flatten()
            .find_map(|(name, value)| (name == "ip").then_some(value));
        Address::read(ip.unwrap_or_default())
            .map(Self)
            .map_err(|problem| {
                let error = FieldError::new("{ip}", format!("is {problem}"));
                Problem::of_members(ProblemName::InvalidBody, vec![error])
            })
    }
}

/// The parameters of a query. Those that no call took are an error.
#[derive(Debug)]
pub(super) struct Query(BTreeMap<String, String>, Vec<FieldError>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            Vec::new(),
        ))
    }
}

impl Query {
    /// Takes a parameter; `read` says what is wrong with it.
    pub(super) fn take<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.0.remove(name)?;
        match read(&value) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.1.push(FieldError::new(format!("?{name}"), detail));
                None
            }
        }
    }

    /// Takes a switch: absent is off. An empty value is an error: it stands where a script's variable was not set.
    pub(super) fn switch(&mut self, name: &str) -> bool {
        let read = |value: &str| match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be `true` or `false`".to_owned()),
        };
        self.take(name, read).unwrap_or_default()
    }

    /// Takes the length of a page: 1 to 1,000.
    pub(super) fn limit(&mut self, default: u32) -> u32 {
        let read = |value: &str| match value.parse() {
            Ok(limit @ 1..=1000) => Ok(limit),
            _ => Err("must be a whole number from 1 to 1000".to_owned()),
        };
        self.take("limit", read).unwrap_or(default)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When a parameter was wrong, or one is left that no call took.
    pub(super) fn done(self) -> Result<(), Problem> {
        let Self(left, mut errors) = self;
        let name = if left.is_empty() {
            ProblemName::InvalidBody
        } else {
            ProblemName::UnknownMember
        };
        let unknown = left
            .keys()
            .map(|name| FieldError::new(format!("?{name}"), "is not a parameter of this call"));
        errors.extend(unknown);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::of_members(name, errors))
        }
    }
}

/// How long the caller would wait, from `Prefer: wait=S` (RFC 7240), at most 60 seconds.
pub(super) fn preferred_wait(headers: &HeaderMap) -> Option<std::time::Duration> {
    let preferences = headers
        .get_all("prefer")
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let mut waits = preferences
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("wait")
                .then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
        });
    waits
        .next()
        .map(|seconds| std::time::Duration::from_secs(seconds.min(60)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_preferred_wait_is_read_among_others_and_capped() {
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", value.parse().unwrap());
            preferred_wait(&headers)
        };
        assert_eq!(wait("wait=10"), Some(Duration::from_secs(10)));
        assert_eq!(
            wait("respond-async, Wait = \"600\""),
            Some(Duration::from_mins(1))
        );
        assert_eq!(wait("wait=soon"), None);
        assert_eq!(wait("return=minimal"), None);
    }
}
