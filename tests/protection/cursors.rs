//! Cursors: of each list, as it gave them and as somebody may make them up.

use serde_json::{Value, json};

use crate::rig::{INTEGRATIONS, Rig};

/// Texts that no list gave out.
const ODD: [&str; 20] = [
    " ",
    "null",
    "NaN",
    "1e3",
    "0x10",
    "1.5",
    "99999999999999999999999",
    "-99999999999999999999999",
    "٣",
    "\u{0}",
    "1\u{0}",
    "1 OR 1=1",
    "' OR '1'='1",
    "10.0.0.1",
    "10.0.0.1~owner",
    "~cve",
    "10.0.0.1~cve~cve",
    "00000000-0000-0000-0000-00000000000g",
    "../../etc/passwd",
    "\u{202e}👩‍👩‍👧",
];

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn page(rig: &Rig, path: &str) -> Value {
    let answer = rig.send(&format!("GET {path}"), &[], b"").await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    let (_, body) = answer.text.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

async fn create(rig: &Rig, path: &str, body: Value) -> String {
    let answer = rig
        .send(&format!("POST {path}"), &[], body.to_string().as_bytes())
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.header("location").unwrap().to_owned()
}

/// A service with five integrations and five keys; the path of one of the integrations.
async fn filled() -> (Rig, String) {
    let rig = Rig::start(|config| config.api_requests_per_second = None).await;
    let mut one = String::new();
    for name in ["a", "B", "a b", "Z.9", "_"] {
        let integration = json!({"name": name, "type": "wiz", "enabled": false, "updateinterval": 86400, "wiz": {
            "apiendpoint": "https://api.us17.app.wiz.io/graphql", "tokenurl": "https://auth.app.wiz.io/oauth/token",
            "clientid": "client", "clientsecret": "secret"}});
        one = create(&rig, INTEGRATIONS, integration).await;
        let key = json!({"name": name, "role": "readonly"});
        create(&rig, "/api/v1/api-keys", key).await;
    }
    (rig, one)
}

#[tokio::test]
async fn page_by_page_each_list_is_the_whole_one() {
    let (rig, _) = filled().await;
    for path in [INTEGRATIONS, "/api/v1/api-keys", "/api/v1/audit"] {
        let whole = page(&rig, &format!("{path}?limit=1000")).await;
        let whole = whole["data"].as_array().unwrap();
        assert!(whole.len() >= 5, "{path}");
        let (mut walked, mut cursor) = (Vec::new(), None);
        while walked.len() <= whole.len() {
            let after = cursor.map_or_else(String::new, |cursor: String| {
                format!("&cursor={}", encoded(&cursor))
            });
            let page = page(&rig, &format!("{path}?limit=1{after}")).await;
            walked.extend(page["data"].as_array().unwrap().clone());
            cursor = page["meta"]["next"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(&walked, whole, "{path}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_made_up_cursor_is_refused() {
    let (rig, one) = filled().await;
    let long = "9".repeat(4_000);
    for odd in ODD.into_iter().chain([long.as_str()]) {
        let cursor = encoded(odd);
        for path in [
            "/api/v1/runs".to_owned(),
            format!("{one}/runs"),
            format!("{one}/labels"),
            INTEGRATIONS.to_owned(),
            "/api/v1/api-keys".to_owned(),
            "/api/v1/audit".to_owned(),
            "/api/v1/runs/019aa6c2-0000-7000-8000-000000000000/plan".to_owned(),
        ] {
            let line = format!("GET {path}?cursor={cursor}");
            let answer = rig.send(&line, &[], b"").await;
            answer.is_problem(400, "invalid_body");
            assert!(
                answer.text.contains("\"pointer\":\"?cursor\""),
                "{line}: {}",
                answer.text
            );
            assert!(answer.text.len() < 2_000, "{line}");
        }
    }
    rig.stop().await;
}
