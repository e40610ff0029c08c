//! The calls that concern reports and their runs.

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Page;
use super::error::Problem;
use super::queries::{self, Query};
use super::report::{Unreadable, WireReport, WireReportRun};
use super::request::REPORT_TYPE;
use super::{FoundReport, Report, ReportRequest, ReportRun, ReportRunStatus, WizClient, WizError};
use crate::domain::{ReportId, ReportRunId};

/// Reports looked at per page, and pages at most: a search for a full name gives a handful.
const REPORTS_PER_PAGE: u32 = 100;
const MAX_PAGES: usize = 50;

/// The runs among which the newest is chosen; they come newest first, but nothing promises it.
const RUNS_LOOKED_AT: u32 = 20;

#[derive(Deserialize)]
struct Reports {
    reports: Page<WireReport>,
}

#[derive(Deserialize)]
struct OneReport {
    report: Option<WireReport>,
}

#[derive(Deserialize)]
struct LastSuccess {
    report: Option<LastSuccessOfReport>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastSuccessOfReport {
    last_successful_run: Option<WireReportRun>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReportRuns {
    report_runs: Page<WireReportRun>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OneReportRun {
    report_run: Option<WireReportRun>,
}

/// The payload of each of the three mutations.
#[derive(Deserialize)]
struct Changed {
    #[serde(alias = "createReport", alias = "updateReport", alias = "rerunReport")]
    payload: Option<OneReport>,
}

impl WizClient {
    /// The report of exactly this name: the oldest, and how many there are. `None` when there is none.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or refuses.
    pub async fn find_report(&self, name: &str) -> Result<Option<FoundReport>, WizError> {
        let query = &queries::FIND_REPORTS;
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let variables = json!({
                "first": REPORTS_PER_PAGE,
                "after": after,
                "filterBy": { "search": name, "type": [REPORT_TYPE] },
            });
            let Reports { reports } = self.ask(query, &variables).await?;
            // The search finds parts of names, and any case.
            let exact = reports
                .nodes
                .into_iter()
                .flatten()
                .filter(|report| report.is(name));
            for report in exact {
                found.push(read::<_, Report>(query, report)?);
            }
            match reports.page_info {
                Some(page) if page.has_next_page => {
                    if page.end_cursor.is_none() || page.end_cursor == after {
                        return Err(Problem::Unreadable("a page without a way on".into()).when(query.purpose));
                    }
                    after = page.end_cursor;
                }
                _ => {
                    let matches = found.len();
                    let oldest = found.into_iter().min_by_key(|report| report.created_at);
                    return Ok(oldest.map(|report| FoundReport { report, matches }));
                }
            }
        }
        Err(Problem::Unreadable("more reports than can be".into()).when(query.purpose))
    }

    /// The report with this id; `None` when Wiz does not know it any more.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or refuses.
    pub async fn report(&self, id: &ReportId) -> Result<Option<Report>, WizError> {
        let query = &queries::READ_REPORT;
        let answer = self.ask(query, &json!({ "id": id })).await;
        let found = known(answer)?.and_then(|OneReport { report }| report);
        found.map(|report| read(query, report)).transpose()
    }

    /// Makes a report, which Wiz runs at once. After an error it may exist all the same: look for it before the next try.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or refuses; [`WizError::is_bad_user_input`] tells of a column that it does not know.
    pub async fn create_report(&self, request: &ReportRequest) -> Result<Report, WizError> {
        let variables = json!({ "input": request.created() });
        self.change(&queries::CREATE_REPORT, &variables).await
    }

    /// Gives a report other parameters. Its runs until then stay as they are.
    ///
    /// # Errors
    /// As [`WizClient::create_report`]; [`WizError::is_not_found`] when the report is gone.
    pub async fn update_report(&self, id: &ReportId, request: &ReportRequest) -> Result<Report, WizError> {
        let variables = json!({ "input": { "id": id, "override": request.changed() } });
        self.change(&queries::UPDATE_REPORT, &variables).await
    }

    /// Runs a report again. The last run in the answer may still be the one before.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or refuses; [`WizError::is_not_found`] when the report is gone.
    pub async fn rerun_report(&self, id: &ReportId) -> Result<Report, WizError> {
        let variables = json!({ "input": { "id": id } });
        self.change(&queries::RERUN_REPORT, &variables).await
    }

    /// The newest run of a report: of its list of runs, or its last run where that list is empty or not to be had.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or refuses.
    pub async fn newest_report_run(&self, id: &ReportId) -> Result<Option<ReportRun>, WizError> {
        match newest(self.listed_runs(id).await?) {
            Some(newest) => Ok(Some(newest)),
            None => Ok(self.report(id).await?.and_then(|report| report.last_run)),
        }
    }

    /// The newest run of a report that has its file: of its list of runs, or its last successful run where none of that list
    /// has, or the list is not to be had.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or refuses.
    pub async fn last_completed_run(&self, id: &ReportId) -> Result<Option<ReportRun>, WizError> {
        let completed = |run: &ReportRun| run.status == ReportRunStatus::Completed;
        let mut runs = self.listed_runs(id).await?;
        runs.retain(completed);
        if let Some(newest) = newest(runs) {
            return Ok(Some(newest));
        }
        let query = &queries::READ_LAST_SUCCESS;
        let answer = self.ask(query, &json!({ "id": id })).await;
        let found = known(answer)?.and_then(|LastSuccess { report }| report?.last_successful_run);
        let run: Option<ReportRun> = found.map(|run| read(query, run)).transpose()?;
        Ok(run.filter(completed))
    }

    /// The newest runs of a report, as they are listed; none when Wiz does not list them.
    async fn listed_runs(&self, id: &ReportId) -> Result<Vec<ReportRun>, WizError> {
        let query = &queries::LIST_REPORT_RUNS;
        let variables = json!({ "first": RUNS_LOOKED_AT, "filterBy": { "reportId": id } });
        let runs = match known(self.ask(query, &variables).await) {
            Ok(Some(ReportRuns { report_runs })) => report_runs.nodes.unwrap_or_default(),
            Ok(None) => Vec::new(),
            Err(error) if error.is_bad_user_input() => Vec::new(),
            Err(error) => return Err(error),
        };
        runs.into_iter().map(|run| read(query, run)).collect()
    }

    /// One run of a report; `None` when Wiz does not know it any more.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or refuses.
    pub async fn report_run(&self, id: &ReportRunId) -> Result<Option<ReportRun>, WizError> {
        let query = &queries::READ_REPORT_RUN;
        let answer = self.ask(query, &json!({ "id": id })).await;
        let found = known(answer)?.and_then(|OneReportRun { report_run }| report_run);
        found.map(|run| read(query, run)).transpose()
    }

    async fn change(&self, query: &'static Query, variables: &Value) -> Result<Report, WizError> {
        let Changed { payload } = self.ask(query, variables).await?;
        match payload.and_then(|payload| payload.report) {
            Some(report) => read(query, report),
            None => Err(Problem::Unreadable("no report in the answer".into()).when(query.purpose)),
        }
    }
}

/// The newest of some runs; of two that began at once, the one listed first is the newer.
fn newest(runs: Vec<ReportRun>) -> Option<ReportRun> {
    let newer = |newest: ReportRun, run: ReportRun| if run.run_at > newest.run_at { run } else { newest };
    runs.into_iter().reduce(newer)
}

/// What was asked for; `None` when Wiz does not know it.
fn known<T>(answer: Result<T, WizError>) -> Result<Option<T>, WizError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn read<W, T: TryFrom<W, Error = Unreadable>>(query: &Query, wire: W) -> Result<T, WizError> {
    T::try_from(wire)
        .map_err(|Unreadable(member)| Problem::Unreadable(format!("its {member}")).when(query.purpose))
}
