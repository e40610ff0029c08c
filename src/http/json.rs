//! JSON as every reader of it takes it: with each member once.
//!
//! RFC 8259 leaves open what a member that comes twice means. Most readers take the last, some the first; whatever looked at
//! the body before this service, a gateway perhaps, may have looked at the other one.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::faults::escaped;

/// Why bytes are not taken.
#[derive(Debug)]
pub(super) enum JsonError {
    /// They are not one text in JSON, or go deeper than 128 levels.
    NotJson(serde_json::Error),
    /// A member comes twice; its place as a JSON pointer.
    Twice(String),
}

/// Reads one text.
///
/// # Errors
/// When the bytes are something else, or a member comes twice.
pub(super) fn read(bytes: &[u8]) -> Result<Value, JsonError> {
    let twice = RefCell::new(Vec::new());
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let value = Unique { twice: &twice }
        .deserialize(&mut text)
        .and_then(|value| text.end().map(|()| value));
    value.map_err(|error| {
        let path = twice.take();
        if path.is_empty() {
            return JsonError::NotJson(error);
        }
        let parts = path.iter().rev().map(|part| format!("/{}", escaped(part)));
        JsonError::Twice(parts.collect())
    })
}

/// Reads a value, and leaves the place of a member that comes twice, from the inside out.
#[derive(Clone, Copy)]
struct Unique<'a> {
    twice: &'a RefCell<Vec<String>>,
}

impl Unique<'_> {
    /// Adds where a value stands to the place within it, if there is one.
    fn within<T, E>(self, read: Result<T, E>, at: impl FnOnce() -> String) -> Result<T, E> {
        read.inspect_err(|_| {
            let mut twice = self.twice.borrow_mut();
            if !twice.is_empty() {
                twice.push(at());
            }
        })
    }
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = self.within(items.next_element_seed(self), || array.len().to_string())? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                self.twice.borrow_mut().push(name);
                return Err(A::Error::custom("a member comes twice"));
            }
            let value = self.within(members.next_value_seed(self), || name.clone())?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_member_that_comes_twice_is_named_by_its_place() {
        for (text, place) in [
            (r#"{"a":1,"a":1}"#, "/a"),
            (r#"{"a":1,"\u0061":2}"#, "/a"),
            (r#"[{},{"b":[0,{"":1,"":2}]}]"#, "/1/b/1/"),
            (r#"{"a/b":{"~":1,"~":1}}"#, "/a~1b/~0"),
            // What is wrong behind it does not matter any more.
            (r#"{"a":1,"a":[[["#, "/a"),
        ] {
            assert!(
                matches!(read(text.as_bytes()), Err(JsonError::Twice(at)) if at == place),
                "{text}"
            );
        }
        assert!(read(br#"{"a":{"b":1},"b":{"a":1},"c":[{"a":1},{"a":1}]}"#).is_ok());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_else_is_read_as_serde_json_reads_it(value in value()) {
            let text = value.to_string();
            prop_assert_eq!(read(text.as_bytes()).ok(), serde_json::from_str(&text).ok());
        }

        #[test]
        fn what_is_not_json_to_serde_json_is_none_here(text in "[\\[\\]{}:,\"\\\\a1.e+\\- ]{0,16}") {
            let theirs = serde_json::from_str::<Value>(&text);
            match read(text.as_bytes()) {
                Ok(value) => prop_assert_eq!(Some(value), theirs.ok()),
                Err(JsonError::NotJson(_)) => prop_assert!(theirs.is_err()),
                Err(JsonError::Twice(_)) => {}
            }
        }
    }
}
