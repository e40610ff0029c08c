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
    decoded(source, |source| {
        let mut scanner = Scanner::new(source);
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
