//! Why a report cannot be used.

use std::io;

use crate::domain::FailureKind;

/// Why a report cannot be used. Each is a sentence for the person who has to mend it.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Not a single byte came.
    #[error(
        "The report is empty: not even a header came. Run it again; if it stays empty, look at the report in Wiz."
    )]
    Empty,
    /// The compressed bytes end early, or are damaged.
    #[error("The report's gzip stream is cut short or damaged after {rows} rows. Run it again.")]
    Gzip {
        /// The rows that came before.
        rows: u64,
    },
    /// A quote was opened and never closed.
    #[error("The report ends inside a quoted cell after {rows} rows: it was cut short. Run it again.")]
    OpenQuote {
        /// The rows that came before.
        rows: u64,
    },
    /// A record is longer than any that Wiz writes.
    #[error(
        "Row {row} of the report is longer than {limit_bytes} bytes: its quotes are broken, or it is no CSV report."
    )]
    RecordTooLong {
        /// The row, from 1; 0 is the header.
        row: u64,
        /// The limit.
        limit_bytes: usize,
    },
    /// Columns that the labels cannot do without are missing.
    #[error(
        "The report lacks the columns {missing}; found were: {found}. Make it a vulnerability report in CSV with these \
         columns."
    )]
    Columns {
        /// What is missing.
        missing: String,
        /// What the header has.
        found: String,
    },
    /// Fewer rows came than Wiz counted.
    #[error(
        "The report has {parsed} rows, but Wiz counted {expected}: it is incomplete, and nothing was pushed. Run it again; \
         if the count means something else in your tenant, set WIZ_CONTEXT_ROW_COUNT=warn."
    )]
    FewerRows {
        /// The rows that were read.
        parsed: u64,
        /// The rows that Wiz counted.
        expected: u64,
    },
    /// Whoever reads wants no more.
    #[error("The reading of the report was stopped.")]
    Stopped,
    /// The bytes could not be read.
    #[error("The report could not be read to its end.")]
    Source(#[source] io::Error),
}

impl ReportError {
    /// The kind of failure that a run ends with.
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::Columns { .. } | Self::RecordTooLong { .. } => FailureKind::Report,
            Self::Empty | Self::Gzip { .. } | Self::OpenQuote { .. } | Self::FewerRows { .. } => {
                FailureKind::Incomplete
            }
            Self::Stopped | Self::Source(_) => FailureKind::Internal,
        }
    }
}
