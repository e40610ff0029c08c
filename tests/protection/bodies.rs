//! Bodies that readers of JSON disagree about, or that are more than one bargained for: to every call that takes one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use wiz_context::domain::AllowedHosts;
use wiz_context::fusion::FusionAccount;

use crate::rig::{Answer, INTEGRATIONS, Rig};

/// A call that takes a body, and a body that it takes.
struct Taker {
    line: String,
    good: Value,
}

/// The body of an integration whose name nobody else has.
fn integration(name: &str) -> Value {
    json!({"name": name, "type": "wiz", "enabled": false, "updateinterval": 86400, "wiz": {
        "apiendpoint": "https://api.us17.app.wiz.io/graphql", "tokenurl": "https://auth.app.wiz.io/oauth/token",
        "clientid": "client", "clientsecret": "secret"}})
}

/// A service with a Fusion account and without a limit on requests.
async fn start() -> Rig {
    let netosecret = json!({"url": "http://127.0.0.1:9", "shortname": "acme", "appname": "a", "appkey": "k",
        "sharedsecret": "s"});
    let netosecret = BASE64_STANDARD.encode(netosecret.to_string());
    let account = FusionAccount::read(&netosecret, &AllowedHosts::default()).unwrap();
    Rig::start(|config| {
        config.fusion = Some(account);
        config.api_requests_per_second = None;
    })
    .await
}

/// Every call of the service's own document that takes a body.
async fn takers(rig: &Rig) -> Vec<Taker> {
    let body = integration("present").to_string();
    let created = rig
        .send(&format!("POST {INTEGRATIONS}"), &[], body.as_bytes())
        .await;
    assert_eq!(created.status, 201, "{}", created.text);
    let one = created.header("location").unwrap().to_owned();
    let id = one.rsplit('/').next().unwrap();
    let document = json_of(&rig.send("GET /api/v1/openapi.json", &[], b"").await);
    let mut takers = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            if call.get("requestBody").is_none() {
                continue;
            }
            let good = match call["operationId"].as_str().unwrap() {
                "create_integration" => integration("another"),
                "replace_integration" | "update_integration" => integration("present"),
                "create_api_key" => {
                    json!({"name": "a", "role": "readonly", "expires_at": "2030-01-01T00:00:00Z"})
                }
                "adopt_labels" => json!([{"ip": "10.0.0.1", "context": "cve"}]),
                "search_audit" => {
                    json!({"start": -60, "end": 0, "size": 1, "from": 0, "include": ["id"], "search": "user == admin"})
                }
                other => panic!("{other} takes a body, and none is known here"),
            };
            let path = path.replace("{id}", id);
            let line = format!("{} {path}", method.to_uppercase());
            takers.push(Taker { line, good });
        }
    }
    assert!(takers.len() >= 6);
    takers
}

