//! The values of a GraphQL request's variables and arguments.

use std::collections::BTreeMap;

use apollo_parser::cst;
use serde_json::{Map, Value};

use super::coercion::coerced;
use super::query::{Refusal, enum_values, invalid};
use super::schema::{Kind, Schema, TypeRef};

/// The variables that an operation declares.
pub(super) struct Variables(BTreeMap<String, Variable>);

struct Variable {
    ty: TypeRef,
    /// None when the request leaves it out and there is no default.
    value: Option<Value>,
    used: bool,
}

impl Variables {
    /// A variable that is declared and that nothing uses.
    pub(super) fn unused(&self) -> Option<&str> {
        let mut variables = self.0.iter();
        variables
            .find(|(_, variable)| !variable.used)
            .map(|(name, _)| name.as_str())
    }
}

/// Holds the values that a request gives for its variables against their declared types.
pub(super) fn variable_values(
    schema: &Schema,
    definitions: Option<&cst::VariableDefinitions>,
    given: &Map<String, Value>,
) -> Result<Variables, Refusal> {
    let mut variables = BTreeMap::new();
    for definition in definitions
        .into_iter()
        .flat_map(cst::VariableDefinitions::variable_definitions)
    {
        let name = definition
            .variable()
            .map(|it| it.text().to_string())
            .unwrap_or_default();
        let ty = definition.ty().as_ref().and_then(TypeRef::read);
        let ty = ty.ok_or_else(|| invalid(format!("Variable \"${name}\" has no type.")))?;
        if !schema.is_input(ty.name()) {
            return Err(invalid(format!(
                "Variable \"${name}\" has the unknown type \"{ty}\"."
            )));
        }
        let default = definition.default_value().and_then(|it| it.value());
        let value = match (given.get(&name), default) {
            (Some(value), _) => {
                let wrong = |message| Refusal {
                    code: "VALIDATION_INVALID_TYPE_VARIABLE",
                    message: format!("Variable \"${name}\" got an invalid value: {message}"),
                };
                Some(coerced(schema, &ty, value.clone()).map_err(wrong)?)
            }
            (None, Some(default)) => literal(schema, &mut Variables(BTreeMap::new()), &ty, &default)?,
            (None, None) if ty.is_required() => {
                let message = format!("Variable \"${name}\" of required type \"{ty}\" was not provided.");
                return Err(Refusal {
                    code: "VALIDATION_INVALID_TYPE_VARIABLE",
                    message,
                });
            }
            (None, None) => None,
        };
        variables.insert(
            name,
            Variable {
                ty,
                value,
                used: false,
            },
        );
    }
    Ok(Variables(variables))
}

/// Holds the arguments of a field against what the field takes.
pub(super) fn argument_values(
    schema: &Schema,
    variables: &mut Variables,
    given: Option<&cst::Arguments>,
    taken: &BTreeMap<String, TypeRef>,
) -> Result<Map<String, Value>, Refusal> {
    let mut values = Map::new();
    for argument in given.into_iter().flat_map(cst::Arguments::arguments) {
        let name = argument
            .name()
            .map(|name| name.text().to_string())
            .unwrap_or_default();
        let ty = taken
            .get(&name)
            .ok_or_else(|| invalid(format!("Unknown argument \"{name}\".")))?;
        let value = argument
            .value()
            .ok_or_else(|| invalid(format!("Argument \"{name}\" has no value.")))?;
        if let Some(value) = literal(schema, variables, ty, &value)? {
            values.insert(name, value);
        }
    }
    let missing = taken
        .iter()
        .find(|(name, ty)| ty.is_required() && !values.contains_key(*name));
    if let Some((name, ty)) = missing {
        return Err(invalid(format!(
            "Argument \"{name}\" of type \"{ty}\" is required, but not provided."
        )));
    }
    Ok(values)
}

