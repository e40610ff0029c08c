//! The calls of Wiz's GraphQL API that the service makes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::Problem;
use super::patience::{Patience, WaitListener};
use super::queries::{self, Query};
use super::report::{Unreadable, WireReport, WireReportRun};
use super::request::REPORT_TYPE;
use super::{FoundReport, Report, ReportRequest, ReportRun, WizError, answer, token};
use crate::clock::Clock;
use crate::domain::{BearerToken, ReportId, ReportRunId, WizCredentials};
use crate::outgoing::{Call, Outgoing, RateLimiter, Repeat, TokenCache};

/// Wiz's gateway cuts a request at about 120 s; giving up before gives an error that says so.
const TIMEOUT: Duration = Duration::from_secs(115);

/// Reports looked at per page, and pages at most: a search for a full name gives a handful.
const REPORTS_PER_PAGE: u32 = 100;
const MAX_PAGES: usize = 50;

/// The runs among which the newest is chosen; they come newest first, but nothing promises it.
const RUNS_LOOKED_AT: u32 = 20;

/// Asks one Wiz tenant as one service account. Cheap to clone.
#[derive(Clone)]
pub struct WizClient {
    shared: Arc<Inner>,
    /// Who hears of waits. Without one nothing waits because Wiz asked to slow down: that is an error then.
    listener: Option<WaitListener>,
}

struct Inner {
    outgoing: Outgoing,
    clock: Clock,
    credentials: WizCredentials,
    limiter: Arc<RateLimiter>,
    token: Arc<TokenCache>,
}

#[derive(Serialize)]
struct Body<'a, V> {
    query: &'a str,
    variables: &'a V,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    nodes: Option<Vec<T>>,
    page_info: Option<PageInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Reports {
    reports: Page<WireReport>,
}

#[derive(Deserialize)]
struct OneReport {
    report: Option<WireReport>,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    vulnerability_findings: Page<Value>,
}

/// The payload of each of the three mutations.
#[derive(Deserialize)]
struct Changed {
    #[serde(alias = "createReport", alias = "updateReport", alias = "rerunReport")]
    payload: Option<OneReport>,
}

impl WizClient {
    pub(super) fn new(
        outgoing: Outgoing,
        clock: Clock,
        credentials: WizCredentials,
        limiter: Arc<RateLimiter>,
        token: Arc<TokenCache>,
    ) -> Self {
        let shared = Arc::new(Inner {
            outgoing,
            clock,
            credentials,
            limiter,
            token,
        });
        Self {
            shared,
            listener: None,
        }
    }

    /// The same client, but one that waits when Wiz asks to slow down and then goes on, and tells of it. Otherwise that is
    /// an error of the call.
    #[must_use]
    pub fn patient(self, listener: WaitListener) -> Self {
        Self {
            listener: Some(listener),
            ..self
        }
    }

    pub(super) fn limiter(&self) -> &RateLimiter {
        &self.shared.limiter
    }

    pub(super) const fn listener(&self) -> Option<&WaitListener> {
        self.listener.as_ref()
    }

    pub(super) fn outgoing(&self) -> &Outgoing {
        &self.shared.outgoing
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Makes sure that there is a token.
    ///
    /// # Errors
    /// When the sign-in fails.
    pub async fn sign_in(&self) -> Result<(), WizError> {
        let mut patience = Patience::new(self);
        loop {
            patience.wait().await;
            let result = self.token(None).await.map(drop);
            if !patience.goes_on(&result, Repeat::Harmless) {
                return result;
            }
        }
    }

    /// Signs in even when there is a token: a check of the credentials.
    ///
    /// # Errors
    /// When the sign-in fails.
    pub async fn sign_in_anew(&self) -> Result<(), WizError> {
        self.shared.token.forget().await;
        self.sign_in().await
    }

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
        let query = &queries::LIST_REPORT_RUNS;
        let variables = json!({ "first": RUNS_LOOKED_AT, "filterBy": { "reportId": id } });
        let runs = match known(self.ask(query, &variables).await) {
            Ok(Some(ReportRuns { report_runs })) => report_runs.nodes.unwrap_or_default(),
            Ok(None) => Vec::new(),
            Err(error) if error.is_bad_user_input() => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut newest: Option<ReportRun> = None;
        for run in runs {
            let run: ReportRun = read(query, run)?;
            // Of two that began at once, the one listed first is the newer.
            if newest.as_ref().is_none_or(|newest| run.run_at > newest.run_at) {
                newest = Some(run);
            }
        }
        match newest {
            Some(newest) => Ok(Some(newest)),
            None => Ok(self.report(id).await?.and_then(|report| report.last_run)),
        }
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

    /// Whether the service account sees any vulnerability finding.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or refuses, as it does without `read:vulnerabilities`.
    pub async fn sees_finding(&self) -> Result<bool, WizError> {
        let variables = json!({ "first": 1, "filterBy": { "status": ["OPEN", "IN_PROGRESS"] } });
        let findings: Findings = self.ask(&queries::SEE_FINDING, &variables).await?;
        Ok(findings
            .vulnerability_findings
            .nodes
            .is_some_and(|nodes| !nodes.is_empty()))
    }

    async fn change(&self, query: &'static Query, variables: &Value) -> Result<Report, WizError> {
        let Changed { payload } = self.ask(query, variables).await?;
        match payload.and_then(|payload| payload.report) {
            Some(report) => read(query, report),
            None => Err(Problem::Unreadable("no report in the answer".into()).when(query.purpose)),
        }
    }

    /// Asks as often as Wiz asks to slow down, within the client's patience.
    async fn ask<T: DeserializeOwned>(
        &self,
        query: &'static Query,
        variables: &Value,
    ) -> Result<T, WizError> {
        let mut patience = Patience::new(self);
        loop {
            patience.wait().await;
            let result = self.ask_signed_in(query, variables).await;
            if !patience.goes_on(&result, query.repeat) {
                return result;
            }
        }
    }

    /// Asks, and once more with a fresh token when the token is refused: nothing was done then.
    async fn ask_signed_in<T: DeserializeOwned>(
        &self,
        query: &'static Query,
        variables: &Value,
    ) -> Result<T, WizError> {
        let token = self.token(None).await?;
        match self.ask_with(query, variables, &token).await {
            Err(error) if error.is_token_refused() => {
                let token = self.token(Some(&token)).await?;
                self.ask_with(query, variables, &token).await
            }
            answered => answered,
        }
    }

    async fn ask_with<T: DeserializeOwned>(
        &self,
        query: &'static Query,
        variables: &Value,
        token: &BearerToken,
    ) -> Result<T, WizError> {
        let url = self.shared.credentials.connection.api_endpoint.url().clone();
        let body = Body {
            query: query.text,
            variables,
        };
        let call = Call::new(query.name, Method::POST, url, TIMEOUT)
            .repeat(query.repeat)
            .limited(&self.shared.limiter)
            .json(&body)
            .bearer(token)
            .ok_or_else(|| Problem::NoToken.when(query.purpose))?;
        let answer = self.shared.outgoing.send(&call).await;
        let answer = answer.map_err(|error| Problem::from(error).when(query.purpose))?;
        answer::read(query, &answer, token)
    }

    async fn token(&self, refused: Option<&BearerToken>) -> Result<BearerToken, WizError> {
        let shared = &self.shared;
        let sign_in = async || token::sign_in(&shared.outgoing, &shared.limiter, &shared.credentials).await;
        shared.token.token(refused, sign_in).await
    }
}

impl fmt::Debug for WizClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WizClient")
            .field(&self.shared.credentials.connection)
            .finish()
    }
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
