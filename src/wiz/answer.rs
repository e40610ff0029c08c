//! What an answer of the GraphQL API means. Success is data without any error: HTTP 200 alone says nothing, and partial
//! data is a failed call, never a shorter answer.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Problem, WizError};
use super::queries::Query;
use crate::domain::BearerToken;
use crate::outgoing::{Answer, neighbours_words, read_seconds};

#[derive(Deserialize)]
struct Envelope {
    data: Option<Value>,
    errors: Option<Vec<WireError>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireError {
    message: Value,
    extensions: Value,
}

impl WireError {
    fn code(&self) -> &str {
        self.extensions["code"].as_str().unwrap_or_default()
    }

    fn retry_after(&self) -> Option<Duration> {
        match &self.extensions["retryAfter"] {
            Value::String(text) => read_seconds(text),
            number => read_seconds(&number.to_string()),
        }
    }
}

/// Reads the data of an answer.
pub(super) fn read<T: DeserializeOwned>(
    query: &Query,
    answer: &Answer,
    token: &BearerToken,
) -> Result<T, WizError> {
    let status = answer.status.as_u16();
    let envelope: Option<Envelope> = serde_json::from_slice(&answer.body).ok();
    let errors = envelope
        .as_ref()
        .and_then(|envelope| envelope.errors.as_deref())
        .unwrap_or_default();
    if status == 200 && errors.is_empty() {
        let data = envelope
            .and_then(|envelope| envelope.data)
            .filter(|data| !data.is_null());
        let Some(data) = data else {
            return Err(Problem::Unreadable("not an answer of GraphQL".into()).when(query.purpose));
        };
        return serde_json::from_value(data).map_err(|error| {
            // Of the error only its kind and place: its text may quote a member.
            let text = format!("not as asked, {:?} error", error.classify());
            Problem::Unreadable(text).when(query.purpose)
        });
    }
    // The most telling error is one whose code is known.
    let known = errors
        .iter()
        .find_map(|error| by_code(query, error, status, token));
    let problem = known.unwrap_or_else(|| by_status(query, errors.first(), status, token));
    Err(WizError {
        purpose: query.purpose,
        problem,
        retry_after: answer
            .retry_after
            .or_else(|| errors.iter().find_map(WireError::retry_after)),
    })
}

fn by_code(query: &Query, error: &WireError, status: u16, token: &BearerToken) -> Option<Problem> {
    Some(match error.code() {
        "UNAUTHENTICATED" => Problem::TokenRefused,
        "UNAUTHORIZED" => denied(query, error, token),
        "FORBIDDEN_IP" => Problem::AddressDenied(403),
        "LICENSE_MISSING" => Problem::License,
        "BAD_USER_INPUT" | "GRAPHQL_VALIDATION_FAILED" | "VALIDATION_INVALID_TYPE_VARIABLE" => {
            Problem::BadInput(words(error, token))
        }
        "QUERY_COMPLEXITY_LIMIT_EXCEEDED" => Problem::Refused {
            status,
            text: words(error, token),
        },
        "RATE_LIMIT_EXCEEDED" => Problem::Throttled(status),
        "NOT_FOUND" => Problem::NotFound,
        "INTERNAL" => Problem::Unavailable(if status == 200 { 500 } else { status }),
        _ => return None,
    })
}

fn by_status(query: &Query, error: Option<&WireError>, status: u16, token: &BearerToken) -> Problem {
    match (status, error) {
        (401, _) => Problem::TokenRefused,
        (403, Some(error)) => denied(query, error, token),
        (403, None) => Problem::AddressDenied(403),
        (429, _) => Problem::Throttled(status),
        (408 | 500..=599, _) => Problem::Unavailable(status),
        (400, Some(error)) => Problem::BadInput(words(error, token)),
        (200..=299, Some(error)) => Problem::Unknown(words(error, token)),
        (_, Some(error)) => Problem::Refused {
            status,
            text: words(error, token),
        },
        (_, None) => Problem::Refused {
            status,
            text: "is wiz.apiendpoint of the integration Wiz's GraphQL API?".into(),
        },
    }
}

/// What is missing: the permissions that Wiz names as required, else the one that the query is known to need.
fn denied(query: &Query, error: &WireError, token: &BearerToken) -> Problem {
    let list = |member: &str| match &error.extensions[member] {
        Value::Array(scopes) => scopes
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|scope| neighbours_words(scope, 64, token))
            .collect(),
        _ => Vec::new(),
    };
    let effective: Vec<String> = list("effectiveScopes");
    let mut missing: Vec<String> = list("requiredScopes");
    missing.retain(|scope| !effective.contains(scope));
    missing.truncate(8);
    if missing.is_empty() {
        missing.push(query.scope.to_owned());
    }
    Problem::Denied { missing, effective }
}

