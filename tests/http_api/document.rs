//! The calls as the OpenAPI document lists them: what is promised of all of them is tried on each.

use axum::http::Method;
use serde_json::Value;
use wiz_context::http::openapi_json;

/// Where the document itself is.
pub(crate) const DOCUMENT: &str = "/api/v1/openapi.json";

/// One call of the document.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) operation: Value,
}

impl Call {
    pub(crate) fn id(&self) -> &str {
        self.operation["operationId"].as_str().unwrap()
    }

    /// Whether the document says that it can answer so.
    pub(crate) fn can_answer(&self, status: &str) -> bool {
        self.operation["responses"][status].is_object()
    }
}

/// All of them.
pub(crate) fn calls() -> Vec<Call> {
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            calls.push(Call {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                operation: operation.clone(),
            });
        }
    }
    calls
}

/// A path with its parameters filled in: by the id of something that is not there.
pub(crate) fn filled(path: &str) -> String {
    let absent = "01a20d2a-3996-73a0-af57-c27859874f3e";
    let filled = path.replace("{ip}", "10.0.0.1");
    filled.replace("{id}", absent).replace("{run}", absent)
}
