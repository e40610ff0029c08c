//! A row as a finding: which rows count, with what score and rating.

use super::header::Column;
use crate::domain::{Rating, Score};

/// The cells of a row, by column; a column that is not there is empty.
pub(super) trait Cells {
    fn cell(&self, column: Column) -> &[u8];
}

/// What a counting row says, beside its names and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) score: Option<Score>,
    pub(super) rating: Option<Rating>,
    /// Score cells that were looked at and do not read.
    pub(super) unreadable_scores: u64,
}

impl Finding {
    /// The finding of a row; `None` when the row does not count.
    pub(super) fn read(row: &impl Cells) -> Option<Self> {
        if !is_open(row.cell(Column::FindingStatus)) {
            return None;
        }
        let (mut score, mut unreadable_scores) = (None, 0);
        for column in [Column::Score, Column::NvdScore, Column::VendorScore] {
            let cell = row.cell(column).trim_ascii();
            score = Score::read(cell);
            if score.is_some() {
                break;
            }
            unreadable_scores += u64::from(!cell.is_empty());
        }
        let rated = |column| Rating::read(row.cell(column));
        let rating = rated(Column::CvssSeverity)
            .or_else(|| score.and_then(Rating::of_score))
            .or_else(|| rated(Column::Severity))
            .or_else(|| rated(Column::VendorSeverity))
            .or_else(|| rated(Column::NvdSeverity));
        Some(Self {
            score,
            rating,
            unreadable_scores,
        })
    }
}

/// Whether a status counts: open, in progress or empty; case, spaces and underscores are ignored.
fn is_open(status: &[u8]) -> bool {
    let letters = || {
        status
            .iter()
            .filter(|byte| !matches!(byte, b' ' | b'_'))
            .map(u8::to_ascii_lowercase)
    };
    letters().eq(*b"open")
        || letters().eq(*b"inprogress")
        || status.trim_ascii().is_empty()
        || letters().next().is_none()
}

/// Whether a cell says yes: `true` in any case.
pub(super) fn is_true(cell: &[u8]) -> bool {
    cell.trim_ascii().eq_ignore_ascii_case(b"true")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(Vec<(Column, &'static str)>);

    impl Cells for Row {
        fn cell(&self, column: Column) -> &[u8] {
            self.0
                .iter()
                .find(|(name, _)| *name == column)
                .map_or(b"", |(_, cell)| cell.as_bytes())
        }
    }

    fn finding(cells: &[(Column, &'static str)]) -> Option<Finding> {
        Finding::read(&Row(cells.to_vec()))
    }

    #[test]
    fn open_findings_and_those_in_progress_count() {
        for status in ["Open", "IN_PROGRESS", "in progress", "inprogress", "", " "] {
            assert!(
                finding(&[(Column::FindingStatus, status)]).is_some(),
                "{status:?}"
            );
        }
        for status in ["Resolved", "REJECTED", "opened", "in-progress"] {
            assert!(
                finding(&[(Column::FindingStatus, status)]).is_none(),
                "{status:?}"
            );
        }
    }

    #[test]
    fn the_first_score_that_reads_counts_and_those_before_are_told() {
        let found = finding(&[
            (Column::Score, "n/a"),
            (Column::NvdScore, ""),
            (Column::VendorScore, "7,25"),
        ])
        .unwrap();
        assert_eq!(found.score, Score::from_tenths(73));
        assert_eq!(found.unreadable_scores, 1);
        assert_eq!(found.rating, Some(Rating::High));
        let first = finding(&[(Column::Score, "0"), (Column::NvdScore, "9.8")]).unwrap();
        assert_eq!((first.score, first.rating), (Score::from_tenths(0), None));
    }

    #[test]
    fn the_rating_is_the_first_that_says_something() {
        let cells = [
            (Column::CvssSeverity, "None"),
            (Column::Severity, "info"),
            (Column::VendorSeverity, "Medium"),
            (Column::NvdSeverity, "Critical"),
        ];
        assert_eq!(finding(&cells).unwrap().rating, Some(Rating::Medium));
        assert_eq!(
            finding(&[(Column::CvssSeverity, "LOW"), (Column::Score, "9.9")])
                .unwrap()
                .rating,
            Some(Rating::Low)
        );
    }
}
