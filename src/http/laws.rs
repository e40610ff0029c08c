//! What holds for every body and every cursor that somebody may send.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::integration_body::{self, Purpose};
use super::records::{pair_key, read_pair};
use crate::domain::{
    Address, AllowedHosts, Context, Integration, IntegrationId, Pair, RunId, SettingsTag, Timestamp,
};

const PLANTED: &str = "planted-client-secret";

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => prop::sample::select(vec![json!("wiz1"), json!("wiz"), json!(true), json!(86400), json!("https://api.us1.app.wiz.io"),
            json!("https://auth.app.wiz.io/oauth/token"), json!("http://api.us1.app.wiz.io/graphql"), json!("****"), json!(PLANTED)]),
        2 => any::<String>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!([[{}]])),
    ]
}

fn good() -> Value {
    json!({"name": "wiz1", "type": "wiz", "enabled": true, "updateinterval": 86400, "wiz": {
        "apiendpoint": "https://api.us1.app.wiz.io/graphql", "tokenurl": "https://auth.app.wiz.io/oauth/token",
        "clientid": "client", "clientsecret": PLANTED}})
}

/// The integration that the good body made.
fn present() -> Integration {
    let read = integration_body::read(&good(), Purpose::Create, &AllowedHosts::default());
    let now = Timestamp::from_millis(1_795_493_090_000);
    Integration {
        id: IntegrationId::new(now),
        settings: read.unwrap().settings,
        tag: SettingsTag(1),
        client_secret_set_at: now,
        created_at: now,
        updated_at: now,
    }
}

