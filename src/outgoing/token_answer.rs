//! The answer of a sign-in: `{"access_token","expires_in",…}`, at Wiz and Fusion alike.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::FreshToken;
use crate::domain::BearerToken;

/// Why an answer gives no token. Says nothing of its body: identity providers may echo the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoToken {
    /// Not an object in JSON, so it is not a sign-in's answer.
    NotAnAnswer,
    /// An answer without a token, or with one that cannot stand in a header.
    Missing,
}

#[derive(Deserialize)]
struct WireToken {
    access_token: Option<Value>,
    /// Seconds; has been seen as text.
    expires_in: Option<Value>,
}

impl FreshToken {
    /// Reads the body of a successful answer. A token that does not tell its life has `unknown_life`.
    pub(crate) fn read(body: &[u8], unknown_life: Duration) -> Result<Self, NoToken> {
        let wire: WireToken = serde_json::from_slice(body).map_err(|_| NoToken::NotAnAnswer)?;
        match wire.access_token {
            Some(Value::String(token)) if is_token(&token) => Ok(Self {
                token: BearerToken::new(token),
                life: wire.expires_in.as_ref().and_then(life).unwrap_or(unknown_life),
            }),
            _ => Err(NoToken::Missing),
        }
    }
}

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
    use super::*;

    #[test]
    fn a_token_reads_with_its_life() {
        let read = |body: &str| {
            let fresh = FreshToken::read(body.as_bytes(), Duration::from_secs(7))?;
            Ok((fresh.token.expose().to_owned(), fresh.life.as_secs()))
        };
        for (body, life_s) in [
            (
                r#"{"access_token":"t","expires_in":86400,"token_type":"Bearer"}"#,
                86_400,
            ),
            (r#"{"access_token":"t","expires_in":"900"}"#, 900),
            (r#"{"access_token":"t"}"#, 7),
            (r#"{"access_token":"t","expires_in":0}"#, 7),
            (r#"{"access_token":"t","expires_in":-1}"#, 7),
        ] {
            assert_eq!(read(body), Ok(("t".to_owned(), life_s)), "{body}");
        }
        for body in [
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":7}"#,
            r#"{"access_token":"a\nb"}"#,
        ] {
            assert_eq!(read(body), Err(NoToken::Missing), "{body}");
        }
        for body in ["", "<html>", "[]x", "null"] {
            assert_eq!(read(body), Err(NoToken::NotAnAnswer), "{body}");
        }
    }
}
