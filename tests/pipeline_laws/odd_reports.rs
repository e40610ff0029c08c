//! Reports full of odd cells.

use proptest::prelude::*;

pub(crate) const HEADER: [&str; 15] = [
    "Name",
    "FindingStatus",
    "CVSSSeverity",
    "Score",
    "Severity",
    "VendorSeverity",
    "NvdSeverity",
    "NVDScore",
    "VendorScore",
    "HasExploit",
    "HasCisaKevExploit",
    "AssetID",
    "AssetName",
    "ProviderUniqueId",
    "IpAddresses",
];

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn one_of(cells: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(cells).prop_map(str::to_owned)
}

/// A row of odd cells, in the order of the header.
pub(crate) fn row() -> impl Strategy<Value = String> {
    let names = one_of(&[
        "CVE-2023-0001",
        "cve-2023-0002",
        "CVE-2023-00002",
        "GHSA-c9cp-9c75-9v8c",
        "CVE-2021-1111, CVE-2021-2222",
        "",
        "xCVE-2023-0001",
        "a \"quoted\"\nCVE-2020-3333",
    ]);
    let statuses = one_of(&["Open", "IN_PROGRESS", "in progress", "", "Resolved", "Rejected"]);
    let severities = || one_of(&["", "None", "low", "Medium", "HIGH", "Critical", "Info"]);
    let scores = || one_of(&["", "0", "6.95", "9,8", "10", "11", "n/a", " 4.0 "]);
    let flags = || one_of(&["true", "False", "TRUE", "", "yes"]);
    let ids = || one_of(&["", "a", "b", " a ", "c"]);
    let addresses = one_of(&[
        "10.0.0.1",
        "10.0.0.1,10.0.0.2",
        "[\"10.0.0.2\", \"2001:db8::1\"]",
        "::ffff:10.0.0.1/128",
        "127.0.0.1",
        "host",
        "",
        "fe80::1 | 10.0.0.3; 2001:DB8::1",
    ]);
    let rated = (
        severities(),
        scores(),
        severities(),
        severities(),
        severities(),
        scores(),
        scores(),
    );
    (
        names,
        statuses,
        rated,
        flags(),
        flags(),
        ids(),
        ids(),
        ids(),
        addresses,
    )
        .prop_map(
            |(name, status, rated, exploit, kev, id, asset, provider, addresses)| {
                let (cvss, score, severity, vendor, nvd, nvd_score, vendor_score) = rated;
                let cells = [
                    name,
                    status,
                    cvss,
                    score,
                    severity,
                    vendor,
                    nvd,
                    nvd_score,
                    vendor_score,
                    exploit,
                    kev,
                    id,
                    asset,
                    provider,
                    addresses,
                ];
                cells.map(|cell| quoted(&cell)).join(",")
            },
        )
}

pub(crate) fn report(rows: &[String], line_end: &str) -> Vec<u8> {
    let header = HEADER.join(",");
    let lines = std::iter::once(&header)
        .chain(rows)
        .map(|line| format!("{line}{line_end}"));
    lines.collect::<String>().into_bytes()
}