/// The value of a literal or variable; none for a variable that was left out.
fn literal(
    schema: &Schema,
    variables: &mut Variables,
    ty: &TypeRef,
    value: &cst::Value,
) -> Result<Option<Value>, Refusal> {
    if let cst::Value::Variable(variable) = value {
        let name = variable.text().to_string();
        let undefined = || invalid(format!("Variable \"${name}\" is not defined."));
        let variable = variables.0.get_mut(&name).ok_or_else(undefined)?;
        variable.used = true;
        if !variable.ty.fits(ty) {
            let found = &variable.ty;
            let message =
                format!("Variable \"${name}\" of type \"{found}\" used in position expecting \"{ty}\".");
            return Err(invalid(message));
        }
        return Ok(variable.value.clone());
    }
    let value = json(schema, variables, ty, value)?;
    coerced(schema, ty, value).map(Some).map_err(invalid)
}

/// A literal as JSON, the values of the variables inside filled in. Enum values are checked here, where they still differ
/// from text.
fn json(
    schema: &Schema,
    variables: &mut Variables,
    ty: &TypeRef,
    value: &cst::Value,
) -> Result<Value, Refusal> {
    let is_enum = enum_values(schema, ty.name()).is_some();
    let unreadable = || invalid(format!("A value of type \"{ty}\" cannot be read."));
    Ok(match value {
        cst::Value::Variable(_) => literal(schema, variables, ty, value)?.unwrap_or_default(),
        cst::Value::StringValue(_) if is_enum => {
            return Err(invalid(format!("Enum \"{}\" cannot represent text.", ty.name())));
        }
        cst::Value::StringValue(it) => Value::String(it.clone().into()),
        cst::Value::IntValue(it) => i32::try_from(it.clone()).map_err(|_| unreadable())?.into(),
        cst::Value::FloatValue(it) => f64::try_from(it.clone()).map_err(|_| unreadable())?.into(),
        cst::Value::BooleanValue(it) => it.true_token().is_some().into(),
        cst::Value::NullValue(_) => Value::Null,
        cst::Value::EnumValue(it) if is_enum => it.text().as_str().into(),
        cst::Value::EnumValue(it) => {
            let word = it.text();
            return Err(invalid(format!(
                "Type \"{ty}\" cannot represent the word {}.",
                word.as_str()
            )));
        }
        cst::Value::ListValue(it) => {
            let inner = match ty {
                TypeRef::NonNull(inner) => inner,
                other => other,
            };
            let TypeRef::List(inner) = inner else {
                return Err(unreadable());
            };
            let items = it.values().map(|value| json(schema, variables, inner, &value));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        cst::Value::ObjectValue(it) => {
            let Some(Kind::Input(members)) = schema.kind(ty.name()) else {
                return Err(unreadable());
            };
            let mut object = Map::new();
            for field in it.object_fields() {
                let name = field
                    .name()
                    .map(|name| name.text().to_string())
                    .unwrap_or_default();
                let unknown = || {
                    invalid(format!(
                        "Field \"{name}\" is not defined by type \"{}\".",
                        ty.name()
                    ))
                };
                let ty = members.get(&name).ok_or_else(unknown)?;
                let value = field.value().ok_or_else(unreadable)?;
                if let Some(value) = literal(schema, variables, ty, &value)? {
                    object.insert(name, value);
                }
            }
            Value::Object(object)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::query::{Request, project};
    use super::*;

    fn read(query: &str, variables: &Value) -> Result<Request, Refusal> {
        let Value::Object(variables) = variables else {
            panic!("variables are an object")
        };
        Request::read(&Schema::of_wiz(), query, None, variables)
    }

    #[test]
    fn a_request_is_answered_with_what_it_selects() {
        let query = "query Runs($id: ID!, $first: Int) {
            reportRun(id: $id) { run: id ...parts results { ... on ReportRunResultsVulnerabilities { count } } }
            reportRuns(first: $first, filterBy: {reportId: $id}) { nodes { id } }
        }
        fragment parts on ReportRun { __typename status }";
        let refused = read(query, &json!({"id": "r1", "first": 3})).unwrap_err();
        assert!(
            refused.message.contains("used in position expecting \"String\""),
            "{}",
            refused.message
        );

        let query = query.replace("filterBy: {reportId: $id}", "filterBy: {reportId: \"r1\"}");
        let request = read(&query, &json!({"id": "r1", "first": 3})).unwrap();
        assert_eq!(request.name.as_deref(), Some("Runs"));
        assert_eq!(
            Value::from(request.fields[0].arguments.clone()),
            json!({"id": "r1"})
        );
        let filter = json!({"first": 3, "filterBy": {"reportId": "r1"}});
        assert_eq!(Value::from(request.fields[1].arguments.clone()), filter);
        let run = json!({
            "__typename": "ReportRun", "id": 7, "status": "QUEUED", "progress": 1,
            "results": {"__typename": "ReportRunResultsVulnerabilities", "count": 5},
        });
        let answer =
            json!({"run": 7, "__typename": "ReportRun", "status": "QUEUED", "results": {"count": 5}});
        assert_eq!(project(&request.fields[0].selection, &run), answer);
    }

    #[test]
    fn what_the_schema_does_not_know_is_refused() {
        for (query, text) in [
            ("{ report(id: 1) { id ", "syntax error"),
            (
                "{ report(id: 1) { nonsense } }",
                "Cannot query field \"nonsense\" on type \"Report\".",
            ),
            ("{ report(id: 1, x: 2) { id } }", "Unknown argument \"x\""),
            ("{ report { id } }", "\"id\" of type \"ID!\" is required"),
            ("{ report(id: 1) }", "must have a selection"),
            ("{ report(id: 1) { id { x } } }", "must not have a selection"),
            ("{ report(id: true) { id } }", "ID cannot represent true"),
            ("{ report(id: $id) { id } }", "\"$id\" is not defined"),
            ("query A($id: ID!) { report(id: 1) { id } }", "was not provided"),
            (
                "query A($id: ID) { report(id: 1) { id } }",
                "\"$id\" is never used",
            ),
            (
                "query A($id: Nope) { report(id: $id) { id } }",
                "unknown type \"Nope\"",
            ),
            (
                "{ reportRun(id: 1) { results { ... on Report { id } } } }",
                "can never be of type",
            ),
            (
                "{ reportRun(id: 1) { results { ... on Nope { id } } } }",
                "Unknown type \"Nope\"",
            ),
            ("{ report(id: 1) { id: name id } }", "\"id\" conflict"),
            (
                "{ reports(filterBy: {kind: \"X\"}) { nodes { id } } }",
                "\"kind\" is not defined",
            ),
            (
                "{ reports(filterBy: {lastReportRunStatus: [DONE]}) { nodes { id } } }",
                "cannot represent \"DONE\"",
            ),
            (
                "{ report(id: 1) { ...a } } fragment a on Report { ...a }",
                "contains itself",
            ),
            (
                "query A { report(id: 1) { id } } query B { report(id: 1) { id } }",
                "exactly one operation",
            ),
            ("subscription { report(id: 1) { id } }", "subscriptions"),
        ] {
            let refused = read(query, &json!({})).unwrap_err();
            assert!(refused.message.contains(text), "{query}: {}", refused.message);
        }
    }

    #[test]
    fn variables_are_held_against_their_types() {
        let query =
            "mutation M($input: CreateReportInput!) { createReport(input: $input) { report { id } } }";
        let input = json!({
            "name": "a", "type": "VULNERABILITIES", "columnSelection": ["Name"],
            "vulnerabilityParams": {"type": "COMPACT", "filters": {"status": "OPEN"}},
        });
        let request = read(query, &json!({"input": input})).unwrap();
        let status = request.fields[0].arguments["input"].pointer("/vulnerabilityParams/filters/status");
        assert_eq!(
            status,
            Some(&json!(["OPEN"])),
            "a single value stands for a list of one"
        );
        for (input, text) in [
            (json!({"name": "a"}), "\"type\" of type \"String!\" is required"),
            (json!({"name": "a", "type": null}), "not to be null"),
            (json!({"name": 1, "type": "b"}), "String cannot represent 1"),
            (
                json!({"name": "a", "type": "b", "color": 1}),
                "\"color\" is not defined",
            ),
            (
                json!({"name": "a", "type": "b", "format": "XLS"}),
                "ReportFormat cannot represent",
            ),
            (
                json!({"name": "a", "type": "b", "columnSelection": [null]}),
                "not to be null",
            ),
        ] {
            let refused = read(query, &json!({"input": input})).unwrap_err();
            assert_eq!(refused.code, "VALIDATION_INVALID_TYPE_VARIABLE");
            assert!(refused.message.contains(text), "{}", refused.message);
        }
    }
}
