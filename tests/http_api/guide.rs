//! The API guide tells of every call, and of every problem that one may answer.

use wiz_context::http::openapi_json;

use crate::document::{DOCUMENT, calls};

fn guide() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api-guide.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_guide_shows_every_call_with_its_answer() {
    let guide = guide();
    let shown = |id: &str, path: &str| {
        let (_, example) = guide
            .split_once(&format!("<!-- example:{id} -->\n```console\n$ "))
            .unwrap_or_else(|| {
                panic!("{id} has no example: let docs/examples/tour.sh make the call, and see docs/examples/fill-guide.py")
            });
        let example = example.split("```\n<!-- /example -->").next().unwrap();
        assert!(example.starts_with("curl "), "{id}: {example}");
        // The parts of a path that stand for themselves; the others are variables of the shell.
        for part in path.split('/').filter(|part| !part.starts_with('{')) {
            assert!(example.contains(part), "{id}: {part} is missing in {example}");
        }
        assert!(example.lines().count() > 1, "{id}: the answer is missing");
    };
    for call in calls() {
        shown(call.id(), &call.path);
    }
    shown("read_document", DOCUMENT);
    shown("read_docs", "/docs/");
}

#[test]
fn the_guide_names_every_kind_of_problem_with_its_status() {
    let (guide, document) = (guide(), openapi_json());
    let kinds = document
        .lines()
        .filter_map(|line| line.trim().strip_prefix("\"type\": \"/problems/"));
    let kinds: std::collections::BTreeSet<_> = kinds.map(|kind| kind.trim_end_matches(['"', ','])).collect();
    assert!(kinds.len() > 15, "{kinds:?}");
    for kind in kinds {
        let named = guide
            .lines()
            .any(|line| line.starts_with("| ") && line.contains(&format!(" | `{kind}` | ")));
        assert!(named, "{kind} is not in the table of problems");
    }
}
