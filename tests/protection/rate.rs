//! How often callers may ask.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::rig::{INTEGRATIONS, Rig};

#[tokio::test]
async fn a_caller_that_asks_too_often_is_told_when_to_come_back() {
    let rig = Rig::start(|config| config.api_requests_per_second = NonZeroU32::new(1)).await;
    let list = format!("GET {INTEGRATIONS}");
    for left in (0..10).rev() {
        let answer = rig.send(&list, &[], b"").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=10;w=10"));
        let told = format!("\"default\";r={left};t={}", 10 - left);
        assert_eq!(answer.header("ratelimit"), Some(told.as_str()));
    }
    let refused = rig.send(&list, &[], b"").await;
    refused.is_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("ratelimit"), Some("\"default\";r=0;t=1"));
    assert_eq!(rig.send("GET /healthz", &[], b"").await.status, 200);
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(rig.send(&list, &[], b"").await.status, 200);
    rig.send(&list, &[], b"").await.is_problem(429, "rate_limited");
    rig.stop().await;
}

#[tokio::test]
async fn who_guesses_keys_is_slowed_down_and_keeps_nobody_else_out() {
    let rig = Rig::start(|config| config.api_requests_per_second = NonZeroU32::new(1)).await;
    let guess = async || {
        rig.send_as(
            &format!("GET {INTEGRATIONS}"),
            &["authorization: Bearer guessed"],
            b"",
        )
        .await
    };
    for _ in 0..10 {
        guess().await.is_problem(401, "unauthorized");
    }
    let refused = guess().await;
    refused.is_problem(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    rig.is_well().await;
    rig.stop().await;
}

#[tokio::test]
async fn without_a_limit_nobody_counts() {
    let rig = Rig::start(|config| config.api_requests_per_second = None).await;
    for _ in 0..60 {
        let answer = rig.send(&format!("GET {INTEGRATIONS}"), &[], b"").await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
    }
    rig.stop().await;
}
