//! The hash of an audit record, and the form that it is made of.
//!
//! A record's hash is the SHA-256, as 64 lower-case hexadecimal digits, of its canonical JSON: the record as the API shows it
//! without the member `hash`, the members of all objects ordered by name (by code points), no white space, texts in UTF-8
//! with only `"`, `\` and control characters escaped, and numbers whole. It is what Python's
//! `json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)` gives.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Number, Value};

use super::AuditRecord;

/// The hash that a record should carry.
pub(super) fn hash_of(record: &AuditRecord) -> String {
    let mut value = serde_json::to_value(record).expect("plain data has a JSON form");
    if let Value::Object(members) = &mut value {
        members.remove("hash");
    }
    let mut text = String::new();
    write_canonical(&value, &mut text);
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a text does not fail");
    }
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (at, (name, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(member, text);
            }
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// An object of a record with its fractions as texts: each language writes them in a way of its own.
pub(super) fn without_fractions(value: Value) -> Value {
    let whole = |number: &Number| number.is_i64() || number.is_u64();
    match value {
        Value::Number(number) if !whole(&number) => Value::String(number.to_string()),
        Value::Array(items) => items.into_iter().map(without_fractions).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, member)| (name, without_fractions(member)))
            .collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_canonical_form_is_sorted_and_without_white_space() {
        let mut text = String::new();
        let value = json!({"b": {"z": 1, "a": -2}, "a": ["x\"\\\n\u{7f}ü", null, true], "": 18_446_744_073_709_551_615_u64});
        write_canonical(&value, &mut text);
        assert_eq!(
            text,
            "{\"\":18446744073709551615,\"a\":[\"x\\\"\\\\\\n\u{7f}ü\",null,true],\"b\":{\"a\":-2,\"z\":1}}"
        );
        assert_eq!(
            without_fractions(json!({"a": [0.5, 1]})),
            json!({"a": ["0.5", 1]})
        );
    }
}
