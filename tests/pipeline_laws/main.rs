//! The laws of the pipeline, on reports full of odd cells: it equals a slow, literal reading of the rules, the order of
//! rows does not matter, and neither does how the bytes come.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod literal;
mod odd_reports;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use wiz_context::commands::{LabelFormat, labels_of};
use wiz_context::domain::{FailureKind, Policy, RowCountRule};
use wiz_context::pipeline::{ReportError, check_row_count, read_report};
use wiz_context::simulator::generator::{GeneratorSettings, Header};

use crate::literal::slow_labels;
use crate::odd_reports::{report, row};

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
