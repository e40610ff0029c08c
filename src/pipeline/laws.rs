//! The laws of reading a report: the fast way equals a slow and obvious one, to the last count; neither the order of rows
//! nor the way the bytes come matters.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::ops::ControlFlow;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::sample::select;

use super::reference::Pieces;
use super::{ReportError, read_report};
use crate::domain::{
    Address, AssetFacts, AssetKey, CveId, FailureKind, Policy, REPORT_COLUMNS, RankedCve, Rating, Score,
    Skipped,
};

/// What a report comes to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    rows: u64,
    findings: u64,
    skipped: Skipped,
    assets: Vec<AssetFacts>,
}

fn policy() -> Policy {
    Policy {
        skip_networks: Policy::read_skip_networks("10.9.0.0/16").unwrap(),
        ..Policy::default()
    }
}

fn fast(report: impl Read + Send) -> Result<Outcome, ReportError> {
    let facts = read_report(report, &policy(), &mut |_| ControlFlow::Continue(()))?;
    assert_eq!(facts.assets(), facts.assets.len());
    Ok(Outcome {
        rows: facts.rows,
        findings: facts.findings,
        skipped: facts.skipped.clone(),
        assets: facts.into_assets().collect(),
    })
}

/// An asset on its way.
type SlowAsset = (AssetFacts, BTreeSet<Address>, BTreeMap<CveId, RankedCve>);

/// The rules as they are written, with the `csv` crate and ordered maps.
fn slow(report: &[u8]) -> Outcome {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(report);
    let names: Vec<_> = reader
        .byte_headers()
        .unwrap()
        .iter()
        .map(<[u8]>::to_vec)
        .collect();
    let mut outcome = Outcome::default();
    let mut assets: BTreeMap<Vec<u8>, SlowAsset> = BTreeMap::new();
    for record in reader.byte_records().map(Result::unwrap) {
        outcome.rows += 1;
        let mut skip = |reason: &str| *outcome.skipped.entry(reason.to_owned()).or_default() += 1;
        let cell = |name: &str| {
            let column = names.iter().position(|known| known == name.as_bytes());
            column.map_or_else(String::new, |at| {
                String::from_utf8_lossy(&record[at]).trim().to_owned()
            })
        };

        let status = cell("FindingStatus").to_lowercase().replace([' ', '_'], "");
        if !["", "open", "inprogress"].contains(&&*status) {
            skip("status");
            continue;
        }
        outcome.findings += 1;
        let mut score = None;
        for name in ["Score", "NVDScore", "VendorScore"] {
            score = Score::read(cell(name).as_bytes());
            if score.is_some() {
                break;
            }
            if !cell(name).is_empty() {
                skip("score");
            }
        }
        let mut rating = Rating::read(cell("CVSSSeverity").as_bytes());
        rating = rating.or_else(|| score.and_then(Rating::of_score));
        for name in ["Severity", "VendorSeverity", "NvdSeverity"] {
            rating = rating.or_else(|| Rating::read(cell(name).as_bytes()));
        }

        let mut addresses = BTreeSet::new();
        for part in cell("IpAddresses").split(|char: char| ",;|".contains(char) || char.is_whitespace()) {
            let part = part.trim_matches(['[', ']', '"', '\'']);
            match policy().read_address(part) {
                _ if part.is_empty() => {}
                Ok(address) => _ = addresses.insert(address),
                Err(problem) => skip(problem.reason()),
            }
        }
        let key = match (&*cell("AssetID"), &*cell("ProviderUniqueId")) {
            ("", "") => AssetKey::Addresses(addresses.iter().copied().collect()),
            ("", id) => AssetKey::ProviderUniqueId(id.into()),
            (id, _) => AssetKey::AssetId(id.into()),
        };
        let (facts, all_addresses, cves) = assets.entry(key.to_stored()).or_insert_with(|| {
            let (name, addresses, cves) = (Box::default(), Vec::new(), Vec::new());
            let facts = AssetFacts {
                key,
                name,
                findings: 0,
                score: None,
                rating: None,
                addresses,
                cves,
            };
            (facts, BTreeSet::new(), BTreeMap::new())
        });
        facts.findings += 1;
        facts.score = facts.score.max(score);
        facts.rating = facts.rating.max(rating);
        all_addresses.extend(addresses);
        let name = cell("AssetName");
        if !name.is_empty() && (facts.name.is_empty() || *name < *facts.name) {
            facts.name = name.into();
        }
        if rating >= Some(Rating::High) {
            let says = |name: &str| cell(name).eq_ignore_ascii_case("true");
            for id in CveId::find_all(&cell("Name")) {
                let cve = RankedCve::new(id, says("HasCisaKevExploit"), says("HasExploit"), score, rating);
                let known = cves.entry(id).or_insert(cve);
                *known = cve.max(*known);
            }
        }
    }
    for (mut facts, addresses, cves) in assets.into_values() {
        if addresses.is_empty() {
            *outcome
                .skipped
                .entry("asset_without_address".to_owned())
                .or_default() += 1;
        }
        facts.addresses = addresses.into_iter().collect();
        facts.cves = cves.into_values().collect();
        facts.cves.sort_unstable();
        facts.cves.drain(..facts.cves.len().saturating_sub(100));
        outcome.assets.push(facts);
    }
    outcome
}

