//! Reads a GraphQL request and holds it against the schema, as strictly as the specification wants it.

use std::collections::{BTreeMap, BTreeSet};

use apollo_parser::cst::{self, Definition};
use serde_json::{Map, Value};

use super::schema::{Kind, Schema};
use super::values::{Variables, argument_values, variable_values};

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The code in `extensions.code`.
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// The document does not fit the schema.
pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal {
        code: "GRAPHQL_VALIDATION_FAILED",
        message: message.into(),
    }
}

/// A request that fits the schema, with the values of its variables filled in.
#[derive(Debug)]
pub(super) struct Request {
    /// What the client calls the operation.
    pub(super) name: Option<String>,
    /// The fields of `Query` or `Mutation` that it asks for.
    pub(super) fields: Vec<Selected>,
}

/// A field that is asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Selected {
    /// The member of the answer: the alias, or the field's name.
    pub(super) key: String,
    pub(super) field: String,
    pub(super) arguments: Map<String, Value>,
    /// What is asked of the field's value; empty for a scalar.
    pub(super) selection: Vec<Selected>,
    /// The object types whose values have this member.
    on: BTreeSet<String>,
}

impl Request {
    /// Reads a request's document.
    pub(super) fn read(
        schema: &Schema,
        query: &str,
        operation: Option<&str>,
        variables: &Map<String, Value>,
    ) -> Result<Self, Refusal> {
        /// Far more than any client's documents have.
        const TOKENS: usize = 5_000;
        let tree = apollo_parser::Parser::new(query)
            .token_limit(TOKENS)
            .recursion_limit(50)
            .parse();
        if let Some(error) = tree.errors().next() {
            return Err(invalid(format!("syntax error: {}", error.message())));
        }
        let document = tree.document();
        let named = document.definitions().filter_map(|definition| match definition {
            Definition::OperationDefinition(it) => Some(it),
            _ => None,
        });
        let mut candidates = named
            .filter(|it| operation.is_none_or(|wanted| it.name().is_some_and(|name| name.text() == wanted)));
        let (Some(found), None) = (candidates.next(), candidates.next()) else {
            return Err(invalid(
                "the document must hold exactly one operation of that name",
            ));
        };
        let root = match found.operation_type() {
            None => "Query",
            Some(ty) if ty.query_token().is_some() => "Query",
            Some(ty) if ty.mutation_token().is_some() => "Mutation",
            Some(_) => return Err(invalid("subscriptions are not served over HTTP")),
        };
        let mut reading = Reading {
            schema,
            fragments: fragments(&document)?,
            variables: variable_values(schema, found.variable_definitions().as_ref(), variables)?,
            depth: 0,
        };
        let selection = found
            .selection_set()
            .ok_or_else(|| invalid("an operation selects nothing"))?;
        let mut fields = Vec::new();
        reading.select(&selection, root, &schema.possible(root), &mut fields)?;
        if let Some(unused) = reading.variables.unused() {
            return Err(invalid(format!("Variable \"${unused}\" is never used.")));
        }
        let name = found.name().map(|name| name.text().to_string());
        Ok(Self { name, fields })
    }
}

fn fragments(document: &cst::Document) -> Result<BTreeMap<String, cst::FragmentDefinition>, Refusal> {
    let mut fragments = BTreeMap::new();
    for definition in document.definitions() {
        match definition {
            Definition::FragmentDefinition(it) => {
                let name = it.fragment_name().and_then(|it| it.name());
                let name = name.ok_or_else(|| invalid("a fragment has no name"))?;
                fragments.insert(name.text().to_string(), it);
            }
            Definition::OperationDefinition(_) => {}
            other => return Err(invalid(format!("{} is not executable", other.kind()))),
        }
    }
    Ok(fragments)
}

struct Reading<'a> {
    schema: &'a Schema,
    fragments: BTreeMap<String, cst::FragmentDefinition>,
    variables: Variables,
    depth: usize,
}

