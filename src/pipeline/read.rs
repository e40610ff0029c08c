//! Reads a report from the first byte to the last.

use std::io::Read;
use std::ops::ControlFlow;

use super::ReportError;
use super::asset::Asset;
use super::collect::{Collected, Collector};
use super::decode::decoded;
use super::header::Header;
use super::scan::Scanner;
use crate::domain::{AssetFacts, Policy, RowCountRule, Skipped, Warning};

/// After how many rows the observer is asked: a few milliseconds of work.
const ROWS_PER_LOOK: u64 = 4096;

/// How many rows are folded together. Their assets' memory is fetched side by side first; with more of them, the first
/// would have left the nearest cache before its turn.
const ROWS_AT_ONCE: usize = 32;

/// How far the reading of a report has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadProgress {
    /// Rows read so far.
    pub rows: u64,
}

/// What a report says: facts of each asset that has a counting finding.
#[derive(Debug)]
pub struct ReportFacts {
    /// The rows below the header.
    pub rows: u64,
    /// The rows that count.
    pub findings: u64,
    /// Whether it came as gzip, whose trailer then held.
    pub gzip: bool,
    /// The header.
    pub columns: Vec<String>,
    /// What was skipped, reason → number: `status` in rows, `score` in cells, `address_…` in occurrences,
    /// `asset_without_address` in assets. Reasons that were not met are left out.
    pub skipped: Skipped,
    /// What a person should know of: `columns_missing`, `columns_repeated`.
    pub warnings: Vec<Warning>,
    pub(super) assets: Vec<Asset>,
}

impl ReportFacts {
    /// How many assets have a counting finding.
    pub const fn assets(&self) -> usize {
        self.assets.len()
    }

    /// The facts of each asset, in the order of [`AssetKey::to_stored`](crate::domain::AssetKey::to_stored). Each is
    /// brought into its full form only when it is asked for.
    pub fn into_assets(self) -> impl ExactSizeIterator<Item = AssetFacts> {
        self.assets.into_iter().map(Asset::into_facts)
    }

    /// The same without giving them away.
    pub fn each_asset(&self) -> impl ExactSizeIterator<Item = AssetFacts> {
        self.assets.iter().cloned().map(Asset::into_facts)
    }
}

/// Reads a report, plain or gzip, and folds its findings. `observe` hears of the progress every few thousand rows and at
/// the end, and may stop the reading.
///
/// It blocks, and reads the source on a thread of its own while it runs: it does not return before a read that is under
/// way does.
///
/// # Errors
/// When the report cannot be used; nothing that was read of it then counts.
pub fn read_report<R: Read + Send>(
    source: R,
    policy: &Policy,
    observe: &mut dyn FnMut(ReadProgress) -> ControlFlow<()>,
) -> Result<ReportFacts, ReportError> {
    decoded(source, |parts, gzip| {
        let mut scanner = Scanner::new(parts);
        let header = scanner.header(|record| {
            let header = Header::read(record)?;
            let columns = header.read_columns();
            Ok((header, columns))
        })?;
        let mut observe = |rows| match observe(ReadProgress { rows }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ReportError::Stopped),
        };
        let mut collector = Collector::new(policy);
        let mut rows = 0;
        loop {
            let records = scanner.read_records(ROWS_AT_ONCE)?;
            let count = records.iter().len();
            if count == 0 {
                break;
            }
            collector.add(records, &header);
            let look = rows / ROWS_PER_LOOK;
            rows += count as u64;
            if rows / ROWS_PER_LOOK > look {
                observe(rows)?;
            }
        }
        observe(rows)?;
        let Collected {
            findings,
            skipped,
            assets,
        } = collector.finish();
        let Header {
            names: columns,
            warnings,
            ..
        } = header;
        Ok(ReportFacts {
            rows,
            findings,
            gzip,
            columns,
            skipped,
            warnings,
            assets,
        })
    })
}

