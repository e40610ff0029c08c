//! Clients that are slow, many, or write what two readers may read differently.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::rig::{INTEGRATIONS, KEY, Rig, answer, rest};

#[tokio::test]
async fn a_thousand_idle_connections_do_not_keep_a_caller_out() {
    let rig = Rig::start(|_| {}).await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(rig.connect().await);
    }
    // Those that have a place lose it for want of a request, and so the caller comes to its turn.
    rig.is_well().await;
    drop(idle);
    rig.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_endlessly() {
    let rig = Rig::start(|_| {}).await;
    let mut slow = rig.connect().await;
    let head = format!(
        "POST {INTEGRATIONS} HTTP/1.1\r\nhost: service\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let answered = rest(&mut slow);
    tokio::pin!(answered);
    let text = loop {
        tokio::select! {
            text = &mut answered => break text,
            () = tokio::task::yield_now() => rig.clock.advance(Duration::from_millis(10)),
        }
    };
    answer(text).is_problem(408, "request_timeout");
    rig.is_well().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_request_within_the_body_of_another_is_never_answered() {
    let rig = Rig::start(|_| {}).await;
    let hidden = format!("GET /api/v1/runs HTTP/1.1\r\nhost: service\r\nauthorization: Bearer {KEY}\r\n\r\n");
    let head = format!("POST {INTEGRATIONS} HTTP/1.1\r\nhost: service\r\ncontent-type: application/json\r\n");
    let chunked = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    for (framing, body) in [
        (
            "content-length: 4\r\ntransfer-encoding: chunked\r\n".to_owned(),
            chunked.clone(),
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 4\r\n".to_owned(),
            chunked.clone(),
        ),
        (
            format!("content-length: {}\r\ncontent-length: 4\r\n", hidden.len()),
            hidden.clone(),
        ),
        (format!("content-length: 4, {}\r\n", hidden.len()), hidden.clone()),
        ("content-length: +4\r\n".to_owned(), hidden.clone()),
        (
            "transfer-encoding: chunked, identity\r\n".to_owned(),
            chunked.clone(),
        ),
        ("transfer-encoding: xchunked\r\n".to_owned(), chunked.clone()),
        ("transfer-encoding : chunked\r\n".to_owned(), chunked.clone()),
    ] {
        let bytes = format!("{head}{framing}connection: close\r\n\r\n{body}");
        let text = rig.raw(bytes.as_bytes()).await;
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{framing}: {text}");
        let status = answer(text).status;
        assert!(matches!(status, 400 | 401), "{framing}: {status}");
    }
    rig.is_well().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_header_that_decides_who_asks_what_comes_once_only() {
    let rig = Rig::start(|_| {}).await;
    let list = format!("GET {INTEGRATIONS}");
    for double in ["authorization: Bearer another", "host: another"] {
        let answer = rig.send(&list, &[double], b"").await;
        answer.is_problem(400, "invalid_body");
    }
    let answer = rig
        .send(
            &format!("POST {INTEGRATIONS}"),
            &["content-type: text/plain"],
            b"{}",
        )
        .await;
    answer.is_problem(400, "invalid_body");
    rig.stop().await;
}

#[tokio::test]
async fn heads_beyond_all_measure_are_refused_and_not_kept() {
    let rig = Rig::start(|_| {}).await;
    let many: Vec<_> = (0..500).map(|number| format!("x-{number}: 1\r\n")).collect();
    let many = many.concat();
    let text = rig
        .raw(format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{many}\r\n").as_bytes())
        .await;
    assert_eq!(answer(text).status, 431);
    let path = "a".repeat(100_000);
    let text = rig
        .raw(format!("GET /{path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes())
        .await;
    assert!(matches!(answer(text).status, 414 | 431), "a long path");
    for broken in [
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\0y: 1\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n",
    ] {
        let text = rig.raw(broken.as_bytes()).await;
        assert!(text.is_empty() || answer(text).status == 400, "{broken:?}");
    }
    rig.is_well().await;
    rig.stop().await;
}

/// What cannot be read as a request is answered before there is one: without a body, an id or a place in the log.
#[tokio::test]
async fn what_is_no_request_gets_a_bare_status_and_the_end_of_its_connection() {
    let rig = Rig::start(|_| {}).await;
    let many = "x-more: 1\r\n".repeat(150);
    let long = format!("x-long: {}\r\n", "a".repeat(500_000));
    for (head, status) in [
        (
            "GET /healthz HTTP/1.1\r\nhost: a\r\nx\0y: 1\r\n\r\n".to_owned(),
            400,
        ),
        (
            "GET /healthz HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n".to_owned(),
            400,
        ),
        (
            "GET /healthz HTTP/1.1\r\nhost: a\r\nx : 1\r\n\r\n".to_owned(),
            400,
        ),
        ("GET /healthz HTTP/9.9\r\nhost: a\r\n\r\n".to_owned(), 400),
        ("GET /a b HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 400),
        (format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{many}\r\n"), 431),
        (format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{long}\r\n"), 431),
        (
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000)),
            414,
        ),
    ] {
        let answer = answer(rig.raw(head.as_bytes()).await);
        let told = head.get(..60).unwrap_or(&head);
        assert_eq!(answer.status, status, "{told:?}: {}", answer.text);
        assert_eq!(answer.header("connection"), Some("close"), "{told:?}");
        assert_eq!(answer.header("content-length"), Some("0"), "{told:?}");
        assert_eq!(answer.header("x-request-id"), None, "{told:?}");
        assert!(answer.text.ends_with("\r\n\r\n"), "{told:?}");
    }
    rig.is_well().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_header_of_other_bytes_than_ascii_reaches_the_service_and_is_no_fault_of_its() {
    let rig = Rig::start(|_| {}).await;
    for (name, status) in [
        ("authorization", 401),
        ("accept", 406),
        ("idempotency-key", 200),
        ("if-match", 200),
        ("prefer", 200),
        ("x-request-id", 200),
    ] {
        let key = if name == "authorization" {
            String::new()
        } else {
            format!("authorization: Bearer {KEY}\r\n")
        };
        let head = format!("GET {INTEGRATIONS} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{key}{name}: ");
        let bytes = [head.as_bytes(), b"\xc3\x28\xff", b"\r\n\r\n"].concat();
        let answer = answer(rig.raw(&bytes).await);
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        let id = answer.header("x-request-id").unwrap();
        assert!(!id.is_empty() && id.is_ascii(), "{name}: {id}");
    }
    rig.stop().await;
}
