//! The layers: which folder of `src/` may name which. Data flows one way, and the two neighbours do not know each other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each folder, and what it may name of the crate beside itself. Commands join the parts and may name all.
const MAY_NAME: [(&str, &[&str]); 9] = [
    ("domain", &[]),
    ("pipeline", &["domain"]),
    ("outgoing", &["clock", "domain", "metrics", "shutdown"]),
    ("wiz", &["clock", "domain", "outgoing"]),
    ("fusion", &["clock", "domain", "outgoing"]),
    ("store", &["domain"]),
    (
        "worker",
        &[
            "behind", "clock", "domain", "fusion", "metrics", "outgoing", "pipeline", "shutdown", "store",
            "wiz",
        ],
    ),
    (
        "http",
        &[
            "clock", "domain", "incoming", "metrics", "shutdown", "store", "worker",
        ],
    ),
    ("simulator", &["clock", "domain", "incoming", "shutdown"]),
];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| {
        if path.is_dir() {
            rust_files(&path)
        } else {
            vec![path]
        }
    });
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The modules that code names behind `crate::`. Comments may point anywhere.
fn named(text: &str) -> BTreeSet<&str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(named_in_line).collect()
}

fn named_in_line(text: &str) -> Vec<&str> {
    let rests = text
        .match_indices("crate::")
        .map(|(at, prefix)| &text[at + prefix.len()..]);
    rests
        .map(|rest| {
            rest.split(|char: char| !char.is_alphanumeric() && char != '_')
                .next()
                .unwrap()
        })
        .collect()
}

#[test]
fn no_folder_names_one_that_it_may_not() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (folder, allowed) in MAY_NAME {
        let files = rust_files(&src.join(folder));
        assert!(!files.is_empty(), "{folder} is gone: take it out of the table");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let others = named(&text)
                .into_iter()
                .filter(|name| *name != folder && !allowed.contains(name));
            assert_eq!(
                others.collect::<Vec<_>>(),
                [""; 0],
                "{} reaches too far",
                file.display()
            );
        }
    }
}

#[test]
fn every_folder_has_its_place_in_the_layers() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let entries = fs::read_dir(src).unwrap().map(|entry| entry.unwrap());
    let folders = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap());
    let placed = |folder: &String| folder == "commands" || MAY_NAME.iter().any(|(name, _)| name == folder);
    assert_eq!(
        folders.filter(|folder| !placed(folder)).collect::<Vec<_>>(),
        [""; 0]
    );
}

#[test]
fn sql_lives_in_the_store_and_the_pure_folders_are_pure() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in rust_files(&src) {
        let text = fs::read_to_string(&file).unwrap();
        let inside = |folder: &str| file.starts_with(src.join(folder));
        assert!(
            inside("store") || !text.contains("sqlx::"),
            "{} speaks SQL",
            file.display()
        );
        if inside("domain") || inside("pipeline") {
            for word in ["tokio::", "tracing::", "async fn", "reqwest::"] {
                assert!(!text.contains(word), "{} is not pure: {word}", file.display());
            }
        }
    }
}
