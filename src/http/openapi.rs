//! The OpenAPI document.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, OpenApi, Ref, RefOr, Schema, SecurityRequirement};
use utoipa::{Modify, OpenApi as _};

use super::openapi_bodies::{self, answer_with, part_of, refine};
use super::rules::{SCHEME, describe_layers};
use super::{refusal_examples, refusals};

/// What calls carried and answered in a tour of the service, by operation.
const EXAMPLES: &str = include_str!("../../openapi/examples.json");

/// What a search in the audit log finds: its `include` may leave members of the records out.
const FOUND: &str = "Envelope_Vec_AuditRecordPart";

/// What the document says beside the routes.
#[derive(Debug, utoipa::OpenApi)]
#[openapi(
    info(
        title = "wiz-context",
        description = "Keeps the IP context labels of a Netography Fusion account equal to what Wiz knows of its vulnerable \
            assets. Calls have the shapes of Fusion's own context-integration and audit calls.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "This service")),
    modifiers(&Shared),
    tags(
        (name = "integrations", description = "The connections to Wiz tenants"),
        (name = "runs", description = "Runs and dry runs"),
        (name = "labels", description = "What Fusion holds by the ledger"),
        (name = "keys", description = "Who may call, and what they may do"),
        (name = "audit", description = "Who did what, when"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Document;

/// What calls refer to.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(
            "An API key. Each call names the least role that it takes as the scope: `readonly` reads; `operator` runs, \
             cancels, approves, checks and verifies too; `admin` does everything."
                .to_owned(),
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
        refusals::describe(components);
        document.security = Some(vec![SecurityRequirement::new(SCHEME, [] as [&str; 0])]);
    }
}

/// The examples of an operation.
#[derive(Debug, Default, Deserialize)]
struct Examples {
    request: Option<Value>,
    #[serde(default)]
    responses: BTreeMap<String, Value>,
}

/// The document without routes.
pub(super) fn base() -> OpenApi {
    Document::openapi()
}

/// The whole document as text, with a line end at its end.
///
/// # Panics
/// Never: the document has a JSON form.
pub fn openapi_json() -> String {
    let mut document = super::router::routes().into_openapi();
    describe_layers(&mut document);
    finish(&mut document);
    document.to_pretty_json().expect("the document has a JSON form") + "\n"
}

/// Adds what the attributes of routes would only repeat.
fn finish(document: &mut OpenApi) {
    if let Some(components) = &mut document.components {
        name_records(components);
        openapi_bodies::describe(components);
        let part = part_of(components, "AuditRecord", "AuditRecordPart");
        if let Some(RefOr::T(Schema::Object(envelope))) = components.schemas.get("Envelope_Vec_AuditRecord") {
            let mut envelope = envelope.clone();
            let records = utoipa::openapi::ArrayBuilder::new().items(part).build();
            envelope
                .properties
                .insert("data".to_owned(), Schema::Array(records).into());
            let envelope = RefOr::T(Schema::Object(envelope));
            components.schemas.insert(FOUND.to_owned(), envelope);
        }
    }
    let mut examples: BTreeMap<String, Examples> =
        serde_json::from_str(EXAMPLES).expect("the examples are compiled in");
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            let id = operation.operation_id.clone().unwrap_or_default();
            if id == "search_audit" {
                answer_with(operation, "application/json", Some(FOUND));
            }
            exemplify(operation, examples.remove(&id).unwrap_or_default());
            refine(operation);
            refusal_examples::exemplify(operation);
        }
    }
}

/// Lets envelopes refer to the records that they carry, where the macros repeat them, so that generated clients have one
/// type for each.
fn name_records(components: &mut Components) {
    let records = components.schemas.clone();
    let name = |schema: &mut RefOr<Schema>| {
        let found = records.iter().find(|(_, record)| *record == schema);
        if let Some((name, _)) = found {
            *schema = Ref::from_schema_name(name).into();
        }
    };
    for schema in components.schemas.values_mut() {
        let RefOr::T(Schema::Object(envelope)) = schema else {
            continue;
        };
        if !envelope.properties.contains_key("meta") {
            continue;
        }
        match envelope.properties.get_mut("data") {
            Some(RefOr::T(Schema::Array(array))) => {
                if let ArrayItems::RefOrSchema(items) = &mut array.items {
                    name(items);
                }
            }
            Some(data) => name(data),
            None => {}
        }
    }
}

fn exemplify(operation: &mut Operation, mut examples: Examples) {
    if let (Some(RefOr::T(body)), Some(example)) = (&mut operation.request_body, examples.request) {
        for content in body.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            content.example = Some(example.clone());
        }
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if let Some(RefOr::T(content)) = response.content.get_mut("application/json") {
            content.example = examples.responses.remove(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the calls do, in one word each.
    const VERBS: [&str; 15] = [
        "adopt", "approve", "cancel", "check", "create", "delete", "export", "follow", "list", "read",
        "replace", "search", "start", "update", "verify",
    ];

    fn operations() -> Vec<(String, Value)> {
        let document: Value = serde_json::from_str(&openapi_json()).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|item| item.as_object().unwrap().values());
        let named = |operation: &Value| {
            (
                operation["operationId"].as_str().unwrap().to_owned(),
                operation.clone(),
            )
        };
        operations.map(named).collect()
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_of_verb_and_resource() {
        let mut known = std::collections::BTreeSet::new();
        for (id, _) in operations() {
            let (verb, resource) = id.split_once('_').expect("two words");
            assert!(VERBS.contains(&verb), "{id}: {verb} is a new word");
            let words = resource
                .split('_')
                .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()));
            assert!(words, "{id}");
            assert!(known.insert(id.clone()), "{id} comes twice");
        }
    }

    #[test]
    fn every_body_that_is_taken_or_given_has_an_example() {
        let document: Value = serde_json::from_str(&openapi_json()).unwrap();
        for (id, operation) in operations() {
            let answers = operation["responses"].as_object().unwrap();
            let described = answers.iter().map(|(status, answer)| {
                let shared = answer["$ref"]
                    .as_str()
                    .and_then(|place| document.pointer(&place[1..]));
                (status.as_str(), shared.unwrap_or(answer))
            });
            let request = operation.get("requestBody").map(|body| ("request", body));
            for (what, body) in described.chain(request) {
                assert!(
                    body["description"].is_string() || what == "request",
                    "{id} {what}"
                );
                let contents = body["content"].as_object();
                for (media, content) in contents.into_iter().flatten() {
                    assert!(
                        !content["example"].is_null(),
                        "{id} {what}: {media} has no example"
                    );
                    if media == "application/problem+json" {
                        let status = content["example"]["status"].as_u64().unwrap();
                        assert_eq!(status.to_string(), what, "{id}");
                    }
                }
            }
            assert!(answers.keys().any(|status| status.starts_with('2')), "{id}");
        }
    }
}
