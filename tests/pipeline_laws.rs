//! The laws of the pipeline, on reports full of odd cells: it equals a slow, literal reading of the rules, the order of
//! rows does not matter, and neither does how the bytes come.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::ops::ControlFlow;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use wiz_context::commands::{LabelFormat, labels_of};
use wiz_context::domain::{Address, CveId, FailureKind, Policy, RankedCve, Rating, RowCountRule, Score};
use wiz_context::pipeline::{ReportError, check_row_count, read_report};
use wiz_context::simulator::generator::{GeneratorSettings, Header};

const HEADER: [&str; 15] = [
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

/// The labels of a report by the product.
fn labels(report: impl Read + Send) -> String {
    let mut out = Vec::new();
    labels_of(
        report,
        &Policy::default(),
        LabelFormat::Csv,
        &mut out,
        std::io::sink(),
    )
    .unwrap();
    String::from_utf8(out).unwrap()
}

#[derive(Default)]
struct Slow {
    findings: u64,
    score: Option<Score>,
    rating: Option<Rating>,
    addresses: BTreeSet<Address>,
    cves: BTreeMap<CveId, RankedCve>,
}

fn best(cves: &BTreeMap<CveId, RankedCve>, most: usize) -> BTreeMap<CveId, RankedCve> {
    let mut ranked: Vec<_> = cves.values().copied().collect();
    ranked.sort_unstable_by(|one, other| other.cmp(one));
    ranked.into_iter().take(most).map(|cve| (cve.id(), cve)).collect()
}

fn add(cves: &mut BTreeMap<CveId, RankedCve>, cve: RankedCve) {
    let known = cves.entry(cve.id()).or_insert(cve);
    *known = cve.max(*known);
}

/// The labels of a report by the rules as they are written, with the `csv` crate and ordered maps.
fn slow_labels(report: &[u8]) -> String {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(report);
    let names: Vec<String> = reader
        .byte_headers()
        .unwrap()
        .iter()
        .map(|name| String::from_utf8_lossy(name).into())
        .collect();
    let mut assets: BTreeMap<(u8, String), Slow> = BTreeMap::new();
    for record in reader.byte_records() {
        let record = record.unwrap();
        let cell = |name: &str| {
            let at = names.iter().position(|known| known == name);
            let cell = at.and_then(|at| record.get(at)).unwrap_or_default();
            String::from_utf8_lossy(cell).trim().to_owned()
        };
        let status = cell("FindingStatus").to_lowercase().replace([' ', '_'], "");
        if !["", "open", "inprogress"].contains(&status.as_str()) {
            continue;
        }
        let score = ["Score", "NVDScore", "VendorScore"]
            .iter()
            .find_map(|name| Score::read(cell(name).as_bytes()));
        let rating = |name: &str| Rating::read(cell(name).as_bytes());
        let rating = rating("CVSSSeverity")
            .or(score.and_then(Rating::of_score))
            .or(rating("Severity"))
            .or(rating("VendorSeverity"))
            .or(rating("NvdSeverity"));
        let parts = cell("IpAddresses");
        let parts = parts.split([',', ';', '|', ' ', '\t', '\n', '\r']);
        let addresses: BTreeSet<_> = parts
            .filter_map(|part| Address::read(part.trim_matches(['[', ']', '"', '\''])).ok())
            .collect();
        let key = match (cell("AssetID"), cell("ProviderUniqueId")) {
            (id, _) if !id.is_empty() => (0, id),
            (_, id) if !id.is_empty() => (1, id),
            _ => (2, format!("{addresses:?}")),
        };
        let asset = assets.entry(key).or_default();
        asset.findings += 1;
        asset.score = asset.score.max(score);
        asset.rating = asset.rating.max(rating);
        asset.addresses.extend(addresses);
        if rating >= Some(Rating::High) {
            let is = |name: &str| cell(name).to_lowercase() == "true";
            for id in CveId::find_all(&cell("Name")) {
                add(
                    &mut asset.cves,
                    RankedCve::new(id, is("HasCisaKevExploit"), is("HasExploit"), score, rating),
                );
            }
        }
    }
    let mut addresses: BTreeMap<Address, Slow> = BTreeMap::new();
    for asset in assets.values() {
        for ip in &asset.addresses {
            let merged = addresses.entry(*ip).or_default();
            merged.findings += asset.findings;
            merged.score = merged.score.max(asset.score);
            merged.rating = merged.rating.max(asset.rating);
            for cve in best(&asset.cves, 100).into_values() {
                add(&mut merged.cves, cve);
            }
        }
    }
    let mut lines = String::new();
    let mut in_part = 0;
    for (ip, merged) in addresses {
        let cves = best(&merged.cves, 10_000);
        let cves: Vec<String> = cves.keys().map(ToString::to_string).collect();
        let values = [
            ("cve", cves),
            (
                "cvss_rating",
                merged.rating.iter().map(ToString::to_string).collect(),
            ),
            (
                "cvss_score",
                merged.score.iter().map(ToString::to_string).collect(),
            ),
            ("vuln_count", vec![merged.findings.to_string()]),
        ];
        for (context, values) in values.into_iter().filter(|(_, values)| !values.is_empty()) {
            if in_part > 0 && in_part + values.len() > 10_000 {
                in_part = 0;
                lines.push('\n');
            }
            in_part += values.len();
            writeln!(lines, "{ip},{context},{}", values.join(",")).unwrap();
        }
    }
    lines
}

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
fn row() -> impl Strategy<Value = String> {
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

fn report(rows: &[String], line_end: &str) -> Vec<u8> {
    let header = HEADER.join(",");
    let lines = std::iter::once(&header)
        .chain(rows)
        .map(|line| format!("{line}{line_end}"));
    lines.collect::<String>().into_bytes()
}

struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<usize>,
    turn: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()]
            .min(buffer.len())
            .min(self.bytes.len() - self.at);
        self.turn += 1;
        buffer[..size].copy_from_slice(&self.bytes[self.at..self.at + size]);
        self.at += size;
        Ok(size)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    #[test]
    fn the_fast_path_equals_a_literal_reading_of_the_rules(rows in prop::collection::vec(row(), 0..40)) {
        let report = report(&rows, "\n");
        prop_assert_eq!(labels(&report[..]), slow_labels(&report));
    }

    #[test]
    fn neither_the_order_of_rows_nor_the_line_ends_matter(
        (rows, shuffled) in prop::collection::vec(row(), 0..30).prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        prop_assert_eq!(labels(&report(&rows, "\n")[..]), labels(&report(&shuffled, "\r\n")[..]));
    }

    #[test]
    fn neither_compression_nor_the_pieces_the_bytes_come_in_matter(
        rows in prop::collection::vec(row(), 0..20),
        sizes in prop::collection::vec(1_usize..50, 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let report = report(&rows, "\n");
        let cut = cut.index(report.len());
        let members = [gzip(&report[..cut]), gzip(&report[cut..])].concat();
        let expected = labels(&report[..]);
        for bytes in [report, members] {
            let pieces = Pieces { bytes, at: 0, sizes: sizes.clone(), turn: 0 };
            prop_assert_eq!(labels(pieces), expected.clone());
        }
    }
}

#[test]
fn made_up_reports_of_every_header_read_as_the_rules_say() {
    for (seed, header) in [(1, Header::Default45), (2, Header::Legacy41), (3, Header::Full49)] {
        let settings = GeneratorSettings {
            seed,
            findings: 5_000,
            assets: 60,
            header,
            ..GeneratorSettings::default()
        };
        let mut report = Vec::new();
        settings.write(&mut report).unwrap();
        let expected = slow_labels(&report);
        assert!(expected.lines().count() > 100);
        assert_eq!(labels(&report[..]), expected);
        assert_eq!(labels(&gzip(&report)[..]), expected);
    }
}

#[test]
fn an_asset_with_more_than_a_hundred_cves_keeps_the_highest() {
    let row = |number: usize| {
        let score = if number.is_multiple_of(3) { "9.8" } else { "7.1" };
        format!(
            "CVE-2023-{number:04},Open,,{score},,,,,,,{},vm,,,10.0.0.1",
            number == 7
        )
    };
    let rows: Vec<_> = (0..250).map(row).collect();
    let labels = labels(&report(&rows, "\n")[..]);
    let cves: Vec<_> = labels.lines().next().unwrap().split(',').skip(2).collect();
    assert_eq!(cves.len(), 100);
    assert!(
        cves.contains(&"CVE-2023-0007"),
        "known to be exploited comes first"
    );
    // 84 have the higher score; the 15 places left go to the highest numbers of the others.
    assert!(
        cves.contains(&"CVE-2023-0249")
            && cves.contains(&"CVE-2023-0000")
            && !cves.contains(&"CVE-2023-0001")
    );
}

fn read(bytes: &[u8]) -> Result<u64, ReportError> {
    read_report(bytes, &Policy::default(), &mut |_| ControlFlow::Continue(())).map(|facts| facts.rows)
}

#[test]
fn a_report_that_is_cut_short_is_incomplete_and_not_small() {
    let rows: Vec<_> = (0..500)
        .map(|at| format!("CVE-2023-{at:04},Open,,9.8,,,,,,,,vm{at},,,10.0.0.1"))
        .collect();
    let whole = report(&rows, "\n");
    let packed = gzip(&whole);
    assert_eq!(read(&packed).unwrap(), 500);
    for cut in [packed.len() - 1, packed.len() / 2, 20] {
        assert_eq!(
            read(&packed[..cut]).unwrap_err().kind(),
            FailureKind::Incomplete,
            "cut at {cut}"
        );
    }
    assert_eq!(read(b"").unwrap_err().kind(), FailureKind::Incomplete);
    assert_eq!(
        read(&report(&[String::from("\"open")], "\n")).unwrap_err().kind(),
        FailureKind::Incomplete
    );
    assert_eq!(
        read(&report(&[], "\n")).unwrap(),
        0,
        "a header alone is an empty report"
    );
    assert_eq!(read(b"a,b\n1,2\n").unwrap_err().kind(), FailureKind::Report);
}

#[test]
fn fewer_rows_than_wiz_counted_are_an_error_and_more_a_warning() {
    let strict = RowCountRule::Strict;
    assert!(check_row_count(10, Some(10), strict).unwrap().is_none());
    assert_eq!(
        check_row_count(9, Some(10), strict).unwrap_err().kind(),
        FailureKind::Incomplete
    );
    for (rows, counted, rule) in [
        (11, Some(10), strict),
        (10, None, strict),
        (9, Some(10), RowCountRule::Warn),
    ] {
        assert!(check_row_count(rows, counted, rule).unwrap().is_some());
    }
}

#[test]
fn a_reading_stops_when_it_is_told_to() {
    let rows: Vec<_> = (0..10_000)
        .map(|_| "CVE-2023-0001,Open,,9.8,,,,,,,,vm,,,10.0.0.1".to_owned())
        .collect();
    let stopped = read_report(&report(&rows, "\n")[..], &Policy::default(), &mut |_| {
        ControlFlow::Break(())
    });
    assert!(matches!(stopped, Err(ReportError::Stopped)));
}
