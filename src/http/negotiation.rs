//! What the caller takes: types of answers, and versions that it has already.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::{Problem, ProblemName};
use super::rules::{is_fixed, rule_of};
use crate::domain::SettingsTag;

/// Refuses a request whose `Accept` takes none of the types of the answer, before anything is done.
pub(super) async fn require_acceptable(request: Request, next: Next) -> Response {
    let produces = rule_of(&request).map_or(&[][..], |rule| &rule.produces);
    let fixed = !produces.is_empty() && produces.iter().all(|media| is_fixed(media));
    if fixed && !produces.iter().any(|media| accepts(request.headers(), media)) {
        let detail = format!(
            "This call answers with `{}`, which the header `Accept` does not take. Send that, or `*/*`.",
            produces.join("` or `")
        );
        return Problem::new(ProblemName::NotAcceptable, detail).into_response();
    }
    next.run(request).await
}

/// Whether the caller takes a media type. Without `Accept` it takes all; the closest range decides.
fn accepts(headers: &HeaderMap, media: &str) -> bool {
    // A range that cannot be read is one that takes nothing here, and the others of its line count.
    let lines: Vec<_> = headers
        .get_all(header::ACCEPT)
        .into_iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    let mut ranges = lines
        .iter()
        .flat_map(|line| line.split(','))
        .filter(|range| !range.trim().is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return true;
    }
    let family = media.split('/').next().unwrap_or_default();
    let mut best = (0, false);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let closeness = match name {
            _ if name.eq_ignore_ascii_case(media) => 3,
            "*/*" => 1,
            _ => match name.split_once('/') {
                Some((of, "*")) if of.eq_ignore_ascii_case(family) => 2,
                _ => continue,
            },
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let wanted = quality.is_none_or(|quality| quality.parse::<f32>().is_ok_and(|quality| quality > 0.0));
        if closeness >= best.0 {
            best = (closeness, wanted || (closeness == best.0 && best.1));
        }
    }
    best.1
}

/// Refuses a change that another one came before: `If-Match` names one of the tags it may meet, or `*`. A weak tag meets
/// none: such a one does not say that nothing changed (RFC 9110, 13.1.1).
pub(super) fn check_match(headers: &HeaderMap, tag: SettingsTag) -> Result<(), Problem> {
    if !headers.contains_key(header::IF_MATCH)
        || tags(headers, header::IF_MATCH).any(|wanted| meets(wanted, tag))
    {
        return Ok(());
    }
    Err(Problem::new(
        ProblemName::PreconditionFailed,
        format!(
            "The settings are at version {tag} by now. Read them again and repeat the change with that If-Match."
        ),
    ))
}

/// Whether the caller has what it asks for already: `If-None-Match` names its tag, weak or not, or is `*`.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    tags(headers, header::IF_NONE_MATCH)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// The answer to who has it already.
pub(super) fn not_modified(tag: &str) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, tag.to_owned())]).into_response()
}

fn meets(wanted: &str, tag: SettingsTag) -> bool {
    wanted == "*" || wanted == tag.to_string()
}

/// The tags of a header, of all its lines. This service's own have no comma.
fn tags(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_closest_range_decides_what_is_accepted() {
        for (values, taken) in [
            (&[][..], true),
            (&["application/json"], true),
            (&["Application/JSON; charset=utf-8"], true),
            (&["application/*"], true),
            (&["text/html, */*;q=0.1"], true),
            (&["text/html", "application/json;q=0.5"], true),
            (&["text/html"], false),
            (&["application/xml, text/*"], false),
            (&["*/*, application/json;q=0"], false),
            (&["application/json;q=0, */*"], false),
            (&["application/json;q=none"], false),
            (&["application/jsonp"], false),
        ] {
            let headers = headers(header::ACCEPT, values);
            assert_eq!(accepts(&headers, "application/json"), taken, "{values:?}");
        }
        for (value, taken) in [
            (b"text/\xe9".as_slice(), false),
            (b"text/\xe9, application/json".as_slice(), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, header::HeaderValue::from_bytes(value).unwrap());
            assert_eq!(accepts(&headers, "application/json"), taken, "{value:?}");
        }
    }

    #[test]
    fn a_change_meets_its_tag_in_a_list_and_no_weak_one() {
        for (values, met) in [
            (&[][..], true),
            (&["\"2\""], true),
            (&["*"], true),
            (&["\"1\", \"2\""], true),
            (&["\"1\"", "\"2\""], true),
            (&["W/\"2\""], false),
            (&["\"1\""], false),
            (&["2"], false),
            (&[""], false),
        ] {
            let headers = headers(header::IF_MATCH, values);
            assert_eq!(check_match(&headers, SettingsTag(2)).is_ok(), met, "{values:?}");
        }
    }

    #[test]
    fn what_the_caller_knows_may_be_known_by_a_weak_tag() {
        for (values, known) in [
            (&[][..], false),
            (&["\"2\""], true),
            (&["W/\"2\""], true),
            (&["\"1\", W/\"2\""], true),
            (&["*"], true),
            (&["\"1\""], false),
        ] {
            assert_eq!(
                is_known(&headers(header::IF_NONE_MATCH, values), "\"2\""),
                known,
                "{values:?}"
            );
        }
    }
}