fn json_of(answer: &Answer) -> Value {
    let (_, body) = answer.text.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

/// Not one JSON text, or none that every reader takes for the same.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |open: &str, close: &str, levels| {
        [open.repeat(levels), "1".to_owned(), close.repeat(levels)]
            .concat()
            .into_bytes()
    };
    vec![
        ("nothing", b" ".to_vec()),
        ("deep arrays", nested("[", "]", 200_000)),
        ("deep objects", nested("{\"a\":", "}", 100_000)),
        ("just too deep", nested("[", "]", 128)),
        ("unclosed arrays", b"[".repeat(500_000)),
        (
            "a number without end",
            [b"[", &b"9".repeat(500_000)[..], b"]"].concat(),
        ),
        ("a number beyond all", b"{\"start\":1e999}".to_vec()),
        ("one below all", b"{\"start\":-1e999}".to_vec()),
        ("an exponent beyond all", b"[1e99999999999999999999]".to_vec()),
        ("a number that is none", b"{\"start\":NaN}".to_vec()),
        ("a plus", b"[+1]".to_vec()),
        ("a zero before", b"[01]".to_vec()),
        ("a lone surrogate", br#"{"name":"\ud800"}"#.to_vec()),
        ("a lone surrogate of the second kind", br#"["\udc00"]"#.to_vec()),
        ("surrogates the wrong way round", br#"["\udc00\ud800"]"#.to_vec()),
        ("a surrogate as name", br#"{"\ud800":1}"#.to_vec()),
        ("a surrogate in bytes", b"[\"\xed\xa0\x80\"]".to_vec()),
        ("a NUL between", b"{\"name\":\0\"a\"}".to_vec()),
        ("a NUL within", b"{\"name\":\"a\0b\"}".to_vec()),
        ("a NUL after", b"{}\0".to_vec()),
        ("UTF-16", b"{\0\"\0a\0\"\0:\x001\0}\0".to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("two texts", b"{} {}".to_vec()),
        ("a comma too many", b"{\"name\":\"a\",}".to_vec()),
        ("a comment", b"{/**/}".to_vec()),
        ("single quotes", b"{'name':'a'}".to_vec()),
    ]
}

#[tokio::test]
async fn what_is_not_one_clear_json_text_is_refused_by_every_call() {
    let rig = start().await;
    for Taker { line, good } in takers(&rig).await {
        for (what, body) in broken() {
            let answer = rig.send(&line, &[], &body).await;
            assert_eq!(answer.status, 400, "{line}: {what}: {}", answer.text);
            answer.is_problem(400, "invalid_body");
            assert!(answer.text.len() < 4_000, "{line}: {what}");
        }
        for scalar in ["null", "true", "7", "\"a\"", "[[]]", "[null]"] {
            let answer = rig.send(&line, &[], scalar.as_bytes()).await;
            assert_eq!(answer.status, 400, "{line}: {scalar}: {}", answer.text);
        }
        let answer = rig.send(&line, &[], good.to_string().as_bytes()).await;
        assert!(matches!(answer.status, 200 | 201), "{line}: {}", answer.text);
    }
    rig.is_well().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_member_that_comes_twice_is_refused_by_its_place() {
    let rig = start().await;
    for Taker { line, good } in takers(&rig).await {
        let text = good.to_string();
        // The first member once more, as it is and in another spelling.
        let (start, first) = text.split_once('"').unwrap();
        let name = first.split('"').next().unwrap();
        let spelt = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
        for again in [name, &spelt] {
            let body = format!("{start}\"{again}\":\"admin\",\"{first}");
            let answer = rig.send(&line, &[], body.as_bytes()).await;
            answer.is_problem(400, "invalid_body");
            let pointer = if good.is_array() {
                format!("/0/{name}")
            } else {
                format!("/{name}")
            };
            let errors = &json_of(&answer)["errors"];
            assert_eq!(errors[0]["pointer"], pointer, "{line}: {}", answer.text);
        }
    }
    let body = integration("new").to_string().replace(
        "\"clientsecret\":",
        "\"clientsecret\":\"planted\",\"clientsecret\":",
    );
    let answer = rig
        .send(&format!("POST {INTEGRATIONS}"), &[], body.as_bytes())
        .await;
    answer.is_problem(400, "invalid_body");
    assert_eq!(json_of(&answer)["errors"][0]["pointer"], "/wiz/clientsecret");
    assert!(!answer.text.contains("planted"));
    let answer = rig
        .send(
            "POST /api/v1/search/audit",
            &[],
            br#"{"start":-1,"end":0,"a/b~c":{"d":[1,{"e":1,"e":2}]}}"#,
        )
        .await;
    answer.is_problem(400, "invalid_body");
    assert_eq!(json_of(&answer)["errors"][0]["pointer"], "/a~1b~0c/d/1/e");
    rig.stop().await;
}

#[tokio::test]
async fn no_member_of_any_body_takes_nul_or_a_huge_number_for_a_value() {
    let rig = start().await;
    let huge = "1234567890".repeat(30);
    for Taker { line, good } in takers(&rig).await {
        for place in leaves(&good).into_iter().filter(|place| place != "/enabled") {
            for odd in [
                "\"\\u0000\"",
                "\"a\\u0000b\"",
                "\"\\ud800\"",
                "1e308",
                "-1e308",
                "18446744073709551616",
                "-9223372036854775809",
                "0.1",
                &huge,
                "{}",
                "[]",
                "[[[[]]]]",
                "{\"a\":{}}",
                "true",
            ] {
                let mut body = good.clone();
                *body.pointer_mut(&place).unwrap() = json!("PLACE");
                let body = body.to_string().replace("\"PLACE\"", odd);
                let answer = rig.send(&line, &[], body.as_bytes()).await;
                // A list of members may be empty, and any text may be one's name.
                let may_be = matches!(
                    (place.as_str(), odd),
                    ("/include", "[]") | ("/include/0", "\"\\u0000\"" | "\"a\\u0000b\"")
                );
                let taken = matches!(answer.status, 200 | 201);
                assert!(
                    answer.status == 400 || (may_be && taken),
                    "{line} {body}: {}",
                    answer.text
                );
            }
        }
    }
    // A text in quotes may hold anything, and then nobody has that name.
    let search = br#"{"start":-60,"end":0,"search":"user == '\u0000'"}"#;
    let found = rig.send("POST /api/v1/search/audit", &[], search).await;
    assert_eq!((found.status, &json_of(&found)["data"]), (200, &json!([])));
    rig.is_well().await;
    rig.stop().await;
}

/// The places of all values that hold no others, and of the arrays.
fn leaves(value: &Value) -> Vec<String> {
    let below = |name: String, value: &Value| {
        leaves(value)
            .into_iter()
            .map(move |leaf| format!("/{name}{leaf}"))
    };
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| below(name.clone(), value))
            .collect(),
        Value::Array(items) => {
            let inner = items
                .iter()
                .enumerate()
                .flat_map(|(at, value)| below(at.to_string(), value));
            inner
                .chain([String::new()])
                .filter(|place| !place.is_empty())
                .collect()
        }
        _ => vec![String::new()],
    }
}
