//! What an answer of Fusion means. The status is the acknowledgement; nothing is judged by the length of `data`.

use serde::Deserialize;

use super::error::{FusionError, Problem};
use crate::domain::BearerToken;
use crate::outgoing::{Answer, neighbours_words};

/// What of Fusion's error envelope is read: `{"status","name","message"}`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireError {
    name: Option<String>,
    message: Option<String>,
}

/// Passes an answer with the status that acknowledges the call, which was made with `token`.
pub(super) fn expect(
    answer: &Answer,
    status: u16,
    purpose: &'static str,
    token: &BearerToken,
) -> Result<(), FusionError> {
    let problem = match answer.status.as_u16() {
        answered if answered == status => return Ok(()),
        401 => Problem::TokenRefused,
        403 => Problem::Denied,
        429 => Problem::Throttled,
        status @ (400 | 413 | 422) => Problem::Content {
            status,
            text: words(answer, token),
        },
        status @ (408 | 500..=599) => Problem::Unavailable(status),
        status @ 400..=499 => Problem::Refused {
            status,
            text: words(answer, token),
        },
        status => Problem::NotAcknowledged(status),
    };
    Err(FusionError {
        purpose,
        problem,
        retry_after: answer.retry_after,
    })
}

/// Fusion's own words: the only ones that say why it refuses.
fn words(answer: &Answer, token: &BearerToken) -> String {
    let error: WireError = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = [error.message, error.name];
    let words = words
        .into_iter()
        .flatten()
        .find_map(|text| neighbours_words(&text, 300, token));
    words.unwrap_or_else(|| "no reason is given".into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::*;
    use crate::domain::FailureKind;

    fn error(status: u16, body: &'static str) -> FusionError {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.into(),
            retry_after: Some(Duration::from_secs(7)),
        };
        expect(&answer, 201, "write labels", &BearerToken::new("planted-token")).unwrap_err()
    }

    #[test]
    fn a_token_that_is_echoed_is_not_repeated() {
        let error = error(
            400,
            r#"{"status":400,"name":"bad_request","message":"Bearer planted-token is odd"}"#,
        );
        let text = format!("{error:?} {}", error.failure().message);
        assert!(
            !text.contains("planted") && text.contains("bad_request"),
            "{text}"
        );
    }

    #[test]
    fn each_status_says_what_to_do_and_whether_trying_again_helps() {
        for (status, kind, retryable) in [
            (400, FailureKind::FusionRejected, false),
            (401, FailureKind::Credentials, false),
            (403, FailureKind::Permission, false),
            (404, FailureKind::FusionRejected, false),
            (413, FailureKind::FusionRejected, false),
            (422, FailureKind::FusionRejected, false),
            (429, FailureKind::RateLimited, true),
            (500, FailureKind::FusionUnavailable, true),
            (503, FailureKind::FusionUnavailable, true),
            (200, FailureKind::FusionUnavailable, true),
            (204, FailureKind::FusionUnavailable, true),
        ] {
            let error = error(status, "{}");
            let failure = error.failure();
            assert_eq!((failure.kind, failure.retryable), (kind, retryable), "{status}");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
            assert_eq!(
                error.refused_content().is_some(),
                matches!(status, 400 | 413 | 422)
            );
        }
    }

    #[test]
    fn fusions_words_are_passed_on() {
        let body = r#"{"status":400,"name":"BadRequest","message":"label\nis invalid"}"#;
        assert_eq!(
            error(400, body).failure().message,
            "Could not write labels: Fusion refuses what was sent (HTTP 400): label is invalid"
        );
        for (body, words) in [
            (r#"{"name":"BadRequest"}"#, "BadRequest"),
            ("<html>", "no reason is given"),
        ] {
            assert_eq!(error(400, body).refused_content(), Some(words));
        }
    }
}
