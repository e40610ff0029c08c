//! `/runs`: the history of runs, and their cancelling.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};

use super::envelope::{Answer, Envelope, RunEnvelope};
use super::extract::{Id, Query};
use super::paging::Paging;
use super::problem::{Problem, ProblemBody};
use super::refusals::{Missing, Refusals};
use super::run_calls::NoRecord;
use super::state::AppState;
use crate::domain::{IntegrationId, RunId, RunRecord};
use crate::store::{Actor, CancelOrder, RunsQuery};

/// Lists the runs of all integrations, the newest first.
#[utoipa::path(
    get, path = "/runs", operation_id = "list_runs", tag = "runs",
    security(("api_key" = ["readonly"])),
    params(
        ("limit" = Option<u32>, Query, description = "At most so many; 1 to 1000, by default 100"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "The runs", body = Envelope<Vec<RunRecord>>),
        Refusals,
    ),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    query: Query,
) -> Result<Answer<Envelope<Vec<RunRecord>>>, Problem> {
    page(&app, query, None).await
}

/// Lists the runs of an integration, the newest first; also after it was deleted.
#[utoipa::path(
    get, path = "/integrations/context/{id}/runs", operation_id = "list_integration_runs", tag = "runs",
    security(("api_key" = ["readonly"])),
    params(
        ("id" = IntegrationId, Path, description = "The integration"),
        ("limit" = Option<u32>, Query, description = "At most so many; 1 to 1000, by default 100"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "The runs", body = Envelope<Vec<RunRecord>>),
        Refusals,
        (status = 404, description = "There never was one", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list_of_integration(
    State(app): State<AppState>,
    Id(id): Id<IntegrationId>,
    query: Query,
) -> Result<Answer<Envelope<Vec<RunRecord>>>, Problem> {
    let ever = RunsQuery {
        integration: Some(id),
        before: None,
        limit: 1,
    };
    if app.store.runs(&ever).await?.is_empty() {
        app.store.integration(id).await?;
    }
    page(&app, query, Some(id)).await
}

/// Reads a run.
#[utoipa::path(
    get, path = "/runs/{run}", operation_id = "read_run", tag = "runs",
    security(("api_key" = ["readonly"])),
    params(("run" = RunId, Path, description = "The run")),
    responses(
        (status = 200, description = "The run", body = Envelope<RunRecord>),
        Refusals,
        Missing,
    ),
)]
pub(super) async fn read(
    State(app): State<AppState>,
    Id(id): Id<RunId>,
    query: Query,
) -> Result<Answer<Envelope<RunRecord>>, Problem> {
    query.done()?;
    Ok(Answer::one(app.store.run(id).await?))
}

/// Cancels a run. What was pushed stays and is in the ledger; the run does not go on.
#[utoipa::path(
    post, path = "/runs/{run}/cancel", operation_id = "cancel_run", tag = "runs",
    security(("api_key" = ["operator"])),
    params(("run" = RunId, Path, description = "The run")),
    responses(
        (status = 202, description = "It comes to an end", body = RunEnvelope<Vec<NoRecord>>,
            headers(("location" = String, description = "Where the run is"))),
        Refusals,
        Missing,
        (status = 409, description = "It has ended", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn cancel(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    Id(id): Id<RunId>,
    query: Query,
) -> Result<Answer<RunEnvelope<Vec<NoRecord>>>, Problem> {
    query.done()?;
    let order = CancelOrder::by(&actor, "asked for");
    let run = app.store.cancel_run(id, &order, app.clock.now()).await?;
    app.desk.cancel_work(id);
    if run.state.is_final() {
        app.desk.run_ended(id);
        app.metrics.run_ended(&run);
    } else {
        app.desk.run_moved(id);
    }
    let location = format!("/api/v1/runs/{id}");
    Ok(Answer::with_run(StatusCode::ACCEPTED, Vec::new(), Some(run)).header(header::LOCATION, location))
}

async fn page(
    app: &AppState,
    mut query: Query,
    integration: Option<IntegrationId>,
) -> Result<Answer<Envelope<Vec<RunRecord>>>, Problem> {
    let list = integration.map_or_else(|| "runs".to_owned(), |id| format!("runs of {id}"));
    let paging = Paging::take(&mut query, list, 100, |id| id.parse().ok());
    query.done()?;
    let mut runs = app
        .store
        .runs(&RunsQuery {
            integration,
            before: paging.after,
            limit: paging.with_next(),
        })
        .await?;
    let next = paging.cut(&mut runs, |run| run.id.to_string());
    Ok(Answer::page(runs, next))
}
