//! Every query, and the variables that go with it, against the types of Wiz's schema.

use std::sync::LazyLock;

use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use serde_json::Value;

use crate::wiz::queries;

static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    let text = include_str!("../../../tests/wiz-schema.graphql");
    Schema::parse_and_validate(text, "wiz-schema.graphql").unwrap_or_else(|faults| panic!("{faults}"))
});

fn document(text: &str) -> Valid<ExecutableDocument> {
    ExecutableDocument::parse_and_validate(&SCHEMA, text, "query.graphql")
        .unwrap_or_else(|faults| panic!("{faults}"))
}

/// Refuses a request that Wiz would refuse: an unknown field, a missing variable, a value of another type.
pub(super) fn check(body: &Value) {
    let document = document(body["query"].as_str().unwrap());
    let variables: JsonMap = serde_json::from_value(body["variables"].clone()).unwrap();
    let operation = document.operations.get(None).unwrap();
    let coerced = coerce_variable_values(&SCHEMA, operation, &variables);
    assert!(coerced.is_ok(), "{}", coerced.unwrap_err().message());
    for name in variables.keys() {
        let declared = operation
            .variables
            .iter()
            .any(|variable| variable.name == name.as_str());
        assert!(declared, "the variable {name:?} is not declared");
    }
}

#[test]
fn every_query_asks_for_what_the_schema_has() {
    for query in queries::ALL {
        assert_eq!(
            document(query.text).operations.iter().count(),
            1,
            "{}",
            query.name
        );
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/wiz/queries")).unwrap();
    assert_eq!(files.count(), queries::ALL.len(), "a file that no query uses");
}

#[test]
#[should_panic(expected = "ipAddresses")]
fn a_field_that_the_schema_does_not_have_is_refused() {
    document("{ report(id: 1) { ipAddresses } }");
}
