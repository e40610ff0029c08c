//! What makes a report unusable, in sentences for the person who has to mend it.

use std::io;

use crate::domain::FailureKind;

/// The longest cell of a read column, in bytes. Far above what addresses, names and ids need; without a bound, a cell
/// would decide how much memory a run takes.
pub const MAX_CELL_BYTES: usize = 1 << 20;

/// Why a report cannot be used. The text says what was expected, what was found, and what to do; it carries nothing of
/// the report's content but plain column names.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Not one byte, or nothing but blank lines.
    #[error(
        "The report is empty: not even the line with the column names is there. Run it again; when that does not \
         help, look at the report in Wiz."
    )]
    Empty,
    /// Columns are missing without which nothing can be said.
    #[error(
        "The report lacks {missing}. Its first line has {found}. It must be a vulnerabilities report as CSV, \
         separated by commas, with the columns Name, AssetID, IpAddresses and at least one of severity or score."
    )]
    MissingColumns {
        /// What is missing, in words.
        missing: String,
        /// What is there, in words.
        found: String,
    },
    /// The first line does not end where a line of column names would.
    #[error(
        "The report's first line is longer than {} KiB, so it is not a line of column names. The report must be a \
         vulnerabilities report as CSV.",
        MAX_CELL_BYTES >> 10
    )]
    HeaderTooLong,
    /// A row has fewer cells than there are columns.
    #[error(
        "Row {row} of the report has {cells} cells where its first line has {columns}: a quote or a comma is out of \
         place, so the row cannot be trusted. Run the report again; when that does not help, tell Wiz's support."
    )]
    RowTooShort {
        /// The row, 1 for the first below the header.
        row: u64,
        /// The cells it has.
        cells: usize,
        /// The cells it should have.
        columns: usize,
    },
    /// A row has more cells than there are columns.
    #[error(
        "Row {row} of the report has more cells than the {columns} of its first line: a quote or a comma is out of \
         place, so the row cannot be trusted. Run the report again; when that does not help, tell Wiz's support."
    )]
    RowTooLong {
        /// The row, 1 for the first below the header.
        row: u64,
        /// The cells it should have.
        columns: usize,
    },
    /// A cell of a read column is larger than [`MAX_CELL_BYTES`].
    #[error(
        "Row {row} of the report has a cell of more than {} KiB in a column that is read: a quote is out of place. \
         Run the report again; when that does not help, tell Wiz's support.",
        MAX_CELL_BYTES >> 10
    )]
    CellTooLong {
        /// The row, 1 for the first below the header.
        row: u64,
    },
    /// The last row ends in its middle.
    #[error(
        "The report was cut short: its last row, {row}, has {cells} cells where its first line has {columns}, and no line \
         end. Run it again."
    )]
    CutRow {
        /// The row, 1 for the first below the header.
        row: u64,
        /// The cells it has.
        cells: usize,
        /// The cells it should have.
        columns: usize,
    },
    /// The report ends inside quotes.
    #[error("The report was cut short: row {row} opens a quote that is never closed. Run it again.")]
    UnclosedQuote {
        /// The row, 1 for the first below the header; 0 for the header.
        row: u64,
    },
    /// The gzip stream ends before its trailer.
    #[error("The report was cut short: its gzip stream ends before its checksum. Run it again.")]
    CutGzip,
    /// The gzip stream is damaged.
    #[error("The report was damaged on its way: its gzip stream is broken ({0}). Run it again.")]
    BrokenGzip(String),
    /// Fewer rows than Wiz counted.
    #[error(
        "The report has {parsed} rows where Wiz counted {expected}: it is not complete, so nothing was changed. Run it \
         again; if this tenant's count means something else, set WIZ_CONTEXT_ROW_COUNT=warn."
    )]
    TooFewRows {
        /// The rows that were read.
        parsed: u64,
        /// The rows that Wiz counted.
        expected: u64,
    },
    /// The observer asked to stop.
    #[error("The reading of the report was stopped.")]
    Stopped,
    /// The bytes could not be read.
    #[error("The report could not be read to its end: {0}.")]
    Source(#[source] io::Error),
}

impl ReportError {
    /// The kind of failure that a run ends with for this. Whoever stops a reading or lends a source that breaks knows
    /// better; [`ReportError::Stopped`] counts as internal here, and [`ReportError::Source`] as Wiz being unavailable.
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::MissingColumns { .. }
            | Self::HeaderTooLong
            | Self::RowTooShort { .. }
            | Self::RowTooLong { .. }
            | Self::CellTooLong { .. } => FailureKind::Report,
            Self::Empty
            | Self::CutRow { .. }
            | Self::UnclosedQuote { .. }
            | Self::CutGzip
            | Self::BrokenGzip(_)
            | Self::TooFewRows { .. } => FailureKind::Incomplete,
            Self::Stopped => FailureKind::Internal,
            Self::Source(_) => FailureKind::WizUnavailable,
        }
    }

    /// Wraps the error, so that it can pass through [`std::io::Read`]; `From<io::Error>` unwraps it.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl From<io::Error> for ReportError {
    fn from(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_passes_through_a_reader_unharmed() {
        let error = ReportError::from(ReportError::CutGzip.into_io());
        assert!(matches!(error, ReportError::CutGzip));
        let error = ReportError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(error, ReportError::Source(_)));
    }
}
