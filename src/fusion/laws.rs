//! What holds for every text that somebody may set as `NETOSECRET`.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::FusionAccount;
use crate::domain::AllowedHosts;

const PLANTED: &str = "planted-shared-secret";

fn member() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => any::<String>().prop_map(Value::from),
        2 => prop::sample::select(vec!["https://api.netography.com", "http://api.netography.com", "https://10.0.0.1", "https://u:p@h",
            "ftp://h", "https://api.netography.com/api/v1", "https://api.netography.com/elsewhere"]).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(json!([1, {"a": null}])),
    ]
}

fn wrapped(text: &str, wrap: usize) -> String {
    let mut lines = String::new();
    for (at, char) in text.chars().enumerate() {
        if wrap > 0 && at > 0 && at % wrap == 0 {
            lines.push_str("\r\n ");
        }
        lines.push(char);
    }
    lines
}

/// URLs that may stand in the secret, and whether they may.
const URLS: [(&str, bool); 22] = [
    ("https://api.netography.com", true),
    ("HTTPS://API.netography.com:443/api/v1/", true),
    (" https://api.netography.com ", true),
    ("http://127.0.0.1:9000", true),
    ("http://localhost:9000/v1", true),
    ("http://[::1]:9000", true),
    ("http://api.netography.com", false),
    ("http://localhost.evil.example", false),
    ("http://127.0.0.1.evil.example", false),
    ("http://127.0.0.1@evil.example", false),
    ("http://[::ffff:10.0.0.1]", false),
    ("https://me@api.netography.com", false),
    ("https://:pw@api.netography.com", false),
    ("https://api.netography.com/api/v2", false),
    ("https://api.netography.com/?a", false),
    ("https://api.netography.com/#a", false),
    ("https://", false),
    ("api.netography.com", false),
    ("//api.netography.com", false),
    ("javascript:alert(1)", false),
    ("file:///etc/passwd", false),
    ("https://api.netography.com:99999", false),
];

/// What is inside the base64, with a placeholder for a good rest.
const CONTENTS: [&str; 12] = [
    "",
    "null",
    "[]",
    "{}",
    "{",
    "\u{0}",
    "\u{feff}{REST}",
    "{REST}{REST}",
    "{REST,\"appkey\":\"again\"}",
    "[REST]",
    "{\"netosecret\":{REST}}",
    "{'url':'https://api.netography.com'}",
];

const REST: &str = r#""url":"https://api.netography.com","shortname":"acme","appname":"a","appkey":"k","sharedsecret":"planted-shared-secret""#;

/// Texts that are no base64 of anything, or of which a part was lost or changed on the way.
const SPELLINGS: [&str; 10] = [
    "=",
    "====",
    "A",
    "A===",
    "e30=e30=",
    "e3\u{0}0=",
    "е30=", // a Cyrillic letter
    "e30\u{2026}",
    "NETOSECRET=e30=",
    "\"e30=\"",
];

#[test]
fn odd_secrets_are_refused_without_repeating_them() {
    let read = |text: &str| FusionAccount::read(text, &AllowedHosts::default());
    for text in SPELLINGS {
        assert!(read(text).is_err(), "{text:?}");
    }
    for content in CONTENTS {
        let text = BASE64_STANDARD.encode(content.replace("REST", REST));
        let error = read(&text).expect_err(content);
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains(PLANTED) && !shown.contains("acme"),
            "{content}: {shown}"
        );
    }
    let whole = BASE64_STANDARD.encode(format!("{{{REST}}}"));
    assert!(read(&whole).is_ok());
    for cut in 1..whole.trim_end_matches('=').len() {
        let half = &whole[..cut];
        assert!(read(half).is_err(), "{half}");
    }
    for (url, may) in URLS {
        let content = format!("{{{REST}}}").replace("https://api.netography.com", url);
        assert_eq!(read(&BASE64_STANDARD.encode(content)).is_ok(), may, "{url}");
    }
    for shortname in ["a b", "a/b", "a\\u0000", "\\u2003", "a\\nb", "", " "] {
        let content = format!("{{{REST}}}").replace("acme", shortname);
        assert!(read(&BASE64_STANDARD.encode(content)).is_err(), "{shortname:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_taken_or_refused_without_repeating_it(text in any::<String>()) {
        let long = text.chars().count() >= 8;
        if let Err(error) = FusionAccount::read(&text, &AllowedHosts::default()) {
            prop_assert!(!long || !error.to_string().contains(&text));
        }
    }

    #[test]
    fn any_members_are_taken_or_refused_without_the_secret(url in member(), shortname in member(), appname in member(), appkey in member()) {
        let text = json!({"url": url, "shortname": shortname, "appname": appname, "appkey": appkey, "sharedsecret": PLANTED});
        let read = FusionAccount::read(&BASE64_STANDARD.encode(text.to_string()), &AllowedHosts::default());
        match read {
            Ok(account) => {
                let shown = format!("{account:?}");
                prop_assert!(!shown.contains(PLANTED));
                prop_assert!(!account.key().host.is_empty() && !account.key().shortname.contains('/'));
            }
            Err(error) => {
                let shown = format!("{error} {error:?}");
                prop_assert!(!shown.contains(PLANTED));
            }
        }
    }

    #[test]
    fn each_spelling_of_base64_is_the_same_account(shortname in "[a-z]{1,12}", secret in "\\PC{1,40}", wrap in 0_usize..80) {
        prop_assume!(!secret.trim().is_empty());
        let text = json!({"url": "https://api.netography.com", "shortname": shortname, "appname": "a", "appkey": "k",
            "sharedsecret": secret}).to_string();
        for encoded in [BASE64_STANDARD.encode(&text), BASE64_STANDARD_NO_PAD.encode(&text), BASE64_URL_SAFE.encode(&text)] {
            let account = FusionAccount::read(&wrapped(&encoded, wrap), &AllowedHosts::default());
            prop_assert_eq!(account.unwrap().key().shortname, shortname.clone());
        }
    }
}
