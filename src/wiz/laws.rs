//! What holds for every answer that Wiz, or somebody in its place, may give.

use bytes::Bytes;
use proptest::prelude::*;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::answer::read;
use super::queries::READ_REPORT;
use super::report::{WireReport, WireReportRun};
use crate::domain::BearerToken;
use crate::outgoing::Answer;

const PLANTED: &str = "planted-token";

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!(PLANTED)),
        prop::sample::select(vec![
            "COMPLETED",
            "FAILED",
            "2026-11-24T00:00:00Z",
            "https://s3.amazonaws.com/x?sig=1",
            "-1",
            "1e400"
        ])
        .prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "data",
        "errors",
        "message",
        "extensions",
        "code",
        "retryAfter",
        "requiredScopes",
        "effectiveScopes",
        "id",
        "name",
        "lastRun",
        "status",
        "results",
        "count",
        "runAt",
        "url",
        "progress",
        "report",
        "reportRun",
        "nodes",
        "pageInfo",
    ]);
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        body: body.into(),
        retry_after: None,
    }
}

/// Reads an answer as all that it may be asked for; the text of what is wrong with it, if anything.
fn faults(answer: &Answer) -> Vec<String> {
    let token = BearerToken::new(PLANTED);
    let errors = [
        read::<Value>(&READ_REPORT, answer, &token).err(),
        read::<WireReport>(&READ_REPORT, answer, &token).err(),
        read::<WireReportRun>(&READ_REPORT, answer, &token).err(),
    ];
    errors
        .into_iter()
        .flatten()
        .map(|error| error.failure().message)
        .collect()
}

/// What a good answer to the question for a report's run looks like.
const GOOD_RUN: &str = r#"{"id":"r","status":"COMPLETED","progress":100,"runAt":"2026-11-24T00:00:00Z","url":null,"results":{"count":1}}"#;

/// Answers with status 200 that are none, or that are to be taken for errors.
const NO_DATA: [&str; 26] = [
    "",
    " ",
    "null",
    "[]",
    "{}",
    "7",
    "\"data\"",
    "<!DOCTYPE html><html>",
    "\u{feff}{\"data\":{}}",
    r#"{"data":null}"#,
    r#"{"data":null,"errors":null}"#,
    r#"{"data":null,"errors":[]}"#,
    r#"{"data":{},"data":{}}"#,
    r#"{"data":{}}{"data":{}}"#,
    r#"{"data":{},"errors":{}}"#,
    r#"{"data":{},"errors":"none"}"#,
    r#"{"data":{},"errors":[null]}"#,
    r#"{"data":{},"errors":[[]]}"#,
    r#"{"data":{},"errors":[{}]}"#,
    r#"{"data":{},"errors":[{"message":null}]}"#,
    r#"{"data":{},"errors":[{"message":{"a":1},"extensions":[]}]}"#,
    r#"{"data":{},"errors":[{"extensions":{"code":7}}]}"#,
    r#"{"data":{},"errors":[{"extensions":{"code":"RATE_LIMIT_EXCEEDED","retryAfter":-1e308}}]}"#,
    r#"{"data":{},"errors":[{"extensions":{"code":"RATE_LIMIT_EXCEEDED","retryAfter":"99999999999999999999"}}]}"#,
    r#"{"data":{},"errors":[{"message":"\ud800"}]}"#,
    r#"{"data":{},"errors":[{"message":1e999}]}"#,
];

/// Members of an answer in which a neighbour may repeat the token that it was sent.
const REPEATING: [&str; 8] = [
    r#"{"message":"planted-token"}"#,
    r#"{"message":"a\nplanted-token\u001b[31m"}"#,
    r#"{"message":"","extensions":{"code":"planted-token"}}"#,
    r#"{"extensions":{"code":"UNAUTHORIZED","requiredScopes":["planted-token"]}}"#,
    r#"{"extensions":{"code":"UNAUTHORIZED","requiredScopes":["a"],"effectiveScopes":["planted-token"]}}"#,
    r#"{"extensions":{"code":"UNAUTHORIZED","requiredScopes":["Bearer planted-token"],"effectiveScopes":"planted-token"}}"#,
    r#"{"message":"planted-token","extensions":{"code":"BAD_USER_INPUT"}}"#,
    r#"{"message":"planted-token","extensions":{"code":"QUERY_COMPLEXITY_LIMIT_EXCEEDED"}}"#,
];

#[test]
fn what_is_no_answer_is_never_taken_for_data() {
    let token = BearerToken::new(PLANTED);
    for body in NO_DATA {
        let error = read::<Value>(&READ_REPORT, &answer(200, body), &token).expect_err(body);
        let told = error.failure().message;
        assert!(told.len() < 2_000 && !told.contains('\n'), "{body}: {told}");
    }
    let good = format!(r#"{{"data":{GOOD_RUN},"errors":[]}}"#);
    let run = read::<WireReportRun>(&READ_REPORT, &answer(200, good), &token);
    assert!(run.is_ok());
    // A member of another kind is no run.
    for (member, other) in [
        ("\"r\"", "null"),
        ("\"r\"", "7"),
        ("\"COMPLETED\"", "null"),
        ("\"2026-11-24T00:00:00Z\"", "{}"),
        ("{\"count\":1}", "[[1]]"),
        ("null", "{}"),
    ] {
        let body = format!(r#"{{"data":{}}}"#, GOOD_RUN.replacen(member, other, 1));
        let run = read::<WireReportRun>(&READ_REPORT, &answer(200, body.clone()), &token);
        assert!(run.is_err(), "{body}");
    }
}

#[test]
fn no_member_of_an_answer_gets_the_token_into_a_message() {
    for status in [200, 400, 401, 403, 404, 429, 500] {
        for error in REPEATING {
            let body = format!(r#"{{"data":null,"errors":[{error}]}}"#);
            for told in faults(&answer(status, body.clone())) {
                assert!(!told.contains(PLANTED), "{status} {body}: {told}");
            }
        }
    }
    let scopes: Vec<_> = (0..500)
        .map(|number| format!("scope:{number}{}", "x".repeat(99)))
        .collect();
    let body = json!({"errors": [{"extensions": {"code": "UNAUTHORIZED", "requiredScopes": scopes.clone(), "effectiveScopes": vec!["a"; 500]}}]});
    for told in faults(&answer(200, body.to_string())) {
        assert!(told.len() < 2_000, "{}", told.len());
    }
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused_in_one_line_without_the_token(status in 200_u16..600, body in anything()) {
        for told in faults(&answer(status, body.to_string())) {
            prop_assert!(!told.contains(PLANTED), "{}", told);
            prop_assert!(told.len() < 2_000 && !told.contains(['\n', '\r', '\u{1b}']), "{:?}", told);
        }
    }

    #[test]
    fn any_bytes_are_an_answer_or_none(status in 200_u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        faults(&answer(status, body));
    }

    #[test]
    fn an_answer_with_an_error_is_never_taken_for_data(data in anything(), error in anything()) {
        let body = json!({"data": data, "errors": [{"message": error, "extensions": {"code": "INTERNAL"}}]});
        prop_assert_eq!(faults(&answer(200, body.to_string())).len(), 3);
    }
}
