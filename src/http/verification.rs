//! `…/verify`: a run that compares the ledger with Fusion.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};

use super::envelope::{Answer, RunEnvelope};
use super::extract::{Id, Query};
use super::problem::{Problem, ProblemBody};
use super::refusals::{Missing, Refusals};
use super::run_calls::NoRecord;
use super::state::AppState;
use crate::domain::IntegrationId;
use crate::store::Actor;

/// Starts a run that compares what Fusion holds with the ledger, or joins the one under way. What differs is the run's plan,
/// and in doubt from then on; labels in Fusion stay as they are, until the next run makes them right. With `?repair=true`
/// this one does.
#[utoipa::path(
    post, path = "/integrations/context/{id}/verify", operation_id = "verify_labels", tag = "labels",
    security(("api_key" = ["operator"])),
    params(
        ("id" = IntegrationId, Path, description = "The integration"),
        ("repair" = Option<bool>, Query, description = "Write right what differs; by default false"),
    ),
    responses(
        (status = 202, description = "The run is under way; `data` is empty", body = RunEnvelope<Vec<NoRecord>>,
            headers(("location" = String, description = "Where the run is"))),
        Refusals,
        Missing,
        (status = 409, description = "A run that does something else is under way", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn verify(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    Id(id): Id<IntegrationId>,
    mut query: Query,
) -> Result<Answer<RunEnvelope<Vec<NoRecord>>>, Problem> {
    let repair = query.switch("repair");
    query.done()?;
    let started = app
        .store
        .start_verification(id, repair, actor, app.clock.now())
        .await?;
    app.desk.run_queued();
    app.desk.schedule_changed();
    let location = format!("/api/v1/runs/{}", started.record.id);
    Ok(
        Answer::with_run(StatusCode::ACCEPTED, Vec::new(), Some(started.record))
            .header(header::LOCATION, location),
    )
}
