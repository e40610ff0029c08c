//! Texts that mean something to others: to SQL, to file systems, to readers of JSON and of UTF-8.

use serde_json::{Value, json};

use crate::rig::{INTEGRATIONS, Rig};

/// Texts that end a string, a statement or a path somewhere.
const TRICKS: [&str; 10] = [
    "'",
    "''; DROP TABLE runs; --",
    "\" OR \"1\"=\"1",
    "1 OR 1=1",
    "x' UNION SELECT * FROM integrations --",
    "%",
    "_",
    "\\",
    "../../etc/passwd",
    "\u{0}",
];

fn encoded(text: &str) -> String {
    let bytes: Vec<_> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    bytes.concat()
}

fn integration(name: &str) -> Value {
    json!({"name": name, "type": "wiz", "enabled": false, "updateinterval": 86400, "wiz": {
        "apiendpoint": "https://api.us17.app.wiz.io/graphql", "tokenurl": "https://auth.app.wiz.io/oauth/token",
        "clientid": "client'; DROP TABLE integrations; --", "clientsecret": "s'\"\\%_;--"}})
}

#[tokio::test]
async fn what_means_something_to_sql_means_nothing_here() {
    let rig = Rig::start(|_| {}).await;
    let body = integration("wiz1").to_string();
    let created = rig
        .send(&format!("POST {INTEGRATIONS}"), &[], body.as_bytes())
        .await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert!(created.text.contains("client'; DROP TABLE integrations; --"));
    let id = created
        .header("location")
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    for trick in TRICKS {
        let trick_in_url = encoded(trick);
        for path in [
            format!("{INTEGRATIONS}?cursor={trick_in_url}"),
            format!("{INTEGRATIONS}?limit={trick_in_url}"),
            format!("{INTEGRATIONS}/{trick_in_url}"),
            format!("{INTEGRATIONS}/{id}/labels?ip={trick_in_url}"),
            format!("{INTEGRATIONS}/{id}/labels?context={trick_in_url}"),
            format!("{INTEGRATIONS}/{id}/labels?cursor={trick_in_url}"),
            format!("{INTEGRATIONS}/{id}/addresses/{trick_in_url}"),
            format!("/api/v1/runs?cursor={trick_in_url}"),
            format!("/api/v1/runs/{trick_in_url}/plan"),
            format!("/api/v1/audit?user={trick_in_url}"),
            format!("/api/v1/audit?cursor={trick_in_url}"),
            format!("/api/v1/fetch/audit/{trick_in_url}"),
        ] {
            let answer = rig.send(&format!("GET {path}"), &[], b"").await;
            assert!(
                matches!(answer.status, 200 | 400 | 404),
                "{path}: {}",
                answer.text
            );
        }
        let named = rig
            .send(
                &format!("POST {INTEGRATIONS}"),
                &[],
                integration(trick).to_string().as_bytes(),
            )
            .await;
        assert!(trick == "_" || named.status == 400, "{trick}: {}", named.text);
        let search = json!({"start": -60, "end": 0, "search": format!("user == {trick}")}).to_string();
        let found = rig
            .send("POST /api/v1/search/audit", &[], search.as_bytes())
            .await;
        assert!(matches!(found.status, 200 | 400), "{trick}: {}", found.text);
        assert!(
            !found.text.contains("\"user\":\"admin\""),
            "{trick} found more than it named"
        );
    }
    let read = rig.send(&format!("GET {INTEGRATIONS}/{id}"), &[], b"").await;
    assert_eq!(read.status, 200);
    rig.stop().await;
}

#[tokio::test]
async fn a_path_leads_nowhere_but_to_a_call() {
    let rig = Rig::start(|_| {}).await;
    for path in [
        "/../etc/passwd",
        "/docs/../../etc/passwd",
        "/docs/..%2f..%2fetc%2fpasswd",
        "/docs/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/integrations/context/..",
        "/api/v1/integrations/context/%2e%2e/%2e%2e/runs",
        "//healthz",
        "/healthz/",
        "/healthz%00",
        "/API/V1/RUNS",
        "/api/v1/./runs",
        "/api/v1//runs",
        "/api/v1/runs/..;/audit",
        "/%c0%ae%c0%ae/",
        "/\\..\\admin-key",
        "/admin-key",
        "/test.db",
    ] {
        let answer = rig.send(&format!("GET {path}"), &[], b"").await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.text);
        assert!(!answer.text.contains("root:"), "{path}");
        // Nor does a spelling get around the key.
        let answer = rig.send_as(&format!("GET {path}"), &[], b"").await;
        assert!(
            matches!(answer.status, 400 | 401 | 404),
            "{path}: {}",
            answer.text
        );
    }
    // The whole URL, as to a proxy, is the same call and wants the same key.
    let line = format!("GET http://elsewhere.example{INTEGRATIONS}");
    rig.send_as(&line, &[], b"").await.is_problem(401, "unauthorized");
    rig.stop().await;
}

