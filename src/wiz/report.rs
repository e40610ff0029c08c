//! Reports and their runs: what Wiz says of them, read leniently and checked once.

use std::fmt;

use serde::Deserialize;
use url::Url;

use super::request::REPORT_TYPE;
use crate::domain::{ReportId, ReportRunId, Timestamp};
use crate::outgoing::one_line;

/// How much of Wiz's words on a failure is passed on.
const MAX_REASON_CHARS: usize = 300;

/// A report in Wiz.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its id.
    pub id: ReportId,
    /// Its name, which others can have too.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its last run. Right after a rerun this may still be the one before.
    pub last_run: Option<ReportRun>,
}

/// A report that was found by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundReport {
    /// The oldest of that name.
    pub report: Report,
    /// How many have exactly that name, at least 1; more are worth a warning.
    pub matches: usize,
}

/// One run of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRun {
    /// Its id.
    pub id: ReportRunId,
    /// How far it is.
    pub status: ReportRunStatus,
    /// The same in percent, 0 to 100.
    pub progress: u8,
    /// When it began.
    pub run_at: Timestamp,
    /// Why it failed, in Wiz's words.
    pub failed_reason: Option<String>,
    /// How many rows Wiz counts in it, where it tells.
    pub rows: Option<u64>,
    /// Where its file is, once it is complete.
    pub url: Option<ReportUrl>,
}

/// How far a run of a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportRunStatus {
    /// It waits for its turn.
    Queued,
    /// It is being made.
    InProgress,
    /// Its file is there.
    Completed,
    /// Wiz could not make it.
    Failed,
    /// Its file is gone.
    Expired,
}

/// The pre-signed URL of a report file: whoever knows it can read the file, so it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct ReportUrl(Url);

impl ReportUrl {
    /// The URL itself, for the download alone.
    pub(super) const fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for ReportUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReportUrl(…)")
    }
}

/// A member of an answer that does not read, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireReport {
    id: String,
    name: String,
    created_at: String,
    #[serde(rename = "type")]
    report_type: Option<WireReportType>,
    last_run: Option<WireReportRun>,
}

#[derive(Deserialize)]
struct WireReportType {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireReportRun {
    id: String,
    status: String,
    progress: Option<f64>,
    run_at: String,
    url: Option<String>,
    failed_reason: Option<String>,
    results: Option<WireResults>,
}

#[derive(Deserialize)]
struct WireResults {
    count: Option<i64>,
}

impl WireReport {
    /// Whether this is a report of vulnerability findings with exactly this name.
    pub(super) fn is(&self, name: &str) -> bool {
        let is_ours = |word: &Option<String>| {
            word.as_ref()
                .is_some_and(|word| word.eq_ignore_ascii_case(REPORT_TYPE))
        };
        self.name == name
            && self
                .report_type
                .as_ref()
                .is_some_and(|report_type| is_ours(&report_type.id) || is_ours(&report_type.name))
    }
}

impl TryFrom<WireReport> for Report {
    type Error = Unreadable;

    fn try_from(wire: WireReport) -> Result<Self, Unreadable> {
        Ok(Self {
            id: ReportId::new(wire.id),
            name: wire.name,
            created_at: wire.created_at.parse().map_err(|_| Unreadable("createdAt"))?,
            last_run: wire.last_run.map(ReportRun::try_from).transpose()?,
        })
    }
}

impl TryFrom<WireReportRun> for ReportRun {
    type Error = Unreadable;

    fn try_from(wire: WireReportRun) -> Result<Self, Unreadable> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=100 before"
        )]
        let progress = wire.progress.unwrap_or(0.0).clamp(0.0, 100.0) as u8;
        let url = wire.url.filter(|url| !url.is_empty());
        Ok(Self {
            id: ReportRunId::new(wire.id),
            status: match wire.status.as_str() {
                "QUEUED" => ReportRunStatus::Queued,
                "IN_PROGRESS" => ReportRunStatus::InProgress,
                "COMPLETED" => ReportRunStatus::Completed,
                "FAILED" => ReportRunStatus::Failed,
                "EXPIRED" => ReportRunStatus::Expired,
                _ => return Err(Unreadable("status")),
            },
            progress,
            run_at: wire.run_at.parse().map_err(|_| Unreadable("runAt"))?,
            failed_reason: wire
                .failed_reason
                .map(|reason| one_line(&reason, MAX_REASON_CHARS))
                .filter(|reason| !reason.is_empty()),
            rows: wire
                .results
                .and_then(|results| results.count)
                .and_then(|count| u64::try_from(count).ok()),
            url: url
                .map(|url| url.parse().map(ReportUrl).map_err(|_| Unreadable("url")))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_reads_with_everything_optional_missing() {
        let read = |value| ReportRun::try_from(serde_json::from_value::<WireReportRun>(value).unwrap());
        let run =
            read(json!({"id": "r", "status": "QUEUED", "progress": 0, "runAt": "2026-11-24T04:04:50Z"}))
                .unwrap();
        assert_eq!(
            (run.status, run.rows, run.url),
            (ReportRunStatus::Queued, None, None)
        );

        let full = json!({
            "id": "r", "status": "COMPLETED", "progress": 130, "runAt": "2026-11-24T04:04:50.5+01:00",
            "url": "https://files.example/r?sig=planted", "failedReason": " ", "results": {"count": 3},
        });
        let run = read(full).unwrap();
        assert_eq!(
            (run.progress, run.rows, run.failed_reason.as_deref()),
            (100, Some(3), None)
        );
        assert!(!format!("{run:?}").contains("planted"));
        let wrong = json!({"id": "r", "status": "SLEEPING", "progress": 0, "runAt": "2026-11-24T04:04:50Z"});
        assert_eq!(read(wrong), Err(Unreadable("status")));
        // the results of other types of reports select nothing
        let other = json!({"id": "r", "status": "FAILED", "progress": 0, "runAt": "2026-11-24T04:04:50Z", "results": {}});
        assert_eq!(read(other).unwrap().rows, None);
    }

    #[test]
    fn a_report_is_known_by_its_exact_name_and_type() {
        let report = |name: &str, report_type: serde_json::Value| {
            serde_json::from_value::<WireReport>(json!({
                "id": "1", "name": name, "createdAt": "2026-11-24T04:04:50Z", "type": report_type, "lastRun": null,
            }))
            .unwrap()
        };
        let ours = json!({"id": "VULNERABILITIES", "name": "Vulnerabilities"});
        assert!(report("a", ours.clone()).is("a"));
        assert!(!report("ab", ours.clone()).is("a") && !report("A", ours).is("a"));
        assert!(!report("a", json!({"id": "ISSUES", "name": "Issues"})).is("a"));
        assert!(!report("a", json!(null)).is("a"));
    }
}
