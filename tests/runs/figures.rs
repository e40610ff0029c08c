//! The figures for Prometheus, and what the documents make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::rig::{Rig, Service};

/// Each figure as it is read, with what tells its samples apart.
const FIGURES: [(&str, &[&str]); 17] = [
    ("wiz_context_audit_head", &["hash"]),
    ("wiz_context_build_info", &["version"]),
    ("wiz_context_database_size_bytes", &[]),
    (
        "wiz_context_http_request_duration_seconds_bucket",
        &["le", "method", "route", "status"],
    ),
    (
        "wiz_context_http_request_duration_seconds_count",
        &["method", "route", "status"],
    ),
    (
        "wiz_context_http_request_duration_seconds_sum",
        &["method", "route", "status"],
    ),
    ("wiz_context_integrations", &[]),
    ("wiz_context_label_age_seconds", &["integration"]),
    ("wiz_context_pairs_pushed_total", &["call", "outcome"]),
    ("wiz_context_pairs_total", &["change"]),
    ("wiz_context_report_bytes_total", &[]),
    ("wiz_context_report_rows_total", &[]),
    ("wiz_context_run_phase_duration_seconds_bucket", &["le", "phase"]),
    ("wiz_context_runs_total", &["kind", "state", "trigger"]),
    ("wiz_context_runs_unfinished", &["state"]),
    ("wiz_context_upstream_requests_total", &["call", "status"]),
    ("wiz_context_upstream_wait_seconds_total", &["call"]),
];

/// The other two of each histogram that is listed by its buckets alone.
const IMPLIED: [&str; 2] = [
    "wiz_context_run_phase_duration_seconds_count",
    "wiz_context_run_phase_duration_seconds_sum",
];

async fn figures(service: &Service) -> String {
    let answer = service.open("/metrics", &[]).await;
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// The figures once an ended run is among them: it is counted just after its end is on record.
async fn figures_with_a_run(rig: &Rig, service: &Service) -> String {
    for _ in 0..1_000 {
        let text = figures(service).await;
        if text.contains("wiz_context_runs_total{") {
            return text;
        }
        rig.clock.sleep(Duration::from_millis(200)).await;
    }
    panic!("the run that ended was never counted");
}

fn sample<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(start))
        .map(str::trim)
}

#[tokio::test]
async fn after_a_run_every_figure_is_there_under_its_name() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    let run = service.succeed(&id).await;
    figures(&service).await;
    let text = figures_with_a_run(&rig, &service).await;
    let names: BTreeSet<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .collect();
    let known: BTreeSet<_> = FIGURES.iter().map(|(name, _)| *name).chain(IMPLIED).collect();
    let others: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with("wiz_context_"))
        .collect();
    assert!(known.is_subset(&names), "missing: {:?}", known.difference(&names));
    for name in others {
        assert!(
            known.contains(name),
            "{name} is not among the figures that the documents must tell"
        );
        let suffixed = [
            "_total", "_seconds", "_bytes", "_info", "_bucket", "_count", "_sum",
        ];
        let gauge = [
            "wiz_context_audit_head",
            "wiz_context_integrations",
            "wiz_context_runs_unfinished",
        ];
        assert!(
            suffixed.iter().any(|end| name.ends_with(end)) || gauge.contains(name),
            "{name}"
        );
    }
    for (name, labels) in FIGURES {
        let line = text
            .lines()
            .find(|line| line.split(['{', ' ']).next() == Some(name))
            .unwrap();
        let found: BTreeSet<_> = line
            .split_once('{')
            .and_then(|(_, rest)| rest.rsplit_once('}'))
            .map(|(labels, _)| labels)
            .unwrap_or_default()
            .split("\",")
            .filter_map(|label| Some(label.split_once('=')?.0))
            .collect();
        assert_eq!(found, labels.iter().copied().collect(), "{line}");
    }
    let added = run["counts"]["added"].to_string();
    let acknowledged = "wiz_context_pairs_pushed_total{call=\"put\",outcome=\"acknowledged\"}";
    assert_eq!(sample(&text, acknowledged), Some(added.as_str()));
    for phase in [
        "signing_in",
        "requesting_report",
        "waiting_for_report",
        "downloading",
        "planning",
        "pushing",
    ] {
        let count = format!("wiz_context_run_phase_duration_seconds_count{{phase=\"{phase}\"}}");
        assert!(sample(&text, &count).is_some_and(|count| count != "0"), "{phase}");
    }
    assert_eq!(
        sample(&text, "wiz_context_runs_unfinished{state=\"queued\"}"),
        Some("0")
    );
    assert!(sample(&text, "wiz_context_label_age_seconds{integration=").is_some());
    let bytes = sample(&text, "wiz_context_database_size_bytes").unwrap();
    assert!(bytes.parse::<u64>().unwrap() > 100_000, "{bytes}");
    service.stop().await;
}

/// The figures that a text names.
fn named(text: &str) -> BTreeSet<&str> {
    let word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    text.split(|char| !word(char))
        .filter(|word| word.starts_with("wiz_context_"))
        .collect()
}

#[test]
fn alerts_and_dashboard_name_figures_that_there_are_and_the_dashboard_shows_them_all() {
    let known: BTreeSet<_> = FIGURES.iter().map(|(name, _)| *name).chain(IMPLIED).collect();
    let alerts = include_str!("../../docs/alerts.yml");
    let dashboard = include_str!("../../docs/dashboard.json");
    let document: Value = serde_json::from_str(dashboard).unwrap();
    assert!(document["panels"].as_array().unwrap().len() > 10);
    for text in [alerts, dashboard] {
        let unknown: Vec<_> = named(text).difference(&known).copied().collect();
        assert_eq!(unknown, [""; 0]);
    }
    let family = |name: &str| {
        let ends = ["_bucket", "_count", "_sum"];
        ends.iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name)
            .to_owned()
    };
    let shown: BTreeSet<_> = named(dashboard).into_iter().map(family).collect();
    let all: BTreeSet<_> = known.into_iter().map(family).collect();
    assert_eq!(shown, all);
    assert!(named(alerts).len() >= 6);
}

/// The texts in code marks of a cell.
fn in_marks(cell: &str) -> BTreeSet<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_guide_lists_every_figure_with_what_tells_its_samples_apart() {
    let guide = include_str!("../../docs/operators-guide.md");
    let rows = guide.lines().filter(|line| line.starts_with("| `wiz_context_"));
    let listed: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').collect();
            let name = cells[1].trim().trim_matches('`');
            // Behind a colon stand the values.
            let labels = cells[2].split(';').filter_map(|label| label.split(':').next());
            (name, labels.flat_map(in_marks).collect::<BTreeSet<_>>())
        })
        .collect();
    let known: BTreeMap<_, _> = FIGURES
        .iter()
        .map(|(name, labels)| {
            let ends = ["_bucket", "_count", "_sum"];
            let family = ends.iter().find_map(|end| name.strip_suffix(end));
            let labels = labels.iter().copied().filter(|label| *label != "le");
            (family.unwrap_or(name), labels.collect())
        })
        .collect();
    assert_eq!(listed, known);
}
