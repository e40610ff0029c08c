//! Sign-in: a token for a service account.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::error::{Problem, WizError};
use crate::domain::{BearerToken, WizCredentials};
use crate::outgoing::{Answer, Call, FreshToken, Outgoing, Repeat};

/// Sign-ins answer within a second or two.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The life of a token that does not tell: the shortest of any tenant.
const SHORTEST_LIFE: Duration = Duration::from_mins(15);

const PURPOSE: &str = "sign in at Wiz";

/// The two members that are certain; `expires_in` has been seen as text.
#[derive(Deserialize)]
struct WireToken {
    access_token: Option<Value>,
    expires_in: Option<Value>,
}

/// Signs a service account in.
pub(super) async fn sign_in(
    outgoing: &Outgoing,
    credentials: &WizCredentials,
) -> Result<FreshToken, WizError> {
    let token_url = &credentials.connection.token_url;
    let call = Call::new("wiz.sign_in", Method::POST, token_url.url().clone(), TIMEOUT)
        .repeat(Repeat::Harmless)
        .form(&[
            ("grant_type", "client_credentials"),
            ("audience", token_url.audience()),
            ("client_id", &credentials.connection.client_id),
            ("client_secret", credentials.client_secret.expose()),
        ]);
    let answer = outgoing
        .send(&call)
        .await
        .map_err(|error| Problem::from(error).when(PURPOSE))?;
    read(&answer)
}

/// Reads the answer; nothing of its body goes into an error, since identity providers may echo the request.
fn read(answer: &Answer) -> Result<FreshToken, WizError> {
    let problem = match answer.status.as_u16() {
        200 => match serde_json::from_slice::<WireToken>(&answer.body) {
            Err(_) => Problem::Unreadable("not a sign-in's answer".into()),
            Ok(wire) => match wire.access_token {
                Some(Value::String(token)) if is_token(&token) => {
                    return Ok(FreshToken {
                        token: BearerToken::new(token),
                        life: wire.expires_in.as_ref().and_then(life).unwrap_or(SHORTEST_LIFE),
                    });
                }
                _ => Problem::NoToken,
            },
        },
        // Identity providers answer 400 with `invalid_client` too.
        status @ (400 | 401 | 403) => Problem::SignInRefused(status),
        429 => Problem::Throttled,
        status @ (408 | 500..=599) => Problem::Unavailable(status),
        status => Problem::Refused {
            status,
            text: "is wiz.tokenurl of the integration Wiz's token URL?".into(),
        },
    };
    Err(WizError {
        purpose: PURPOSE,
        problem,
        retry_after: answer.retry_after,
    })
}

/// Whether a text can stand in a header as a token.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn life(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_u64()?,
    };
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::domain::FailureKind;

    fn read_as(status: u16, body: &'static str) -> Result<(String, u64), WizError> {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.into(),
            retry_after: None,
        };
        read(&answer).map(|fresh| (fresh.token.expose().to_owned(), fresh.life.as_secs()))
    }

    #[test]
    fn a_token_reads_with_its_life() {
        for (body, life_s) in [
            (
                r#"{"access_token":"t","expires_in":86400,"token_type":"Bearer"}"#,
                86_400,
            ),
            (r#"{"access_token":"t","expires_in":"900"}"#, 900),
            (r#"{"access_token":"t"}"#, 900),
            (r#"{"access_token":"t","expires_in":0}"#, 900),
        ] {
            assert_eq!(read_as(200, body).unwrap(), ("t".to_owned(), life_s), "{body}");
        }
    }

    #[test]
    fn what_is_no_token_says_why_and_repeats_nothing_of_the_answer() {
        for (status, body, kind, retryable) in [
            (
                401,
                r#"{"error":"access_denied planted"}"#,
                FailureKind::Credentials,
                false,
            ),
            (403, "planted", FailureKind::Credentials, false),
            (
                400,
                r#"{"error":"invalid_client planted"}"#,
                FailureKind::Credentials,
                false,
            ),
            (200, r#"{"error":"planted"}"#, FailureKind::Credentials, false),
            (200, r#"{"access_token":""}"#, FailureKind::Credentials, false),
            (
                200,
                r#"{"access_token":"planted\n"}"#,
                FailureKind::Credentials,
                false,
            ),
            (200, "<html>planted", FailureKind::WizUnavailable, true),
            (429, "planted", FailureKind::RateLimited, true),
            (503, "planted", FailureKind::WizUnavailable, true),
            (404, "planted", FailureKind::Report, false),
        ] {
            let error = read_as(status, body).unwrap_err();
            let failure = error.failure();
            assert_eq!(
                (failure.kind, failure.retryable),
                (kind, retryable),
                "{status} {body}"
            );
            assert!(
                !format!("{error:?} {failure:?}").contains("planted"),
                "{failure:?}"
            );
        }
    }
}
