//! What holds for every body and every cursor that somebody may send.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::integration_body::{self, Purpose};
use super::records::{pair_key, read_pair};
use crate::domain::{Address, AllowedHosts, Context, Pair};

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
        let mut body = json!({"name": "wiz1", "type": "wiz", "enabled": true, "updateinterval": 86400, "wiz": {
            "apiendpoint": "https://api.us1.app.wiz.io/graphql", "tokenurl": "https://auth.app.wiz.io/oauth/token",
            "clientid": "client", "clientsecret": PLANTED}});
        for (name, value) in changes {
            let (object, name) = match name.split_once('.') {
                Some((_, member)) => (&mut body["wiz"], member),
                None => (&mut body, name),
            };
            let Some(object) = object.as_object_mut() else { continue };
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
}