#[tokio::test]
async fn bodies_that_are_huge_deep_or_no_text_are_refused() {
    let rig = Rig::start(|_| {}).await;
    let create = format!("POST {INTEGRATIONS}");
    let huge = vec![b' '; (1 << 20) + 1];
    rig.send(&create, &[], &huge).await.is_problem(413, "too_large");
    let deep = [vec![b'['; 200_000], vec![b']'; 200_000]].concat();
    rig.send(&create, &[], &deep)
        .await
        .is_problem(400, "invalid_body");
    let objects = [b"{\"a\":".repeat(150), b"1".to_vec(), b"}".repeat(150)].concat();
    rig.send(&create, &[], &objects)
        .await
        .is_problem(400, "invalid_body");
    for bytes in [
        &b"{\"name\":\"\xff\"}"[..],
        b"{\"name\":\"\xc0\xaf\"}",
        b"{\"name\":\"\xed\xa0\x80\"}",
        b"\xef\xbb\xbf{}",
        b"{\"name\":\"\\ud800\"}",
        b"{\"name\":1e999}",
    ] {
        rig.send(&create, &[], bytes)
            .await
            .is_problem(400, "invalid_body");
    }
    let many: Vec<_> = (0..50_000).map(|number| format!("\"m{number}\":1,")).collect();
    let many = many.concat();
    let answer = rig
        .send(&create, &[], format!("{{{many}\"name\":\"a\"}}").as_bytes())
        .await;
    answer.is_problem(400, "unknown_member");
    assert!(
        answer.text.len() < 100_000,
        "the answer is as large as the request"
    );
    for uri in [
        "/api/v1/runs?cursor=%ff",
        "/api/v1/runs?%ff=1",
        "/api/v1/integrations/context/%ff",
        "/api/v1/audit?user=%c0%af",
    ] {
        let answer = rig.send(&format!("GET {uri}"), &[], b"").await;
        assert!(matches!(answer.status, 200 | 400 | 404), "{uri}: {}", answer.text);
    }
    rig.is_well().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_pasted_http_becomes_https_and_the_audit_log_says_so() {
    let rig = Rig::start(|_| {}).await;
    let mut body = integration("wiz1");
    body["wiz"]["apiendpoint"] = json!("HTTP://api.us17.app.wiz.io:443/");
    let created = rig
        .send(&format!("POST {INTEGRATIONS}"), &[], body.to_string().as_bytes())
        .await;
    assert!(
        created
            .text
            .contains("\"apiendpoint\":\"https://api.us17.app.wiz.io/graphql\"")
    );
    let log = rig.send("GET /api/v1/audit?action=create", &[], b"").await;
    let told = "Integration wiz1 was created; `wiz.apiendpoint` came as http:// and became \
                https://api.us17.app.wiz.io/graphql\"";
    assert!(log.text.contains(told), "{}", log.text);
    rig.stop().await;
}

#[tokio::test]
async fn of_both_urls_and_in_every_change_a_pasted_http_is_told() {
    const API: &str = "`wiz.apiendpoint` came as http:// and became https://api.us17.app.wiz.io/graphql";
    const TOKEN: &str = "`wiz.tokenurl` came as http:// and became https://auth.app.wiz.io/oauth/token";
    let rig = Rig::start(|_| {}).await;
    let mut body = integration("wiz1");
    body["wiz"]["tokenurl"] = json!("http://auth.app.wiz.io");
    let created = rig
        .send(&format!("POST {INTEGRATIONS}"), &[], body.to_string().as_bytes())
        .await;
    assert_eq!(created.status, 201, "{}", created.text);
    let one = created.header("location").unwrap().to_owned();
    let told = newest_description(&rig).await;
    assert_eq!(told, format!("Integration wiz1 was created; {TOKEN}"));

    // Readers of URLs take these for http:// too.
    for (api, token) in [
        ("http://api.us17.app.wiz.io", "http://auth.app.wiz.io"),
        ("http:api.us17.app.wiz.io", " hTTp:\\\\auth.app.wiz.io "),
        ("ht\ttp://api.us17.app.wiz.io:443", "\nhttp:/auth.app.wiz.io:80"),
    ] {
        for method in ["PUT", "PATCH"] {
            let whole = method == "PUT";
            for (members, told) in [
                (json!({ "apiendpoint": api }), format!("; {API}")),
                (json!({ "tokenurl": token }), format!("; {TOKEN}")),
                (
                    json!({ "apiendpoint": api, "tokenurl": token }),
                    format!("; {API}; {TOKEN}"),
                ),
                (json!({}), String::new()),
            ] {
                let mut body = if whole {
                    integration("wiz1")
                } else {
                    json!({ "wiz": {} })
                };
                for (name, value) in members.as_object().unwrap() {
                    body["wiz"][name] = value.clone();
                }
                let line = format!("{method} {one}");
                let changed = rig.send(&line, &[], body.to_string().as_bytes()).await;
                assert_eq!(changed.status, 200, "{}", changed.text);
                assert!(!changed.text.contains("http://api") && !changed.text.contains("http://auth"));
                let description = newest_description(&rig).await;
                assert_eq!(
                    description,
                    format!("Integration wiz1 was changed{told}"),
                    "{line} {body}"
                );
            }
        }
    }
    rig.stop().await;
}

/// What the newest record of an integration's making or changing says.
async fn newest_description(rig: &Rig) -> String {
    let log = rig
        .send("GET /api/v1/audit?class=integration&limit=1", &[], b"")
        .await;
    assert_eq!(log.status, 200, "{}", log.text);
    let (_, body) = log.text.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    body["data"][0]["description"].as_str().unwrap().to_owned()
}
