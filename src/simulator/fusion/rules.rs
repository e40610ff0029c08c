//! What Fusion takes for a record, and what it refuses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::labels::LabelPair;

/// The most records of a body, and the most labels in all of them.
const MAX_ITEMS: usize = 10_000;
const MAX_LABELS: usize = 10_000;
const MAX_CHARS: usize = 80;

/// A pair with the labels that a record gives it; none where the body names pairs only.
pub(super) type Record = (LabelPair, Vec<String>);

/// Reads a body of records (`with_labels`) or of pairs.
pub(super) fn records(body: &[u8], with_labels: bool) -> Result<Vec<Record>, String> {
    let body: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON".to_owned())?;
    let Value::Array(items) = body else {
        return Err("the body must be an array".to_owned());
    };
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(format!(
            "the array must have 1 to {MAX_ITEMS} items, not {}",
            items.len()
        ));
    }
    let records = items
        .iter()
        .enumerate()
        .map(|(at, item)| record(item, with_labels).map_err(|problem| format!("item {at}: {problem}")));
    let records: Vec<Record> = records.collect::<Result<_, _>>()?;
    let labels: usize = records.iter().map(|(_, labels)| labels.len()).sum();
    if labels > MAX_LABELS {
        return Err(format!(
            "the body has {labels} labels; at most {MAX_LABELS} are taken"
        ));
    }
    let mut seen = BTreeSet::new();
    match records.iter().find(|(pair, _)| !seen.insert(pair)) {
        Some(((ip, context), _)) => Err(format!("the pair {ip}, {context} comes twice")),
        None => Ok(records),
    }
}

/// Reads one record.
pub(super) fn record(item: &Value, with_labels: bool) -> Result<Record, String> {
    let Value::Object(members) = item else {
        return Err("a record must be an object".to_owned());
    };
    let known: &[&str] = if with_labels {
        &["ip", "context", "labels"]
    } else {
        &["ip", "context"]
    };
    if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("`{unknown}` is not allowed"));
    }
    let ip = text(members, "ip")?;
    let ip: IpAddr = ip.parse().map_err(|_| format!("`{ip}` is not an IP address"))?;
    let context = text(members, "context")?;
    is_text("context", context)?;
    let mut labels = Vec::new();
    if with_labels {
        let given = members.get("labels").and_then(Value::as_array);
        let given = given.ok_or("`labels` must be an array")?;
        if given.is_empty() || given.len() > MAX_LABELS {
            return Err(format!("`labels` must have 1 to {MAX_LABELS} items"));
        }
        for label in given {
            let label = label.as_str().ok_or("a label must be a string")?;
            is_text("label", label)?;
            labels.push(label.to_owned());
        }
    }
    Ok(((ip, context.to_owned()), labels))
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    let value = members.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
    value.as_str().ok_or_else(|| format!("`{name}` must be a string"))
}

/// Whether a text is allowed as a label or context.
fn is_text(what: &str, text: &str) -> Result<(), String> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || " ._/\\-#~:()".contains(char);
    if text.trim().is_empty() || text.trim() != text {
        Err(format!("a {what} must be trimmed and not empty"))
    } else if text.chars().count() > MAX_CHARS {
        Err(format!("a {what} must have at most {MAX_CHARS} characters"))
    } else if !text.chars().all(allowed) {
        Err(format!("the {what} `{text}` has a character that is not allowed"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_that_break_a_rule_are_refused() {
        let one = |labels: Value| json!([{"ip": "10.0.0.1", "context": "cve", "labels": labels}]);
        let of = |count: usize| (0..count).map(|at| format!("a{at}")).collect::<Vec<_>>();
        let item = |at: usize| json!({"ip": format!("10.0.{}.{}", at / 256, at % 256), "context": "c", "labels": ["x"]});
        for (body, text) in [
            (json!({}), "must be an array"),
            (json!([]), "1 to 10000 items"),
            ((0..10_001).map(item).collect(), "1 to 10000 items"),
            (json!([1]), "must be an object"),
            (json!([{"context": "c", "labels": ["x"]}]), "`ip` is missing"),
            (
                json!([{"ip": 1, "context": "c", "labels": ["x"]}]),
                "`ip` must be a string",
            ),
            (
                json!([{"ip": "10.0.0.1/32", "context": "c", "labels": ["x"]}]),
                "not an IP address",
            ),
            (
                json!([{"ip": "::1", "context": "", "labels": ["x"]}]),
                "not empty",
            ),
            (
                json!([{"ip": "::1", "context": "c", "labels": ["x"], "ttl": 1}]),
                "`ttl` is not allowed",
            ),
            (json!([{"ip": "::1", "context": "c"}]), "must be an array"),
            (one(json!([])), "1 to 10000 items"),
            (one(json!([1])), "must be a string"),
            (one(json!([" a"])), "trimmed"),
            (one(json!(["a,b"])), "not allowed"),
            (one(json!(["a".repeat(81)])), "at most 80"),
            (one(json!(of(10_001))), "1 to 10000 items"),
            (
                json!([
                    {"ip": "::1", "context": "c", "labels": of(9_000)}, {"ip": "::2", "context": "c", "labels": of(1_001)}
                ]),
                "10001 labels",
            ),
            (
                json!([
                    {"ip": "::1", "context": "c", "labels": ["x"]}, {"ip": "0:0::1", "context": "c", "labels": ["y"]}
                ]),
                "comes twice",
            ),
        ] {
            let refused = records(body.to_string().as_bytes(), true).unwrap_err();
            assert!(refused.contains(text), "{text}: {refused}");
        }
        assert!(records(br#"[{"ip": "::1", "context": "c", "labels": ["x"]}]"#, false).is_err());
        assert!(records(br#"[{"ip": "::1", "context": "c"}]"#, false).is_ok());
        assert!(
            records(
                one(json!(["CVE-2023-0001", r"a ._/\-#~:()b"]))
                    .to_string()
                    .as_bytes(),
                true
            )
            .is_ok()
        );
    }
}