impl Reading<'_> {
    /// Collects what a selection asks of a value of `parent`, which here has one of the types `on`.
    fn select(
        &mut self,
        selection: &cst::SelectionSet,
        parent: &str,
        on: &[&str],
        into: &mut Vec<Selected>,
    ) -> Result<(), Refusal> {
        self.depth += 1;
        if self.depth > 30 {
            return Err(Refusal {
                code: "QUERY_COMPLEXITY_LIMIT_EXCEEDED",
                message: "the query is nested too deeply, or a fragment contains itself".to_owned(),
            });
        }
        for selected in selection.selections() {
            let directives = match &selected {
                cst::Selection::Field(it) => it.directives(),
                cst::Selection::InlineFragment(it) => it.directives(),
                cst::Selection::FragmentSpread(it) => it.directives(),
            };
            if directives.is_some() {
                return Err(invalid("directives are not served"));
            }
            match selected {
                cst::Selection::Field(field) => merge(into, self.field(&field, parent, on)?)?,
                cst::Selection::InlineFragment(it) => {
                    let selection = it
                        .selection_set()
                        .ok_or_else(|| invalid("a fragment selects nothing"))?;
                    self.fragment(it.type_condition(), &selection, parent, on, into)?;
                }
                cst::Selection::FragmentSpread(it) => {
                    let name = it
                        .fragment_name()
                        .and_then(|it| it.name())
                        .map(|name| name.text().to_string());
                    let name = name.unwrap_or_default();
                    let unknown = || invalid(format!("Unknown fragment \"{name}\"."));
                    let fragment = self.fragments.get(&name).cloned().ok_or_else(unknown)?;
                    let selection = fragment.selection_set().ok_or_else(unknown)?;
                    self.fragment(fragment.type_condition(), &selection, parent, on, into)?;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn fragment(
        &mut self,
        condition: Option<cst::TypeCondition>,
        selection: &cst::SelectionSet,
        parent: &str,
        on: &[&str],
        into: &mut Vec<Selected>,
    ) -> Result<(), Refusal> {
        let schema = self.schema;
        let name = condition
            .and_then(|it| it.named_type()?.name())
            .map(|name| name.text().to_string());
        let name = name.as_deref().unwrap_or(parent);
        if !schema.is_composite(name) {
            return Err(invalid(format!("Unknown type \"{name}\".")));
        }
        let possible = schema.possible(name);
        let both: Vec<&str> = on.iter().copied().filter(|of| possible.contains(of)).collect();
        if both.is_empty() {
            let message = format!("A value of type \"{parent}\" can never be of type \"{name}\".");
            return Err(invalid(message));
        }
        self.select(selection, name, &both, into)
    }

    fn field(&mut self, field: &cst::Field, parent: &str, on: &[&str]) -> Result<Selected, Refusal> {
        let schema = self.schema;
        let name = field
            .name()
            .map(|name| name.text().to_string())
            .unwrap_or_default();
        let key = field
            .alias()
            .and_then(|alias| alias.name())
            .map(|alias| alias.text().to_string());
        let mut selected = Selected {
            key: key.unwrap_or_else(|| name.clone()),
            field: name,
            arguments: Map::new(),
            selection: Vec::new(),
            on: on.iter().map(|&of| of.to_owned()).collect(),
        };
        if selected.field == "__typename" {
            return Ok(selected);
        }
        let definition = schema
            .fields(parent)
            .and_then(|fields| fields.get(&selected.field));
        let unknown = || {
            invalid(format!(
                "Cannot query field \"{}\" on type \"{parent}\".",
                selected.field
            ))
        };
        let definition = definition.ok_or_else(unknown)?;
        selected.arguments = argument_values(
            schema,
            &mut self.variables,
            field.arguments().as_ref(),
            &definition.arguments,
        )?;
        let inner = definition.ty.name();
        match field.selection_set() {
            Some(_) if !schema.is_composite(inner) => {
                return Err(invalid(format!(
                    "Field \"{}\" must not have a selection.",
                    selected.field
                )));
            }
            None if schema.is_composite(inner) => {
                return Err(invalid(format!(
                    "Field \"{}\" of type \"{}\" must have a selection of subfields.",
                    selected.field, definition.ty
                )));
            }
            None => {}
            Some(selection) => {
                let possible = schema.possible(inner);
                self.select(&selection, inner, &possible, &mut selected.selection)?;
            }
        }
        Ok(selected)
    }
}

/// Adds a field to those asked for already; the same one may be asked for twice, two under one name may not.
fn merge(into: &mut Vec<Selected>, new: Selected) -> Result<(), Refusal> {
    let apart = |old: &Selected| old.on.is_disjoint(&new.on);
    let Some(old) = into.iter_mut().find(|old| old.key == new.key && !apart(old)) else {
        into.push(new);
        return Ok(());
    };
    if old.field != new.field || old.arguments != new.arguments {
        return Err(invalid(format!("Fields \"{}\" conflict.", new.key)));
    }
    old.on.extend(new.on);
    for inner in new.selection {
        merge(&mut old.selection, inner)?;
    }
    Ok(())
}

/// What a request asks of a value: the members of its selection and no others. Objects carry their type in
/// `__typename`; a member that they lack is null.
pub(super) fn project(selection: &[Selected], value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(|value| project(selection, value)).collect(),
        Value::Object(members) if !selection.is_empty() => {
            let of = members
                .get("__typename")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let asked = selection.iter().filter(|field| field.on.contains(of));
            let answer = asked.map(|field| {
                let member = members.get(&field.field).unwrap_or(&Value::Null);
                (field.key.clone(), project(&field.selection, member))
            });
            Value::Object(answer.collect())
        }
        other => other.clone(),
    }
}

impl Selected {
    /// Whether a field of that name is asked for, here or further in.
    pub(super) fn asks(&self, name: &str) -> bool {
        self.field == name || self.selection.iter().any(|field| field.asks(name))
    }
}

/// The names of the values of an enum.
pub(super) fn enum_values<'a>(schema: &'a Schema, name: &str) -> Option<&'a [String]> {
    match schema.kind(name)? {
        Kind::Enum(values) => Some(values),
        _ => None,
    }
}
