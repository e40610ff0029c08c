//! From the cells of a row to what they say of a finding.

use std::borrow::Cow;

use super::header::{Column, Header};
use super::scan::{Record, unquoted};
use crate::domain::{CveId, RankedCve, Rating, Score};

/// A row of a report: one finding.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    record: Record<'a>,
    header: &'a Header,
}

/// How severe a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Severity {
    pub(super) score: Option<Score>,
    pub(super) rating: Option<Rating>,
    /// How many cells should have held a score and did not read.
    pub(super) unreadable: u64,
}

impl<'a> Row<'a> {
    pub(super) const fn new(record: Record<'a>, header: &'a Header) -> Self {
        Self { record, header }
    }

    /// A cell as it stands, with its quotes; empty when the report has no such column.
    pub(super) fn raw(&self, column: Column) -> &'a [u8] {
        self.header
            .place(column)
            .map_or(&[], |place| self.record.raw(place))
    }

    /// A cell as it stands, if it is not quoted: equal to its text unless white space is around it or it is not UTF-8.
    pub(super) fn plain(&self, column: Column) -> Option<&'a [u8]> {
        let raw = self.raw(column);
        (raw.first() != Some(&b'"')).then_some(raw)
    }

    fn cell(&self, column: Column) -> Cow<'a, [u8]> {
        unquoted(self.raw(column))
    }

    /// A cell's text without white space around it; what is not UTF-8 becomes `U+FFFD`.
    pub(super) fn text(&self, column: Column) -> Cow<'a, str> {
        match self.cell(column) {
            Cow::Borrowed(cell) => match String::from_utf8_lossy(cell) {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            },
            Cow::Owned(cell) => Cow::Owned(String::from_utf8_lossy(&cell).trim().to_owned()),
        }
    }

    /// Whether the finding is open or in progress; without a status it is open.
    pub(super) fn counts(&self) -> bool {
        let status = self.cell(Column::FindingStatus);
        let letters = || {
            let letters = status
                .iter()
                .filter(|byte| !byte.is_ascii_whitespace() && **byte != b'_');
            letters.map(u8::to_ascii_lowercase)
        };
        *status == *b"Open"
            || letters().next().is_none()
            || letters().eq(*b"open")
            || letters().eq(*b"inprogress")
    }

    /// The score, by the first cell that reads; and the rating, by the first that says something.
    pub(super) fn severity(&self) -> Severity {
        let mut unreadable = 0;
        let score = [Column::Score, Column::NvdScore, Column::VendorScore]
            .into_iter()
            .find_map(|column| {
                let cell = self.cell(column);
                let score = Score::read(&cell);
                unreadable += u64::from(score.is_none() && !cell.trim_ascii().is_empty());
                score
            });
        let rating_of = |column| Rating::read(&self.cell(column));
        let rating = rating_of(Column::CvssSeverity)
            .or_else(|| score.and_then(Rating::of_score))
            .or_else(|| rating_of(Column::Severity))
            .or_else(|| rating_of(Column::VendorSeverity))
            .or_else(|| rating_of(Column::NvdSeverity));
        Severity {
            score,
            rating,
            unreadable,
        }
    }

    /// Hands the CVEs that the finding names to `keep`, with its rank.
    pub(super) fn for_each_cve(&self, severity: Severity, mut keep: impl FnMut(RankedCve)) {
        let is_true = |column| self.cell(column).trim_ascii().eq_ignore_ascii_case(b"true");
        let known_exploited = is_true(Column::HasCisaKevExploit);
        let has_exploit = is_true(Column::HasExploit);
        for id in CveId::find_all(&self.text(Column::Name)) {
            keep(RankedCve::new(
                id,
                known_exploited,
                has_exploit,
                severity.score,
                severity.rating,
            ));
        }
    }
}