/// Wiz's own words: the only ones that say why it refuses.
fn words(error: &WireError, token: &BearerToken) -> String {
    let message = error
        .message
        .as_str()
        .and_then(|text| neighbours_words(text, 300, token));
    let words = message.or_else(|| neighbours_words(error.code(), 64, token));
    words.unwrap_or_else(|| "no reason is given".into())
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::json;

    use super::super::queries::{CREATE_REPORT, READ_REPORT};
    use super::*;
    use crate::domain::FailureKind;

    fn read_as(status: u16, body: &str) -> Result<Value, WizError> {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.to_owned().into(),
            retry_after: None,
        };
        read(&CREATE_REPORT, &answer, &BearerToken::new("planted-token"))
    }

    fn error(status: u16, code: &str) -> WizError {
        let body = json!({"data": null, "errors": [{"message": "Why\nnot", "extensions": {"code": code}}]});
        read_as(status, &body.to_string()).unwrap_err()
    }

    #[test]
    fn each_code_of_wiz_says_what_to_do_and_whether_trying_again_helps() {
        for (status, code, kind, retryable) in [
            (401, "UNAUTHENTICATED", FailureKind::Credentials, false),
            (403, "UNAUTHORIZED", FailureKind::Permission, false),
            (200, "UNAUTHORIZED", FailureKind::Permission, false),
            (403, "FORBIDDEN_IP", FailureKind::Permission, false),
            (200, "LICENSE_MISSING", FailureKind::Permission, false),
            (400, "BAD_USER_INPUT", FailureKind::Report, false),
            (200, "GRAPHQL_VALIDATION_FAILED", FailureKind::Report, false),
            (400, "QUERY_COMPLEXITY_LIMIT_EXCEEDED", FailureKind::Report, false),
            (404, "NOT_FOUND", FailureKind::Report, false),
            (200, "INTERNAL", FailureKind::WizUnavailable, true),
            (429, "RATE_LIMIT_EXCEEDED", FailureKind::RateLimited, true),
            (200, "SOMETHING_NEW", FailureKind::Report, true),
            (503, "", FailureKind::WizUnavailable, true),
            (401, "", FailureKind::Credentials, false),
            (418, "", FailureKind::Report, false),
        ] {
            let failure = error(status, code).failure();
            assert_eq!(
                (failure.kind, failure.retryable),
                (kind, retryable),
                "{status} {code}"
            );
        }
        assert!(error(400, "BAD_USER_INPUT").is_bad_user_input());
        assert!(error(200, "NOT_FOUND").is_not_found());
        let failure = error(400, "BAD_USER_INPUT").failure();
        assert_eq!(
            failure.message,
            "Could not create the report: Wiz refuses the request: Why not"
        );
    }

    #[test]
    fn answers_that_are_not_graphql_are_told_by_their_status() {
        for (status, body, kind, retryable) in [
            (200, "<html>", FailureKind::WizUnavailable, true),
            (200, "{}", FailureKind::WizUnavailable, true),
            (200, r#"{"data":null}"#, FailureKind::WizUnavailable, true),
            (502, "<html>", FailureKind::WizUnavailable, true),
            (403, "<html>", FailureKind::Permission, false),
            (404, "<html>", FailureKind::Report, false),
            (429, "", FailureKind::RateLimited, true),
        ] {
            let failure = read_as(status, body).unwrap_err().failure();
            assert_eq!(
                (failure.kind, failure.retryable),
                (kind, retryable),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn partial_data_is_a_failed_call() {
        let body = r#"{"data":{"report":{"id":"1"}},"errors":[{"message":"timeout of a resolver"}]}"#;
        let failure = read_as(200, body).unwrap_err().failure();
        assert!(failure.retryable && failure.message.ends_with("Wiz says: timeout of a resolver"));
        assert_eq!(
            read_as(200, r#"{"data":{"a":1},"errors":[]}"#).unwrap(),
            json!({"a": 1})
        );
        assert_eq!(
            read_as(200, r#"{"data":{"a":1},"errors":null}"#).unwrap(),
            json!({"a": 1})
        );
    }

    #[test]
    fn the_missing_permission_is_named() {
        assert!(
            error(403, "UNAUTHORIZED")
                .failure()
                .message
                .contains("create:reports")
        );
        let body = json!({"errors": [{"extensions": {
            "code": "UNAUTHORIZED",
            "requiredScopes": ["read:reports", "read:vulnerabilities"],
            "effectiveScopes": ["read:reports"],
        }}]});
        let message = read_as(403, &body.to_string()).unwrap_err().failure().message;
        assert!(
            message.contains("lacks the permission read:vulnerabilities."),
            "{message}"
        );
    }

    #[test]
    fn the_time_to_wait_comes_with_the_header_or_the_error() {
        for (value, seconds) in [(json!(7), 7.0), (json!("7"), 7.0), (json!(1.5), 1.5)] {
            let body =
                json!({"errors": [{"extensions": {"code": "RATE_LIMIT_EXCEEDED", "retryAfter": value}}]});
            let error = read_as(429, &body.to_string()).unwrap_err();
            assert_eq!(error.retry_after(), Some(Duration::from_secs_f64(seconds)));
        }
        let answer = Answer {
            status: StatusCode::TOO_MANY_REQUESTS,
            body: "{}".into(),
            retry_after: Some(Duration::from_secs(9)),
        };
        let error = read::<Value>(&READ_REPORT, &answer, &BearerToken::new("t")).unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(9)));
    }

    #[test]
    fn a_token_that_is_echoed_is_not_repeated() {
        let body = json!({"errors": [{"message": "Bearer planted-token", "extensions": {"code": "BAD_USER_INPUT"}}]});
        let error = read_as(400, &body.to_string()).unwrap_err();
        let text = format!("{error:?} {}", error.failure().message);
        assert!(!text.contains("planted"), "{text}");
    }
}
