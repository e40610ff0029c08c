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
