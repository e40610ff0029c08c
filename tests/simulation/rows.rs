//! What reports may list, and which labels several of them give together.

use std::collections::BTreeSet;

use crate::reports::{Labels, labels_by};

/// A row: CVE, status, asset, address, severity, score.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// Assets that move, addresses that are shared, ratings and scores that change, findings that are resolved, names without a
/// CVE. A report is a selection of these, by the bits of a number.
pub(crate) const ROWS: [Row; 16] = [
    ("CVE-2024-0001", "Open", "vm-1", "10.0.0.1", "High", "7.5"),
    ("CVE-2024-0001", "Open", "vm-1", "10.0.0.2", "High", "7.5"),
    ("CVE-2024-0002", "Open", "vm-2", "10.0.0.2", "Low", ""),
    ("CVE-2024-0002", "Open", "vm-2", "10.0.0.5", "Critical", "9.8"),
    ("CVE-2024-0003", "Open", "vm-3", "10.0.0.3", "Critical", "9.1"),
    (
        "CVE-2024-0004",
        "In Progress",
        "vm-3",
        "10.0.0.3",
        "Medium",
        "5.0",
    ),
    ("CVE-2024-0005", "Open", "vm-3", "10.0.0.1", "High", "8.1"),
    ("CVE-2024-0005", "Open", "vm-4", "10.0.0.1", "Critical", ""),
    (
        "GHSA-c9cp-9c75-9v8c",
        "Open",
        "vm-5",
        "2001:db8::4",
        "Medium",
        "4.0",
    ),
    (
        "GHSA-c9cp-9c75-9v8c",
        "Open",
        "vm-6",
        "2001:db8::4 10.1.0.2 10.1.0.3",
        "",
        "",
    ),
    ("CVE-2024-0006", "Resolved", "vm-6", "10.0.0.6", "Critical", "9.9"),
    ("CVE-2024-0007", "Open", "vm-7", "10.0.0.6", "", "3.1"),
    (
        "CVE-2024-0008",
        "Resolved",
        "vm-3",
        "10.0.0.3",
        "Critical",
        "10.0",
    ),
    ("CVE-2024-0009", "Open", "vm-8", "10.0.0.7", "High", "7.0"),
    ("CVE-2024-0010", "Open", "vm-8", "10.0.0.7", "High", "7.0"),
    ("CVE-2024-0011", "Open", "vm-8", "10.0.0.3", "Low", "0"),
];

/// Fleets, by the bits after those: each is an asset with so many addresses that whoever loses it is asked first. One address
/// is in both.
const FLEETS: [Row; 2] = [
    (
        "CVE-2024-0012",
        "Open",
        "vm-20",
        "10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4 10.1.0.5 10.1.0.6 10.1.0.7 10.1.0.8 10.1.0.9 10.1.0.10 10.1.0.11",
        "High",
        "7.2",
    ),
    (
        "CVE-2024-0013",
        "Open",
        "vm-21",
        "10.1.0.1 10.2.0.2 10.2.0.3 10.2.0.4 10.2.0.5 10.2.0.6 10.2.0.7 10.2.0.8 10.2.0.9 10.2.0.10 10.2.0.11 10.2.0.12",
        "Critical",
        "9.3",
    ),
];

/// The bits of the fleets.
pub(crate) const FLEET_BITS: u32 = 0b11 << ROWS.len();

fn selected(rows: u32) -> impl Iterator<Item = &'static Row> {
    ROWS.iter()
        .chain(&FLEETS)
        .enumerate()
        .filter(move |(at, _)| rows >> at & 1 == 1)
        .map(|(_, row)| row)
}

fn csv<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<u8> {
    let mut report =
        b"Name,FindingStatus,Severity,Score,AssetID,AssetName,ProviderUniqueId,IpAddresses\n".to_vec();
    for (name, status, asset, address, severity, score) in rows {
        let row = format!("{name},{status},{severity},{score},{asset},,,{address}\n");
        report.extend_from_slice(row.as_bytes());
    }
    report
}

/// The report of a selection.
pub(crate) fn report(rows: u32) -> Vec<u8> {
    csv(selected(rows))
}

/// The labels that several reports give together; the newest comes first. An asset is one asset, by the newest report in
/// which a finding of it counts.
pub(crate) fn wanted(newest_first: &[u32]) -> Labels {
    let mut known = BTreeSet::new();
    let mut all = Vec::new();
    for rows in newest_first {
        let own: Vec<_> = selected(*rows)
            .filter(|row| row.1 != "Resolved" && !known.contains(row.2))
            .collect();
        known.extend(own.iter().map(|row| row.2));
        all.extend(own);
    }
    labels_by(&csv(all.into_iter()))
}
