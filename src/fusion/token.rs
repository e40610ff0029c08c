//! Sign-in: a token for the account's key.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::error::{FusionError, Problem};
use super::{FusionAccount, jwt};
use crate::domain::Timestamp;
use crate::outgoing::{Answer, Call, FreshToken, NoToken, Outgoing, Repeat};

/// Sign-ins answer within a second or two.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The life of a token that does not tell.
const SHORTEST_LIFE: Duration = Duration::from_mins(5);

const PURPOSE: &str = "sign in at Fusion";

/// Signs the account's key in.
pub(super) async fn sign_in(
    outgoing: &Outgoing,
    account: &FusionAccount,
    now: Timestamp,
) -> Result<FreshToken, FusionError> {
    let call = Call::new(
        "fusion.sign_in",
        Method::POST,
        account.call_url(&["auth", "token"]),
        TIMEOUT,
    )
    .repeat(Repeat::Harmless)
    .json(&json!({ "jwt": jwt::statement(account, now) }));
    let answer = outgoing.send(&call).await;
    read(&answer.map_err(|error| Problem::from(error).when(PURPOSE))?)
}

/// Reads the answer; nothing of its body goes into an error.
fn read(answer: &Answer) -> Result<FreshToken, FusionError> {
    let problem = match answer.status.as_u16() {
        200 | 201 => match FreshToken::read(&answer.body, SHORTEST_LIFE) {
            Ok(token) => return Ok(token),
            Err(NoToken::NotAnAnswer) => Problem::Unreadable("not a sign-in's answer"),
            Err(NoToken::Missing) => Problem::Unreadable("no token in it"),
        },
        status @ (400 | 401 | 403) => Problem::SignInRefused(status),
        429 => Problem::Throttled,
        status @ (408 | 500..=599) => Problem::Unavailable(status),
        status => Problem::Refused {
            status,
            text: "this is not where Fusion signs in".into(),
        },
    };
    Err(FusionError {
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

    fn read_as(status: u16, body: &'static str) -> Result<FreshToken, FusionError> {
        read(&Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.into(),
            retry_after: None,
        })
    }

    #[test]
    fn what_is_no_token_says_why_and_repeats_nothing_of_the_answer() {
        for (status, body, kind, retryable) in [
            (401, "planted", FailureKind::Credentials, false),
            (400, "planted", FailureKind::Credentials, false),
            (200, r#"{"planted":1}"#, FailureKind::FusionUnavailable, true),
            (200, "<html>planted", FailureKind::FusionUnavailable, true),
            (404, "planted", FailureKind::FusionRejected, false),
            (429, "planted", FailureKind::RateLimited, true),
            (502, "planted", FailureKind::FusionUnavailable, true),
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
