//! `/integrations/context/{id}/run`: the run and the dry run, in the shapes of Fusion's own calls.
//!
//! Fusion's calls wait for the run to end, for hours where it takes hours. These answer at once, or after as long as the
//! caller prefers to wait.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Answer, RunEnvelope};
use super::extract::{Id, Query, preferred_wait};
use super::problem::{Problem, ProblemBody, ProblemName};
use super::records::LabelRecordView;
use super::refusals::{Missing, Refusals};
use super::state::AppState;
use crate::domain::{IntegrationId, ReportChoice, RunFlags, RunId, RunRecord, RunState, Trigger};
use crate::store::{Actor, RunStart};
use crate::worker::wanted_records;

/// How many label records an answer carries at most, as Fusion's own.
const MAX_RECORDS: usize = 1_000;

/// How old a dry run may be to answer for a new one.
const DRY_RUN_LIFE: Duration = Duration::from_hours(24);

/// The element of an array that is always empty.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NoRecord {}

/// Starts a run, or joins the one under way (the Portal's *… → Run*). Answers at once with 202, or with 200 and the labels
/// when the run ends within `Prefer: wait`.
#[utoipa::path(
    put, path = "/integrations/context/{id}/run", operation_id = "start_run", tag = "runs",
    security(("api_key" = ["operator"])),
    params(
        ("id" = IntegrationId, Path, description = "The integration"),
        ("full" = Option<bool>, Query, description = "Send every wanted pair, whatever the ledger says"),
        ("report" = Option<ReportChoice>, Query, description = "`rerun` (the default), or `last`: read the last report run \
            that completed, without a new one"),
        ("if_running" = Option<String>, Query, description = "`join` (the default) or `reject`"),
        ("prefer" = Option<String>, Header, description = "`wait=S`: wait up to S seconds, at most 60, for the end"),
    ),
    responses(
        (status = 200, description = "The run ended in time; `data` holds the labels wanted, the first 1000, and nothing \
            when it did not succeed", body = RunEnvelope<Vec<LabelRecordView>>),
        (status = 202, description = "The run is under way; `data` is empty", body = RunEnvelope<Vec<LabelRecordView>>,
            headers(("location" = String, description = "Where the run is"))),
        Refusals,
        Missing,
        (status = 409, description = "A run is under way, and it was not to be joined", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn start(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    Id(id): Id<IntegrationId>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Answer<RunEnvelope<Vec<LabelRecordView>>>, Problem> {
    let full = query.switch("full");
    let report = report_choice(&mut query);
    let reject = query.take("if_running", |value| match value {
        "join" => Ok(false),
        "reject" => Ok(true),
        _ => Err("must be `join` or `reject`".to_owned()),
    });
    query.done()?;
    let flags = RunFlags {
        dry_run: false,
        full,
        report,
    };
    let start = RunStart {
        may_join: !reject.unwrap_or_default(),
        ..RunStart::new(actor, Trigger::Manual, flags)
    };
    let run = begin(&app, id, start).await?;
    under_way(&app, run, &headers).await
}

/// The labels that a run would import now: by a finished dry run of the last 24 hours and the same settings, else by a new
/// one that this call starts.
#[utoipa::path(
    get, path = "/integrations/context/{id}/run", operation_id = "start_dry_run", tag = "runs",
    security(("api_key" = ["operator"])),
    params(
        ("id" = IntegrationId, Path, description = "The integration"),
        ("fresh" = Option<bool>, Query, description = "Pass over a finished dry run"),
        ("report" = Option<ReportChoice>, Query, description = "`rerun` (the default), or `last`: read the last report run \
            that completed, without a new one"),
        ("prefer" = Option<String>, Header, description = "`wait=S`: wait up to S seconds, at most 60, for the end"),
    ),
    responses(
        (status = 200, description = "The labels that would be imported, the first 1000",
            body = RunEnvelope<Vec<LabelRecordView>>),
        (status = 202, description = "A run is under way; `data` is empty", body = RunEnvelope<Vec<LabelRecordView>>,
            headers(("location" = String, description = "Where the run is"))),
        Refusals,
        Missing,
        (status = 405, description = "HEAD is not served here, for this call starts a run", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "A run under way does something else, or is just coming to its end", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn start_dry(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    Id(id): Id<IntegrationId>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Answer<RunEnvelope<Vec<LabelRecordView>>>, Problem> {
    let fresh = query.switch("fresh");
    let report = report_choice(&mut query);
    query.done()?;
    let integration = app.store.integration(id).await?;
    let since = crate::domain::Timestamp::from_millis(
        app.clock.now().as_millis() - i64::try_from(DRY_RUN_LIFE.as_millis()).unwrap_or(i64::MAX),
    );
    let recent = app.store.recent_dry_run(id, integration.tag, since).await?;
    // Who wants a new report is not served with one that may be older than the dry run.
    let serves = |run: &RunRecord| report == ReportChoice::Last || run.report_choice == ReportChoice::Rerun;
    if let Some(run) = recent.filter(|run| !fresh && serves(run)) {
        return ended(&app, run).await;
    }
    let flags = RunFlags {
        dry_run: true,
        full: false,
        report,
    };
    let run = begin(&app, id, RunStart::new(actor, Trigger::Manual, flags)).await?;
    under_way(&app, run, &headers).await
}

/// HEAD would start a dry run as GET does, and tell nothing.
pub(super) async fn no_head() -> impl IntoResponse {
    let problem = Problem::new(
        ProblemName::MethodNotAllowed,
        "This call starts a run, so HEAD is not served. Use GET, or read the status.",
    );
    ([(header::ALLOW, "GET,PUT,OPTIONS")], problem)
}

fn report_choice(query: &mut Query) -> ReportChoice {
    let read = |word: &str| ReportChoice::read(word).ok_or_else(|| "must be `rerun` or `last`".to_owned());
    query.take("report", read).unwrap_or_default()
}

async fn begin(app: &AppState, id: IntegrationId, start: RunStart) -> Result<RunRecord, Problem> {
    let started = app.store.start_run(id, &start, app.clock.now()).await?;
    app.desk.run_queued();
    app.desk.schedule_changed();
    Ok(started.record)
}

/// Waits for the end of a run as long as the caller prefers.
async fn under_way(
    app: &AppState,
    run: RunRecord,
    headers: &HeaderMap,
) -> Result<Answer<RunEnvelope<Vec<LabelRecordView>>>, Problem> {
    let wait = preferred_wait(headers);
    let run = match wait {
        Some(wait) => wait_for_end(app, run.id, wait).await?,
        None => run,
    };
    let answer = if run.state.is_final() {
        ended(app, run).await?
    } else {
        let location = format!("/api/v1/runs/{}", run.id);
        Answer::with_run(StatusCode::ACCEPTED, Vec::new(), Some(run)).header(header::LOCATION, location)
    };
    Ok(match wait {
        Some(wait) => answer.header(
            HeaderName::from_static("preference-applied"),
            format!("wait={}", wait.as_secs()),
        ),
        None => answer,
    })
}

pub(super) async fn wait_for_end(app: &AppState, id: RunId, wait: Duration) -> Result<RunRecord, Problem> {
    let until = app.clock.sleep_until(app.clock.now() + wait);
    tokio::pin!(until);
    let mut ends = app.desk.ended_runs();
    let mut waiting = true;
    loop {
        let run = app.store.run(id).await?;
        if run.state.is_final() || !waiting {
            return Ok(run);
        }
        tokio::select! {
            () = &mut until => waiting = false,
            () = app.ending.cancelled() => waiting = false,
            // An error says that the listener lagged behind; the next look into the store makes up for it.
            _ = ends.recv() => {}
        }
    }
}

/// The answer of an ended run: the labels wanted, or nothing when it did not come so far.
async fn ended(app: &AppState, run: RunRecord) -> Result<Answer<RunEnvelope<Vec<LabelRecordView>>>, Problem> {
    let records = if run.state == RunState::Succeeded {
        let own = if run.dry_run {
            app.store.facts_of_dry_run(run.id).await?
        } else {
            None
        };
        wanted_records(&app.store, run.integration, own, MAX_RECORDS).await?
    } else {
        Vec::new()
    };
    let records = records.iter().map(LabelRecordView::new).collect();
    Ok(Answer::with_run(StatusCode::OK, records, Some(run)))
}
