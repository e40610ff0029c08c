//! The approval of what a run kept back.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};

use super::envelope::{Answer, RunEnvelope};
use super::extract::{Id, Query};
use super::problem::{Problem, ProblemBody};
use super::refusals::Refusals;
use super::run_calls::NoRecord;
use super::state::AppState;
use crate::domain::RunId;
use crate::store::Actor;

/// Approves what a held run keeps back: a run of its own applies it. `run` is that one.
#[utoipa::path(
    post, path = "/runs/{run}/approve", operation_id = "approve_run", tag = "runs",
    security(("api_key" = ["operator"])),
    params(("run" = RunId, Path, description = "The held run")),
    responses(
        (status = 202, description = "A run applies it; `data` is empty", body = RunEnvelope<Vec<NoRecord>>,
            headers(("location" = String, description = "Where that run is"))),
        Refusals,
        (status = 404, description = "There is no such run, or its integration is gone", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 409, description = "The run keeps nothing back any more, or another run is under way", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn approve(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    Id(id): Id<RunId>,
    query: Query,
) -> Result<Answer<RunEnvelope<Vec<NoRecord>>>, Problem> {
    query.done()?;
    let started = app.store.approve_run(id, actor, app.clock.now()).await?;
    app.desk.run_queued();
    app.desk.schedule_changed();
    let location = format!("/api/v1/runs/{}", started.record.id);
    Ok(
        Answer::with_run(StatusCode::ACCEPTED, Vec::new(), Some(started.record))
            .header(header::LOCATION, location),
    )
}
