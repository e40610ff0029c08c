//! Reading a report from its first byte to its last.

use std::cell::Cell;
use std::io::{self, Read};
use std::ops::{ControlFlow, Range};

use super::collect::Collector;
use super::decode::Decoded;
use super::finding::Cells;
use super::header::{COLUMNS, Column, Header};
use super::scan::{MAX_RECORD_BYTES, Record, ScanError, Scanner};
use super::{ReportError, ReportFacts};
use crate::domain::{Policy, RowCountRule, Warning};

/// How many rows lie between two looks at whether to go on: a few milliseconds' work.
const ROWS_PER_LOOK: u64 = 4096;

/// How far a reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadProgress {
    /// The rows that were read.
    pub rows: u64,
}

/// Reads a report, plain or gzip, and folds it into facts per asset. `observe` is called every few thousand rows and may
/// stop the reading.
///
/// # Errors
/// When the report cannot be used: see [`ReportError`]. Single cells that do not read are counted and passed over.
pub fn read_report<R: Read>(
    source: R,
    policy: &Policy,
    observe: &mut dyn FnMut(ReadProgress) -> ControlFlow<()>,
) -> Result<ReportFacts, ReportError> {
    let decoded = Decoded::new(source).map_err(ReportError::Source)?;
    let is_gzip = decoded.is_gzip();
    let mut scanner = Scanner::new(decoded);
    let rows = Cell::new(0);
    let fail = |error| match error {
        ScanError::OpenQuote => ReportError::OpenQuote { rows: rows.get() },
        ScanError::TooLong => ReportError::RecordTooLong {
            row: rows.get(),
            limit_bytes: MAX_RECORD_BYTES,
        },
        ScanError::Source(error) if is_gzip && is_damage(&error) => ReportError::Gzip { rows: rows.get() },
        ScanError::Source(error) => ReportError::Source(error),
    };
    let Some(mut names) = scanner.next().map_err(fail)? else {
        return Err(ReportError::Empty);
    };
    let header = Header::read(read_names(&mut names))?;
    let mut collector = Collector::new(policy);
    let mut misshapen = 0_u64;
    while let Some(record) = scanner.next().map_err(fail)? {
        misshapen += u64::from(record.len() != header.columns.len());
        collector.add(&Row::new(record, &header.positions));
        rows.set(rows.get() + 1);
        if rows.get().is_multiple_of(ROWS_PER_LOOK) && observe(ReadProgress { rows: rows.get() }).is_break() {
            return Err(ReportError::Stopped);
        }
    }
    let mut warnings = header.warnings;
    if misshapen > 0 {
        let message = format!(
            "{misshapen} rows have more or fewer cells than the header; missing ones count as empty."
        );
        warnings.push(Warning::new("rows_misshapen", message));
    }
    Ok(collector.finish(rows.get(), header.columns, warnings))
}

/// Judges whether as many rows came as Wiz counted.
///
/// # Errors
/// [`ReportError::FewerRows`] when fewer came and the rule is strict.
pub fn check_row_count(
    parsed: u64,
    expected: Option<u64>,
    rule: RowCountRule,
) -> Result<Option<Warning>, ReportError> {
    let Some(expected) = expected else {
        let message = "Wiz gave no count of rows to compare with.";
        return Ok(Some(Warning::new("rows_uncounted", message)));
    };
    let message = format!("The report has {parsed} rows, but Wiz counted {expected}.");
    match rule {
        _ if parsed == expected => Ok(None),
        _ if parsed > expected => Ok(Some(Warning::new("rows_more", message))),
        RowCountRule::Warn => Ok(Some(Warning::new("rows_fewer", message))),
        RowCountRule::Strict => Err(ReportError::FewerRows { parsed, expected }),
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    )
}

/// The names of the header; a byte order mark in front, and quotes behind it, are taken off.
fn read_names(record: &mut Record<'_>) -> Vec<String> {
    let ranges: Vec<_> = (0..record.len()).map(|cell| record.unquote(cell)).collect();
    ranges
        .into_iter()
        .map(|range| String::from_utf8_lossy(record.bytes(range)).into_owned())
        .collect()
}

/// The cells of a row that the labels follow from.
struct Row<'a> {
    record: Record<'a>,
    cells: [Range<usize>; COLUMNS],
}

impl<'a> Row<'a> {
    fn new(mut record: Record<'a>, positions: &[Option<usize>; COLUMNS]) -> Self {
        let cells = std::array::from_fn(|at| positions[at].map_or(0..0, |cell| record.unquote(cell)));
        Self { record, cells }
    }
}

impl Cells for Row<'_> {
    fn cell(&self, column: Column) -> &[u8] {
        self.record.bytes(self.cells[column as usize].clone())
    }
}