/// Values that a member must not have, whatever the body is for.
const WRONG: [(&str, &str); 44] = [
    ("/name", "null"),
    ("/name", "7"),
    ("/name", r#""""#),
    ("/name", r#"" a""#),
    ("/name", r#""a/b""#),
    ("/name", r#""a\u0000""#),
    ("/name", r#""ä""#),
    ("/name", r#""a\u202eb""#),
    ("/type", "null"),
    ("/type", r#""Wiz""#),
    ("/type", r#""wiz ""#),
    ("/enabled", "null"),
    ("/enabled", "1"),
    ("/enabled", r#""true""#),
    ("/updateinterval", "null"),
    ("/updateinterval", "0"),
    ("/updateinterval", "-86400"),
    ("/updateinterval", "86399"),
    ("/updateinterval", "604801"),
    ("/updateinterval", "86400.5"),
    ("/updateinterval", "1e308"),
    ("/updateinterval", "18446744073709551615"),
    ("/updateinterval", r#""86400""#),
    ("/wiz", "null"),
    ("/wiz", "[]"),
    ("/wiz/apiendpoint", "null"),
    ("/wiz/apiendpoint", r#""""#),
    ("/wiz/apiendpoint", r#""https://api.us1.app.wiz.io/graphql?a""#),
    ("/wiz/apiendpoint", r#""https://auth.app.wiz.io/oauth/token""#),
    ("/wiz/apiendpoint", r#""https://[::ffff:127.0.0.1]/graphql""#),
    (
        "/wiz/apiendpoint",
        r#""https://api.us1.app.wiz.io\u0000.evil.example/""#,
    ),
    ("/wiz/tokenurl", "{}"),
    ("/wiz/tokenurl", r#""https://api.us1.app.wiz.io""#),
    ("/wiz/tokenurl", r#""https://auth.app.wiz.io:8443/oauth/token""#),
    (
        "/wiz/tokenurl",
        r#""https://auth.app.wiz.io@evil.example/oauth/token""#,
    ),
    ("/wiz/clientid", r#"" ""#),
    ("/wiz/clientid", r#""a\nb""#),
    ("/wiz/clientsecret", "null"),
    ("/wiz/clientsecret", r#"" ""#),
    ("/wiz/clientsecret", r#""****""#),
    ("/wiz/clientsecret", r#""••••""#),
    ("/wiz/clientsecret", r#""a\u0000b""#),
    ("/more", "1"),
    ("/wiz/a~1b~0c", "1"),
];

#[test]
fn a_wrong_value_is_named_by_its_place_whatever_the_body_is_for() {
    let present = present();
    for purpose in [
        Purpose::Create,
        Purpose::Replace(&present),
        Purpose::Patch(&present),
    ] {
        for (pointer, value) in WRONG {
            let mut body = good();
            let value: Value = serde_json::from_str(value).unwrap();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let name = name.replace("~1", "/").replace("~0", "~");
            body.pointer_mut(parent).unwrap()[&name] = value;
            let problem = integration_body::read(&body, purpose, &AllowedHosts::default()).unwrap_err();
            let told = problem.body(String::new());
            let pointers: Vec<_> = told.errors.iter().map(|error| error.pointer.as_str()).collect();
            assert_eq!(
                (told.status, &pointers[..]),
                (400, &[pointer][..]),
                "{purpose:?} {body}"
            );
            assert!(!told.detail.contains(PLANTED), "{}", told.detail);
        }
    }
}

/// Texts that are no cursor of a list of pairs, nor one of runs.
const NO_CURSORS: [&str; 16] = [
    "",
    "~",
    "~cve",
    "10.0.0.1",
    "10.0.0.1~",
    "10.0.0.1~owner",
    "10.0.0.1~CVE",
    "10.0.0.1~cve~cve",
    "10.0.0.1 ~ cve",
    "10.0.0.0/8~cve",
    "010.0.0.1~cve",
    "::1::~cve",
    "10.0.0.1~cve\u{0}",
    "١٠.0.0.1~cve",
    "' OR 1=1 --~cve",
    "019aa6c2-0000-7000-8000-00000000000g",
];

#[test]
fn what_is_no_cursor_is_told_so() {
    for text in NO_CURSORS {
        assert_eq!(read_pair(text), None, "{text:?}");
        assert!(text.parse::<RunId>().is_err(), "{text:?}");
    }
}

/// A good body with some members changed, gone or added.
fn body() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "name",
        "type",
        "enabled",
        "updateinterval",
        "wiz",
        "id",
        "status",
        "more",
        "a/b~c",
        "",
        "wiz.apiendpoint",
        "wiz.tokenurl",
        "wiz.clientid",
        "wiz.clientsecret",
        "wiz.more",
    ]);
    let change = (name, prop::option::weighted(0.8, value()));
    prop::collection::vec(change, 0..4).prop_map(|changes| {
        let mut body = good();
        for (name, value) in changes {
            let (object, name) = match name.split_once('.') {
                Some((_, member)) => (&mut body["wiz"], member),
                None => (&mut body, name),
            };
            let Some(object) = object.as_object_mut() else {
                continue;
            };
            match value {
                Some(value) => drop(object.insert(name.to_owned(), value)),
                None => drop(object.remove(name)),
            }
        }
        body
    })
}

proptest! {
    #[test]
    fn any_body_is_taken_as_it_is_meant_or_refused_by_its_members_without_the_secret(body in body()) {
        let read = integration_body::read(&body, Purpose::Create, &AllowedHosts::default());
        match read {
            Ok(read) => {
                prop_assert_eq!(Some(read.settings.name.as_str()), body["name"].as_str());
                prop_assert!(read.client_secret.is_some());
                prop_assert!((86_400..=604_800).contains(&read.settings.update_interval.as_secs()));
                let shown = format!("{read:?}");
                // What is no secret by its place may well be shown.
                let mut others = body.clone();
                others["wiz"]["clientsecret"] = Value::Null;
                prop_assert!(!shown.contains(PLANTED) || others.to_string().contains(PLANTED));
            }
            Err(problem) => {
                let told = problem.body(String::new());
                prop_assert_eq!(told.status, 400);
                prop_assert!(!told.errors.is_empty());
                for error in &told.errors {
                    prop_assert!(error.pointer.starts_with('/'), "{}", error.pointer);
                }
            }
        }
    }

    #[test]
    fn a_change_is_taken_as_it_is_meant_and_keeps_what_it_leaves_out(body in body(), whole in any::<bool>()) {
        let present = present();
        let purpose = if whole { Purpose::Replace(&present) } else { Purpose::Patch(&present) };
        match integration_body::read(&body, purpose, &AllowedHosts::default()) {
            Ok(read) => {
                let (before, after) = (&present.settings, &read.settings);
                let given = |place: &str| body.pointer(place);
                prop_assert!(!whole || ["/name", "/type", "/enabled", "/updateinterval", "/wiz/apiendpoint",
                    "/wiz/tokenurl", "/wiz/clientid"].iter().all(|place| given(place).is_some()));
                prop_assert_eq!(given("/name").map_or(before.name.as_str(), |name| name.as_str().unwrap()), after.name.as_str());
                prop_assert!(given("/enabled").is_some() || before.enabled == after.enabled);
                prop_assert!(given("/updateinterval").is_some() || before.update_interval == after.update_interval);
                prop_assert!(given("/wiz/apiendpoint").is_some() || before.wiz.api_endpoint == after.wiz.api_endpoint);
                // A stored secret goes to nobody that it was not given for.
                let moved = before.wiz.token_url != after.wiz.token_url || before.wiz.client_id != after.wiz.client_id;
                prop_assert_eq!(read.client_secret.is_some(), given("/wiz/clientsecret").is_some());
                prop_assert!(!moved || read.client_secret.is_some());
            }
            Err(problem) => {
                let told = problem.body(String::new());
                prop_assert_eq!(told.status, 400);
                prop_assert!(!told.errors.is_empty() && told.errors.iter().all(|error| error.pointer.starts_with('/')));
            }
        }
    }

    #[test]
    fn any_json_is_taken_or_refused(body in value()) {
        prop_assert!(integration_body::read(&body, Purpose::Create, &AllowedHosts::default()).is_err());
    }

    #[test]
    fn a_cursor_leads_to_where_it_came_from(octets in any::<[u8; 16]>(), v4 in any::<bool>(), context in 0_usize..4) {
        let ip = if v4 {
            std::net::Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).to_string()
        } else {
            std::net::Ipv6Addr::from(octets).to_string()
        };
        let Ok(ip) = Address::read(&ip) else { return Ok(()) };
        let context = ["cve", "cvss_rating", "cvss_score", "vuln_count"][context];
        let pair = Pair { ip, context: Context::read(context).unwrap() };
        prop_assert_eq!(read_pair(&pair_key(pair)), Some(pair));
    }

    #[test]
    fn any_text_is_a_cursor_or_none(text in any::<String>()) {
        if let Some(pair) = read_pair(&text) {
            prop_assert_eq!(read_pair(&pair_key(pair)), Some(pair));
        }
    }

    #[test]
    fn any_text_is_a_run_or_none(text in prop_oneof!["[0-9a-fA-F{}-]{0,40}", any::<String>()], at in 0_i64..1_i64 << 47) {
        if let Ok(run) = text.parse::<RunId>() {
            prop_assert_eq!(run.to_string().parse::<RunId>().ok(), Some(run));
        }
        let run = RunId::new(Timestamp::from_millis(at));
        prop_assert_eq!(run.to_string().parse::<RunId>().ok(), Some(run));
    }
}
