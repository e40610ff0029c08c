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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::part::InPlace;
    use crate::pipeline::scan::Scanner;

    const HEADER: &str = "Name,FindingStatus,CVSSSeverity,Score,Severity,VendorSeverity,NVDScore,VendorScore,\
                          HasExploit,HasCisaKevExploit,AssetID,IpAddresses\n";

    fn with_row<T>(row: &str, look: impl FnOnce(&Row<'_>) -> T) -> T {
        let report = [HEADER, row].concat();
        let mut scanner = Scanner::new(InPlace::new(report.as_bytes(), 1000));
        let header = scanner.header(|record| {
            let header = Header::read(record)?;
            let columns = header.read_columns();
            Ok((header, columns))
        });
        let header = header.unwrap();
        let records = scanner.read_records(1).unwrap();
        look(&Row::new(records.iter().next().unwrap(), &header))
    }

    /// Whether a row counts, and how severe it is.
    fn judged(row: &str) -> (bool, Severity) {
        with_row(row, |row| (row.counts(), row.severity()))
    }

    #[test]
    fn open_findings_and_those_in_progress_count() {
        let counts = |status: &str| judged(&format!("x,{status},,,,,,,,,,")).0;
        for status in [
            "Open",
            "OPEN",
            "\"Open\"",
            "In Progress",
            "IN_PROGRESS",
            "inprogress",
            "",
            " _ ",
        ] {
            assert!(counts(status), "{status:?}");
        }
        for status in ["Resolved", "Rejected", "opened", "in-progress", "\u{e9}"] {
            assert!(!counts(status), "{status:?}");
        }
    }

    #[test]
    fn the_first_score_that_reads_counts_and_what_was_passed_over_is_counted() {
        for (row, tenths, rating, unreadable) in [
            ("x,,,6.95,,,9.9,,,,,", Some(70), Some(Rating::High), 0),
            ("x,,,n/a,,,\"9,1\",,,,,", Some(91), Some(Rating::Critical), 1),
            ("x,,,,,,,5,,,,", Some(50), Some(Rating::Medium), 0),
            ("x,,,-,,,11,?,,,,", None, None, 3),
            ("x,,,0,,,9.9,,,,,", Some(0), None, 0),
        ] {
            let severity = judged(row).1;
            let score = tenths.and_then(Score::from_tenths);
            assert_eq!(
                severity,
                Severity {
                    score,
                    rating,
                    unreadable
                },
                "{row:?}"
            );
        }
    }

    #[test]
    fn the_rating_is_the_first_that_says_something() {
        for (row, rating) in [
            ("x,,low,9.8,High,High,,,,,,", Some(Rating::Low)),
            ("x,,None,9.8,Low,Low,,,,,,", Some(Rating::Critical)),
            ("x,,Info,,MEDIUM,Low,,,,,,", Some(Rating::Medium)),
            ("x,,,0.0,Informational,High,,,,,,", Some(Rating::High)),
            ("x,,,,,,,,,,,", None),
        ] {
            assert_eq!(judged(row).1.rating, rating, "{row:?}");
        }
    }

    #[test]
    fn all_cves_of_a_name_are_ranked_by_their_row() {
        let row = "\"see \"\"CVE-2024-0001\"\", cve-2024-0002\",,Critical,9.8,,,,,TRUE,no,,";
        let mut cves = Vec::new();
        with_row(row, |row| row.for_each_cve(row.severity(), |cve| cves.push(cve)));
        let ids: Vec<_> = cves.iter().map(|cve| cve.id().to_string()).collect();
        assert_eq!(ids, ["CVE-2024-0001", "CVE-2024-0002"]);
        assert!(
            cves.iter()
                .all(|cve| cve.has_exploit() && !cve.is_known_exploited())
        );
    }
}
