//! Sign-in: a token for a service account.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;

use super::error::{Problem, WizError};
use crate::domain::WizCredentials;
use crate::outgoing::{Answer, Call, FreshToken, NoToken, Outgoing, RateLimiter, Repeat};

/// Sign-ins answer within a second or two.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The life of a token that does not tell: the shortest of any tenant.
const SHORTEST_LIFE: Duration = Duration::from_mins(15);

const PURPOSE: &str = "sign in at Wiz";

/// Signs a service account in.
pub(super) async fn sign_in(
    outgoing: &Outgoing,
    limiter: &Arc<RateLimiter>,
    credentials: &WizCredentials,
) -> Result<FreshToken, WizError> {
    let token_url = &credentials.connection.token_url;
    let call = Call::new("wiz.sign_in", Method::POST, token_url.url().clone(), TIMEOUT)
        .repeat(Repeat::Harmless)
        .limited(limiter)
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
        200 => match FreshToken::read(&answer.body, SHORTEST_LIFE) {
            Ok(token) => return Ok(token),
            Err(NoToken::NotAnAnswer) => Problem::Unreadable("not a sign-in's answer".into()),
            Err(NoToken::Missing) => Problem::NoToken,
        },
        // Identity providers answer 400 with `invalid_client` too.
        status @ (400 | 401 | 403) => Problem::SignInRefused(status),
        status @ 429 => Problem::Throttled(status),
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

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;
    use crate::domain::FailureKind;

    fn read_as(status: u16, body: &'static str) -> Result<FreshToken, WizError> {
        read(&Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.into(),
            retry_after: None,
        })
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
            let error = read_as(status, body).err().unwrap();
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
