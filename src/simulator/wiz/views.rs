//! What tests and people see of the account's reports.

use serde::Serialize;

use crate::domain::Timestamp;
use crate::simulator::shared::State;

/// A report as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The columns that it was asked for; empty: the default header.
    pub columns: Vec<String>,
    /// `GZIP` or `NONE`.
    pub compression: String,
    /// Its runs, the oldest first.
    pub runs: Vec<RunView>,
}

/// A run of a report as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunView {
    /// Its id.
    pub id: String,
    /// When it was started.
    pub run_at: Timestamp,
    /// `QUEUED`, `IN_PROGRESS`, `COMPLETED`, `FAILED` or `EXPIRED`.
    pub status: &'static str,
    /// The size of its file; null until it is made.
    pub bytes: Option<u64>,
    /// The rows of its file; null until it is made.
    pub rows: Option<u64>,
}

/// All reports, the oldest first.
pub(in crate::simulator) fn report_views(state: &State, now: Timestamp) -> Vec<ReportView> {
    let reports = &state.wiz.reports;
    let run_view = |id: &String| {
        let run = reports.run(id)?;
        let file = run.file.made().and_then(Result::ok);
        Some(RunView {
            id: id.clone(),
            run_at: run.started_at,
            status: run.standing(now).status,
            bytes: file.as_ref().map(|file| file.bytes),
            rows: file.as_ref().and_then(|file| file.rows),
        })
    };
    let view = |(id, report): (&String, &super::reports::Report)| ReportView {
        id: id.clone(),
        name: report.spec.name.clone(),
        columns: report
            .spec
            .asked
            .columns
            .iter()
            .map(ToString::to_string)
            .collect(),
        compression: report.spec.compression.clone(),
        runs: report.runs.iter().filter_map(run_view).collect(),
    };
    reports.all().map(view).collect()
}
