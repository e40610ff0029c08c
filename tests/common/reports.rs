//! Reports made for tests, and the labels that they give.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;
use wiz_context::commands::{LabelFormat, labels_of};
use wiz_context::domain::Policy;
use wiz_context::simulator::{GeneratorSettings, Header};

/// The labels of a Fusion account.
pub(crate) type Labels = BTreeMap<(IpAddr, String), Vec<String>>;

/// The report of a day, with every column that a run asks for.
pub(crate) fn generator(day: u64) -> GeneratorSettings {
    GeneratorSettings {
        day,
        header: Header::Full49,
        ..GeneratorSettings::default()
    }
}

/// A report of these rows: CVE, asset, address, severity.
pub(crate) fn report(rows: &[(&str, &str, &str, &str)]) -> Vec<u8> {
    let mut report =
        b"Name,FindingStatus,Severity,Score,AssetID,AssetName,ProviderUniqueId,IpAddresses\n".to_vec();
    for (name, asset, address, severity) in rows {
        let row = format!("{name},Open,{severity},,{asset},,,{address}\n");
        report.extend_from_slice(row.as_bytes());
    }
    report
}

/// The labels that a report gives.
pub(crate) fn labels_by(report: &[u8]) -> Labels {
    let (mut lines, mut told) = (Vec::new(), Vec::new());
    labels_of(
        report,
        &Policy::default(),
        LabelFormat::Ndjson,
        &mut lines,
        &mut told,
    )
    .unwrap();
    let record = |line: &[u8]| -> ((IpAddr, String), Vec<String>) {
        let record: Value = serde_json::from_slice(line).unwrap();
        let labels = record["labels"].as_array().unwrap().iter().map(text).collect();
        (
            (text(&record["ip"]).parse().unwrap(), text(&record["context"])),
            labels,
        )
    };
    lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(record)
        .collect()
}

/// Compares labels, and shows no more of them than where they differ.
pub(crate) fn assert_same(held: &Labels, wanted: &Labels) {
    let differ = |(pair, labels): &(&(IpAddr, String), &Vec<String>), other: &Labels| {
        other.get(*pair) != Some(*labels)
    };
    let surplus: Vec<_> = held
        .iter()
        .filter(|entry| differ(entry, wanted))
        .take(5)
        .collect();
    let missing: Vec<_> = wanted
        .iter()
        .filter(|entry| differ(entry, held))
        .take(5)
        .collect();
    assert!(
        surplus.is_empty() && missing.is_empty(),
        "Fusion holds {} pairs where {} are wanted; holds {surplus:?}; lacks {missing:?}",
        held.len(),
        wanted.len()
    );
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}
