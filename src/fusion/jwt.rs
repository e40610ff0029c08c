//! The signed statement that a token is given for: a JWT, HS256, with exactly the claims that Fusion reads.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use uuid::Uuid;

use super::FusionAccount;
use crate::domain::Timestamp;

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

#[derive(Serialize)]
struct Claims<'a> {
    iat: i64,
    jti: String,
    appname: &'a str,
    appkey: &'a str,
    shortname: &'a str,
}

/// A fresh statement of the account.
pub(super) fn statement(account: &FusionAccount, now: Timestamp) -> String {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).expect("the system gives random bytes");
    sign(account, now, uuid::Builder::from_random_bytes(random).into_uuid())
}

fn sign(account: &FusionAccount, now: Timestamp, id: Uuid) -> String {
    let claims = Claims {
        iat: now.as_millis().div_euclid(1000),
        jti: id.to_string(),
        appname: account.appname.expose(),
        appkey: account.appkey.expose(),
        shortname: &account.shortname,
    };
    let claims = serde_json::to_vec(&claims).expect("a plain record");
    let mut jwt = BASE64_URL_SAFE_NO_PAD.encode(HEADER);
    jwt.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut jwt);
    let key = hmac::Key::new(hmac::HMAC_SHA256, account.sharedsecret.expose().as_bytes());
    let signature = hmac::sign(&key, jwt.as_bytes());
    jwt.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    jwt
}

#[cfg(test)]
mod tests {
    use super::super::tests::account;
    use super::*;

    /// The expected text comes from Python's `hmac` and `base64`.
    #[test]
    fn a_statement_is_signed_as_other_programs_sign_it() {
        let account = account(&"https://api.netography.com".parse().unwrap());
        let id = "0190a1b2-c3d4-4e5f-8a6b-7c8d9e0f1a2b".parse().unwrap();
        let jwt = sign(&account, Timestamp::from_millis(1_795_493_090_999), id);
        assert_eq!(jwt, EXPECTED);
    }

    #[test]
    fn no_two_statements_are_the_same() {
        let account = account(&"https://api.netography.com".parse().unwrap());
        let now = Timestamp::from_millis(0);
        assert_ne!(statement(&account, now), statement(&account, now));
    }

    const EXPECTED: &str = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3OTU0OTMwOTAsImp0aSI6IjAxOTBhMWIyLWMzZDQtNGU1Zi",
        "04YTZiLTdjOGQ5ZTBmMWEyYiIsImFwcG5hbWUiOiJ3aXotY29udGV4dCIsImFwcGtleSI6InBsYW50ZWQta2V5Iiwic2hvc",
        "nRuYW1lIjoiYWNtZSJ9.t_iTIz77o1V7ndNZC9CGFtCdBdtbydRq6s8yxpdpMCo",
    );
}
