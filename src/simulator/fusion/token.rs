//! `POST /api/v1/auth/token`: a signed statement against a bearer token.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::domain::Timestamp;
use crate::simulator::answer::{self, Answer, fusion_error};
use crate::simulator::fault::{Effect, StatusFault};
use crate::simulator::shared::{Credentials, Shared};

/// The claims of a statement, no more and no fewer.
const CLAIMS: [&str; 5] = ["appkey", "appname", "iat", "jti", "shortname"];
/// How far a statement's time may be from ours.
const LEEWAY: Duration = Duration::from_mins(5);

/// Gives a token for a statement that the account's secret signed.
pub(in crate::simulator) async fn token(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    let met = shared.meet(&["fusion.token".to_owned()], |_| true).await;
    if let Some(answer) = met.instead(refusal) {
        return answer;
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(jwt) = body["jwt"].as_str() else {
        return fusion_error(StatusCode::BAD_REQUEST, "`jwt` is missing");
    };
    let (now, life) = (shared.now(), shared.settings.fusion_token_life);
    let mut state = shared.state();
    let id = match signed_id(jwt, &shared.credentials, now) {
        Ok(id) if state.fusion.used_ids.insert(id.clone()) => id,
        Ok(_) => return fusion_error(StatusCode::UNAUTHORIZED, "the jti was used before"),
        Err(problem) => return fusion_error(StatusCode::UNAUTHORIZED, problem),
    };
    let token = state.new_secret("fusion-token-");
    let refresh = state.new_secret("fusion-refresh-");
    state.fusion.tokens.insert(token.clone(), now + life);
    drop(state);
    let mut body = json!({
        "expires_in": life.as_secs(),
        "refresh_expires_in": life.as_secs() * 2,
        "refresh_token": refresh,
        "token_type": "Bearer",
        "session_state": id,
    });
    if !met.0.contains(&Effect::TokenWithoutAccessToken) {
        body["access_token"] = token.into();
    }
    met.sent(answer::json(StatusCode::OK, &body))
}

/// A refusal by a fault, as of all calls to Fusion.
pub(super) fn refusal(fault: &StatusFault) -> Answer {
    let message = fault
        .message
        .as_deref()
        .unwrap_or("the simulator was told to refuse this");
    answer::with_retry_after(
        fusion_error(answer::status(fault.status), message),
        fault.retry_after_s,
    )
}

/// The id of a statement that is rightly signed and says the right things; else what is wrong with it.
fn signed_id(jwt: &str, account: &Credentials, now: Timestamp) -> Result<String, &'static str> {
    let (signed, signature) = jwt.rsplit_once('.').ok_or("the jwt has no signature")?;
    let (head, claims) = signed.split_once('.').ok_or("the jwt has no claims")?;
    let decoded = |part: &str| {
        URL_SAFE_NO_PAD
            .decode(part)
            .map_err(|_| "the jwt is not base64url")
    };
    let json =
        |part: &str| serde_json::from_slice::<Value>(&decoded(part)?).map_err(|_| "the jwt is not JSON");
    if json(head)?["alg"] != "HS256" {
        return Err("the jwt must be signed by HS256");
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, account.shared_secret.as_bytes());
    hmac::verify(&key, signed.as_bytes(), &decoded(signature)?).map_err(|_| "the signature is wrong")?;
    let claims = json(claims)?;
    let members = claims.as_object().ok_or("the claims are not an object")?;
    let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
    names.sort_unstable();
    if names != CLAIMS {
        return Err("the claims must be iat, jti, appname, appkey and shortname");
    }
    let iat = claims["iat"].as_i64().ok_or("iat must be a whole number")?;
    let iat = Timestamp::from_millis(iat.saturating_mul(1000));
    if now.since(iat) > LEEWAY || iat.since(now) > LEEWAY {
        return Err("iat is too far from now");
    }
    let is_account = claims["appname"] == account.appname
        && claims["appkey"] == account.appkey
        && claims["shortname"] == account.shortname;
    if !is_account {
        return Err("no such application");
    }
    let id = claims["jti"].as_str().filter(|id| !id.is_empty());
    id.map(str::to_owned).ok_or("jti must be a string")
}

/// What a client of the account is configured with: base64, as Fusion hands it out without padding.
pub(in crate::simulator) fn netosecret(account: &Credentials, url: &str) -> String {
    let secret = json!({
        "url": url,
        "shortname": account.shortname,
        "appname": account.appname,
        "sharedsecret": account.shared_secret,
        "appkey": account.appkey,
    });
    STANDARD_NO_PAD.encode(secret.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(head: &Value, claims: &Value, secret: &str) -> String {
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encoded(head), encoded(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    #[test]
    fn only_an_exact_and_rightly_signed_statement_is_taken() {
        let (account, now) = (Credentials::default(), Timestamp::from_millis(1_000_000_000));
        let head = json!({"alg": "HS256", "typ": "JWT"});
        let claims = json!({
            "iat": 1_000_000, "jti": "one", "appname": account.appname, "appkey": account.appkey,
            "shortname": account.shortname,
        });
        let check =
            |head: &Value, claims: &Value, secret: &str| signed_id(&jwt(head, claims, secret), &account, now);
        let secret = account.shared_secret.as_str();
        assert_eq!(check(&head, &claims, secret).as_deref(), Ok("one"));
        assert!(check(&head, &claims, "another secret").is_err());
        assert!(check(&json!({"alg": "none"}), &claims, secret).is_err());
        for (name, value) in [
            ("exp", json!(1_000_300)),
            ("iat", json!("1000000")),
            ("iat", json!(999_000)),
            ("jti", json!(1)),
            ("appkey", json!("other")),
            ("shortname", json!("other")),
        ] {
            let mut claims = claims.clone();
            claims[name] = value;
            assert!(check(&head, &claims, secret).is_err(), "{name}");
        }
        for text in ["", "a.b", "a.b.c"] {
            assert!(signed_id(text, &account, now).is_err(), "{text:?}");
        }
    }
}
