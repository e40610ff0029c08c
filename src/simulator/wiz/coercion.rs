//! JSON values, held against the types of the schema.

use serde_json::{Map, Value};

use super::schema::{Kind, Schema, TypeRef};

/// Brings a JSON value into a type, or says why it does not fit. A single value will do for a list.
pub(super) fn coerced(schema: &Schema, ty: &TypeRef, value: Value) -> Result<Value, String> {
    match (ty, value) {
        (TypeRef::NonNull(inner), Value::Null) => {
            Err(format!("expected non-nullable type \"{inner}!\" not to be null"))
        }
        (TypeRef::NonNull(inner), value) => coerced(schema, inner, value),
        (_, Value::Null) => Ok(Value::Null),
        (TypeRef::List(inner), Value::Array(items)) => {
            let items = items.into_iter().map(|item| coerced(schema, inner, item));
            items.collect::<Result<_, _>>().map(Value::Array)
        }
        (TypeRef::List(inner), value) => Ok(Value::Array(vec![coerced(schema, inner, value)?])),
        (TypeRef::Named(name), value) => named(schema, name, value),
    }
}

fn named(schema: &Schema, name: &str, value: Value) -> Result<Value, String> {
    let wrong = |value: &Value| Err(format!("{name} cannot represent {value}"));
    match (schema.kind(name), value) {
        (Some(Kind::Input(members)), Value::Object(mut object)) => {
            let mut coerced_members = Map::new();
            for (member, ty) in members {
                match object.remove(member) {
                    Some(value) => {
                        let inner =
                            coerced(schema, ty, value).map_err(|why| format!("at \"{member}\": {why}"))?;
                        coerced_members.insert(member.clone(), inner);
                    }
                    None if ty.is_required() => {
                        return Err(format!("field \"{member}\" of type \"{ty}\" is required"));
                    }
                    None => {}
                }
            }
            match object.keys().next() {
                Some(unknown) => Err(format!("field \"{unknown}\" is not defined by type \"{name}\"")),
                None => Ok(Value::Object(coerced_members)),
            }
        }
        (Some(Kind::Enum(values)), Value::String(text)) if values.contains(&text) => Ok(Value::String(text)),
        (Some(Kind::Scalar), value) => {
            let fits = match name {
                "String" | "DateTime" => value.is_string(),
                "Boolean" => value.is_boolean(),
                "Float" => value.is_number(),
                "Int" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                "ID" => value.is_string() || value.is_i64(),
                _ => true,
            };
            match value {
                Value::Number(number) if name == "ID" => Ok(Value::String(number.to_string())),
                value if fits => Ok(value),
                value => wrong(&value),
            }
        }
        (_, value) => wrong(&value),
    }
}
