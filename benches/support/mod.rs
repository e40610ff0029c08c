//! What benchmarks work on: a made-up report, and the addresses and ledger that follow from it.

use std::io::Write;
use std::ops::ControlFlow;

use flate2::Compression;
use flate2::write::GzEncoder;
use wiz_context::domain::{LedgerEntry, Policy, WantedAddress};
use wiz_context::pipeline::{ReportFacts, label_records, read_report};
use wiz_context::simulator::{GeneratorSettings, Header};

/// A report of 49 columns.
///
/// # Panics
/// Never: it is written to memory.
pub(crate) fn report(findings: u64, assets: u64) -> Vec<u8> {
    let settings = GeneratorSettings {
        findings,
        assets,
        header: Header::Full49,
        ..GeneratorSettings::default()
    };
    let mut report = Vec::new();
    settings.write(&mut report).expect("memory takes all");
    report
}

/// The same, compressed as Wiz does.
///
/// # Panics
/// Never: it is written to memory.
pub(crate) fn gzip(report: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(report).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// What a report says.
///
/// # Panics
/// When it is none.
pub(crate) fn read(report: &[u8]) -> ReportFacts {
    read_report(report, &Policy::default(), &mut |_| ControlFlow::Continue(()))
        .expect("the generator's report is whole")
}

/// The addresses of a report.
pub(crate) fn wanted(report: &[u8]) -> Vec<WantedAddress> {
    read(report).into_addresses().collect()
}

/// The ledger of an account that has all labels of these addresses but those of each tenth, whose value is another.
pub(crate) fn ledger(wanted: &[WantedAddress]) -> Vec<LedgerEntry> {
    let records = wanted
        .iter()
        .flat_map(|wanted| label_records(wanted.ip, &wanted.facts));
    let entries = records.enumerate().map(|(number, record)| LedgerEntry {
        pair: record.pair,
        acknowledged: (!number.is_multiple_of(10)).then_some(record.labels),
        in_doubt: false,
        held: false,
    });
    entries.collect()
}
