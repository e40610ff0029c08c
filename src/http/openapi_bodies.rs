//! What the OpenAPI document says of bodies and parameters beyond what the macros can.

use serde_json::Value;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, SchemaFormat};
use utoipa::openapi::{Components, Object, ObjectBuilder, Ref, RefOr, Schema};

/// Bodies with nothing in them but what they name.
const CLOSED: [&str; 5] = [
    "ApiKeyBody",
    "AuditSearch",
    "IntegrationBody",
    "PairBody",
    "WizBody",
];

/// Members that only reads carry; a body that was read can be sent back with them.
const READ_ONLY: [(&str, &[&str]); 2] = [
    ("IntegrationBody", &["id", "created", "lastupdated", "status"]),
    ("WizBody", &["clientsecret_set_at"]),
];

/// Parameters that take one of a few words.
const WORDS: [(&str, &[&str]); 3] = [
    ("labels", &["keep", "remove"]),
    ("if_running", &["join", "reject"]),
    ("context", &["cve", "cvss_rating", "cvss_score", "vuln_count"]),
];

/// Says what bodies refuse, and describes the body of a change: any members of an integration.
pub(super) fn describe(components: &mut Components) {
    for name in CLOSED {
        change(components, name, |body| {
            body.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        });
    }
    change(components, "AuditSearch", |search| {
        if let Some(RefOr::T(Schema::Object(from))) = search.properties.get_mut("from") {
            from.format = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
            from.maximum = Some(f64::from(u32::MAX).into());
        }
    });
    // The repetition of a call is answered as the call was, but for the key itself, which is kept nowhere.
    change(components, "NewKeyView", |view| {
        view.required.retain(|member| member != "key");
    });
    for (name, members) in READ_ONLY {
        change(components, name, |body| {
            for member in members {
                let ignored = ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::SchemaType::AnyValue)
                    .read_only(true)
                    .description(Some(
                        "Carried by reads; accepted and ignored, but for an `id` of another one.",
                    ));
                body.properties
                    .insert((*member).to_owned(), Schema::Object(ignored.build()).into());
            }
        });
    }
    for (whole, part) in [("WizBody", "WizPatch"), ("IntegrationBody", "IntegrationPatch")] {
        part_of(components, whole, part);
    }
    change(components, "IntegrationPatch", |patch| {
        let wiz = Ref::from_schema_name("WizPatch");
        patch.properties.insert("wiz".to_owned(), wiz.into());
    });
}

/// Adds a record of which each member may be left out, and refers to it.
pub(super) fn part_of(components: &mut Components, whole: &str, part: &str) -> Ref {
    if let Some(RefOr::T(Schema::Object(record))) = components.schemas.get(whole) {
        let mut record = record.clone();
        record.required.clear();
        let record = Schema::Object(record);
        components.schemas.insert(part.to_owned(), record.into());
    }
    Ref::from_schema_name(part)
}

/// Says of an operation what holds for all of its kind, or for it alone.
pub(super) fn refine(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else {
            continue;
        };
        if parameter.name.eq_ignore_ascii_case("idempotency-key") {
            (schema.min_length, schema.max_length) = (Some(1), Some(255));
            schema.pattern = Some("^[!-~]+$".to_owned());
        }
        if parameter.parameter_in != ParameterIn::Query {
            continue;
        }
        if parameter.name == "head" {
            schema.pattern = Some("^[0-9A-Fa-f]{64}$".to_owned());
        }
        if parameter.name == "limit" {
            (schema.minimum, schema.maximum) = (Some(1.into()), Some(1000.into()));
        }
        if let Some((_, words)) = WORDS.iter().find(|(name, _)| *name == parameter.name) {
            schema.enum_values = Some(words.iter().map(|word| Value::from(*word)).collect());
        }
    }
    match operation.operation_id.as_deref() {
        Some("update_integration") => {
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                for content in body.content.values_mut() {
                    if let RefOr::T(content) = content {
                        content.schema = Some(Ref::from_schema_name("IntegrationPatch").into());
                    }
                }
            }
        }
        // What a stream is made of is said in words: a schema would be one of its whole text, which has no end.
        Some("follow_run") => answer_with(operation, "text/event-stream", None),
        _ => {}
    }
}

/// Gives the good answer of an operation another schema, or none.
pub(super) fn answer_with(operation: &mut Operation, media_type: &str, schema: Option<&str>) {
    let response = operation.responses.responses.get_mut("200");
    if let Some(RefOr::T(response)) = response
        && let Some(RefOr::T(content)) = response.content.get_mut(media_type)
    {
        content.schema = schema.map(|name| Ref::from_schema_name(name).into());
    }
}

fn change(components: &mut Components, name: &str, change: impl FnOnce(&mut Object)) {
    if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(name) {
        change(object);
    }
}
