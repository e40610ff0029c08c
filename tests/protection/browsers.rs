//! What browsers are told.

use crate::rig::{INTEGRATIONS, Rig};

const PORTAL: &str = "https://portal.example.com";

#[tokio::test]
async fn each_answer_carries_what_keeps_it_from_being_misused() {
    let rig = Rig::start(|_| {}).await;
    for line in [
        format!("GET {INTEGRATIONS}"),
        "GET /nowhere".into(),
        "GET /healthz".into(),
        "POST /metrics".into(),
    ] {
        let answer = rig.send(&line, &[], b"").await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(answer.header(name), Some(value), "{line}");
        }
        assert_eq!(answer.header("server"), None);
    }
    let docs = rig.send("GET /docs/", &[], b"").await;
    assert_eq!(docs.status, 200);
    let policy = docs.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    assert!(
        !docs.text.contains("<script>") && !docs.text.contains("//cdn"),
        "{}",
        docs.text
    );
    rig.stop().await;
}

#[tokio::test]
async fn the_documentation_can_be_switched_off() {
    let rig = Rig::start(|config| config.docs = false).await;
    rig.send("GET /docs/", &[], b"")
        .await
        .is_problem(404, "not_found");
    rig.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_only_where_they_are_named() {
    let origin = format!("origin: {PORTAL}");
    let asks = [
        origin.as_str(),
        "access-control-request-method: PUT",
        "access-control-request-headers: authorization,if-match",
    ];
    let preflight = format!("OPTIONS {INTEGRATIONS}");
    let list = format!("GET {INTEGRATIONS}");

    let closed = Rig::start(|_| {}).await;
    for line in [&preflight, &list] {
        let answer = closed.send(line, &asks, b"").await;
        assert!(!answer.text.contains("access-control-"), "{}", answer.text);
    }
    closed.stop().await;

    let open = Rig::start(|config| config.cors_origins = vec![PORTAL.parse().unwrap()]).await;
    let allowed = open.send_as(&preflight, &asks, b"").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(PORTAL));
    let methods = allowed.header("access-control-allow-methods").unwrap();
    assert!(methods.split(',').any(|method| method == "PUT"), "{methods}");
    let headers = allowed.header("access-control-allow-headers").unwrap();
    assert!(
        headers.contains("authorization") && headers.contains("if-match"),
        "{headers}"
    );
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    assert!(allowed.header("vary").unwrap().contains("origin"));

    let answer = open.send(&list, &[&origin], b"").await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, Some(PORTAL))
    );
    assert!(
        answer
            .header("access-control-expose-headers")
            .unwrap()
            .contains("etag")
    );
    // A page may read why it was refused.
    let refused = open.send_as(&list, &[&origin], b"").await;
    assert_eq!(
        (refused.status, refused.header("access-control-allow-origin")),
        (401, Some(PORTAL))
    );
    for other in [
        "origin: https://evil.example",
        "origin: null",
        "origin: http://portal.example.com",
    ] {
        let answer = open.send(&list, &[other], b"").await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{other}");
    }
    open.stop().await;
}