/// Compares the rows that were read with those that Wiz counted. More of them, or no count, is a warning
/// (`rows_more`, `rows_uncounted`); fewer is one (`rows_fewer`) only by [`RowCountRule::Warn`].
///
/// # Errors
/// [`ReportError::TooFewRows`] by [`RowCountRule::Strict`].
pub fn check_row_count(
    rows_parsed: u64,
    rows_expected: Option<u64>,
    rule: RowCountRule,
) -> Result<Option<Warning>, ReportError> {
    let Some(expected) = rows_expected else {
        let message = format!("Wiz did not say how many rows the report has; {rows_parsed} were read.");
        return Ok(Some(Warning::new("rows_uncounted", message)));
    };
    let message = format!("The report has {rows_parsed} rows where Wiz counted {expected}.");
    match (rows_parsed.cmp(&expected), rule) {
        (std::cmp::Ordering::Equal, _) => Ok(None),
        (std::cmp::Ordering::Greater, _) => Ok(Some(Warning::new("rows_more", message))),
        (std::cmp::Ordering::Less, RowCountRule::Warn) => Ok(Some(Warning::new("rows_fewer", message))),
        (std::cmp::Ordering::Less, RowCountRule::Strict) => Err(ReportError::TooFewRows {
            parsed: rows_parsed,
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FailureKind;

    const HEADER: &str = "Name,AssetID,IpAddresses,Severity\n";

    fn read(rows: &str) -> Result<ReportFacts, ReportError> {
        let report = [HEADER, rows].concat();
        read_report(report.as_bytes(), &Policy::default(), &mut |_| {
            ControlFlow::Continue(())
        })
    }

    #[test]
    fn a_header_alone_is_an_empty_report_and_no_byte_is_none() {
        let facts = read("").unwrap();
        assert_eq!((facts.rows, facts.assets()), (0, 0));
        assert_eq!(facts.columns, ["Name", "AssetID", "IpAddresses", "Severity"]);
        for nothing in ["", "\n\r\n", "\u{feff}"] {
            let read = read_report(nothing.as_bytes(), &Policy::default(), &mut |_| {
                ControlFlow::Continue(())
            });
            assert_eq!(read.unwrap_err().kind(), FailureKind::Incomplete, "{nothing:?}");
        }
    }

    #[test]
    fn broken_rows_end_the_reading_and_say_where() {
        let row = "CVE-2024-0001,a,10.0.0.1,High\n";
        for (rows, kind, words) in [
            (
                "x,a,10.0.0.1\n",
                FailureKind::Report,
                "Row 2 of the report has 3 cells where its first line has 4",
            ),
            (
                "x,a,10.0.0.1,10.0.0.2,High\n",
                FailureKind::Report,
                "Row 2 of the report has more cells than the 4",
            ),
            (
                "x,a,10.0",
                FailureKind::Incomplete,
                "cut short: its last row, 2, has 3 cells",
            ),
            (
                "x,a,\"10.0.0.1,High\n",
                FailureKind::Incomplete,
                "cut short: row 2 opens a quote",
            ),
        ] {
            let error = read(&[row, rows].concat()).unwrap_err();
            assert_eq!(error.kind(), kind, "{rows:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn the_observer_hears_of_the_rows_and_can_stop_the_reading() {
        let rows = "CVE-2024-0001,a,10.0.0.1,High\n".repeat(10_000);
        let report = [HEADER, &rows].concat();
        let mut heard = Vec::new();
        let mut read = |stop_at: u64| {
            read_report(report.as_bytes(), &Policy::default(), &mut |progress| {
                heard.push(progress.rows);
                if progress.rows >= stop_at {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
        };
        assert_eq!(read(u64::MAX).unwrap().findings, 10_000);
        assert!(matches!(read(1), Err(ReportError::Stopped)));
        let (last, all) = heard.split_last().unwrap();
        assert_eq!((all.len(), all.last(), *last), (3, Some(&10_000), all[0]));
    }

    #[test]
    fn fewer_rows_than_wiz_counted_are_incomplete_unless_the_rule_says_else() {
        let (strict, warn) = (RowCountRule::Strict, RowCountRule::Warn);
        let code = |parsed, expected, rule| {
            check_row_count(parsed, expected, rule)
                .unwrap()
                .map(|warning| warning.code)
        };
        assert_eq!(code(5, Some(5), strict), None);
        assert_eq!(code(6, Some(5), strict).as_deref(), Some("rows_more"));
        assert_eq!(code(5, None, strict).as_deref(), Some("rows_uncounted"));
        assert_eq!(code(4, Some(5), warn).as_deref(), Some("rows_fewer"));
        let error = check_row_count(4, Some(5), strict).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Incomplete);
        assert!(
            error.to_string().contains("has 4 rows where Wiz counted 5"),
            "{error}"
        );
    }
}