/// One of the usual cells of a column, or an odd one.
fn cell(name: &'static str) -> BoxedStrategy<Vec<u8>> {
    let usual: &[&str] = match name {
        "Name" => &[
            "CVE-2024-0001",
            "cve-2024-00001 CVE-2023-1234567890123",
            "GHSA-c9cp",
            "fix \"CVE-2020-4444\",\nnow",
        ],
        "FindingStatus" => &[
            "Open",
            "open",
            "In Progress",
            "IN_PROGRESS",
            "",
            " ",
            "Resolved",
            "Rejected",
        ],
        "Score" | "NVDScore" | "VendorScore" => {
            &["9.8", "6.95", "7,0", "", " ", "0", "n/a", "11", "10", " 3.9 "]
        }
        "HasExploit" | "HasCisaKevExploit" => &["true", "TRUE", "false", "", "yes", " true"],
        "AssetID" | "ProviderUniqueId" => &["", "a", " a ", "b", "\"a\"", "A", " "],
        "AssetName" => &["", "host", "\"host\"", "Host", "zebra "],
        "IpAddresses" => &[
            "10.0.0.1",
            "10.0.0.1, 10.0.0.2",
            "[\"10.0.0.2\",\"2001:db8::1\"]",
            "10.0.0.2|::ffff:10.0.0.1",
            "127.0.0.1;127.0.0.1 fe80::1%eth0 host 10.9.1.1 ::",
            "",
            "[]",
        ],
        _ => &[
            "Low",
            "medium",
            "HIGH",
            "Critical",
            "None",
            "Informational",
            "",
            "high ",
        ],
    };
    let usual = select(usual.to_vec()).prop_map(|cell| cell.as_bytes().to_vec());
    // Bytes that are no UTF-8, letters that look like space, and what is left of quotes.
    let odd = select(vec![
        &b"\xff"[..],
        b"a\xff",
        b"\xc2\xa0a\xc2\xa0",
        b"\"",
        b",\r\n,",
        b"CVE-2024-0001\xc3\xa9",
    ]);
    prop_oneof![30 => usual, 1 => odd.prop_map(<[u8]>::to_vec)].boxed()
}

/// Rows of all columns that are read, and of one that is not.
fn rows() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let names = REPORT_COLUMNS.into_iter().chain(["Tags"]);
    prop::collection::vec(names.map(cell).collect::<Vec<_>>(), 0..40)
}

/// The report of some rows, without the columns of some numbers.
fn report(rows: &[Vec<Vec<u8>>], without: &[usize], line_end: &str) -> Vec<u8> {
    let header = REPORT_COLUMNS
        .iter()
        .chain(&["Tags"])
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let mut report = Vec::new();
    for row in std::iter::once(&header).chain(rows) {
        let cells = row
            .iter()
            .enumerate()
            .filter(|(column, _)| !without.contains(column));
        for (at, (_, cell)) in cells.enumerate() {
            report.extend_from_slice(if at == 0 { b"" } else { b"," });
            let is_special = |byte: &u8| b",\"\r\n".contains(byte);
            if cell.iter().any(is_special) {
                let quoted: Vec<_> = cell
                    .iter()
                    .flat_map(|byte| vec![*byte; 1 + usize::from(*byte == b'"')])
                    .collect();
                report.extend([b"\"", &quoted[..], b"\""].concat());
            } else {
                report.extend_from_slice(cell);
            }
        }
        report.extend_from_slice(line_end.as_bytes());
    }
    report
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Columns that a report can do without.
fn optional() -> impl Strategy<Value = Vec<usize>> {
    let required = ["Name", "AssetID", "IpAddresses"];
    let optional = |column: &usize| !required.contains(&REPORT_COLUMNS[*column]);
    // Never so many that no severity or score is left.
    prop::sample::subsequence(
        (0..REPORT_COLUMNS.len()).filter(optional).collect::<Vec<_>>(),
        0..5,
    )
}

proptest! {
    #[test]
    fn the_fast_way_equals_the_slow_one(rows in rows(), without in optional()) {
        let report = report(&rows, &without, "\n");
        prop_assert_eq!(fast(&report[..]).unwrap(), slow(&report));
    }

    #[test]
    fn neither_the_order_of_rows_nor_the_line_ends_matter(
        (rows, shuffled) in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let (one, other) = (report(&rows, &[], "\n"), report(&shuffled, &[], "\r\n"));
        prop_assert_eq!(fast(&one[..]).unwrap(), fast(&other[..]).unwrap());
    }

    #[test]
    fn neither_compression_nor_the_pieces_of_the_stream_matter(
        rows in rows(),
        sizes in prop::collection::vec(1_usize..300, 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let plain = report(&rows, &[], "\n");
        let (front, back) = plain.split_at(cut.index(plain.len()));
        let packed = [gzip(front), gzip(back)].concat();
        let whole = fast(&plain[..]).unwrap();
        prop_assert_eq!(&fast(Pieces::new(&plain, sizes.clone())).unwrap(), &whole);
        prop_assert_eq!(&fast(Pieces::new(&packed, sizes)).unwrap(), &whole);
    }

    #[test]
    fn a_report_cut_within_a_row_is_an_error_or_as_good_as_whole(rows in rows(), cut in any::<prop::sample::Index>()) {
        let report = report(&rows, &[], "\n");
        let at = cut.index(report.len() + 1);
        match fast(&report[..at]) {
            // Cut behind a row, or in the last cell of one, where nothing tells.
            Ok(outcome) => prop_assert!(outcome.rows <= rows.len() as u64),
            Err(error) => prop_assert!(matches!(error.kind(), FailureKind::Incomplete | FailureKind::Report)),
        }
    }
}
