//! The operator's guide tells of everything that an operator may meet.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

use wiz_context::domain::FailureKind;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The lines below a heading, up to the next one.
fn section<'a>(guide: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = guide.lines().skip_while(|line| *line != heading);
    let section = lines.skip(1).take_while(|line| !line.starts_with('#'));
    section.filter(|line| !line.is_empty()).collect()
}

#[test]
fn each_kind_of_failure_has_its_meaning_and_its_remedies() {
    let guide = read("docs/operators-guide.md");
    for kind in FailureKind::ALL {
        let kind = kind.as_str();
        let section = section(&guide, &format!("### {kind}"));
        assert!(!section.is_empty(), "{kind} has no page");
        assert!(!section[0].starts_with('|'), "{kind}: its meaning is missing");
        let remedies = section.iter().filter(|line| line.starts_with("| ")).count();
        assert!(
            remedies > 1 || section.join(" ").contains("run again"),
            "{kind}: no remedy"
        );
    }
}

#[test]
fn each_setting_is_in_the_table() {
    let guide = read("docs/operators-guide.md");
    let settings = section(&guide, "## Settings").join("\n");
    let args = read("src/commands/serve/args.rs");
    let named = args
        .split('"')
        .filter(|text| text.starts_with("WIZ_CONTEXT_") && !text.contains(' '));
    let named: Vec<_> = named.map(|name| name.trim_end_matches("_FILE")).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(
            settings.contains(&format!("`{name}`")) || settings.contains(&format!("`{name}_FILE`")),
            "{name}"
        );
    }
}

#[test]
fn the_commands_of_a_backup_are_those_that_are_tried() {
    let guide = read("docs/operators-guide.md");
    let script = read("docs/examples/backup.sh");
    let tried: Vec<_> = script
        .split("call <<'CALL'\n")
        .skip(1)
        .filter_map(|rest| rest.lines().next())
        .collect();
    assert!(tried.len() >= 8, "{tried:?}");
    for command in tried {
        assert!(
            guide.contains(&format!("\n$ {command}\n")),
            "the guide lacks: {command}"
        );
    }
}
