//! `/integrations/context/{id}/check`: whether an integration's connection would carry a run.

use axum::extract::State;

use super::envelope::{Answer, Envelope};
use super::extract::{Id, Query};
use super::problem::Problem;
use super::refusals::{Missing, Refusals};
use super::state::AppState;
use crate::domain::{ConnectionCheck, IntegrationId};

/// Tests the connection of an integration step by step: the sign-in at Wiz, what the service account may do and see, and
/// the sign-in at Fusion. Nothing is changed anywhere. Each step takes at most 20 seconds, the whole call at most 40.
#[utoipa::path(
    post, path = "/integrations/context/{id}/check", operation_id = "check_integration", tag = "integrations",
    security(("api_key" = ["operator"])),
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses(
        (status = 200, description = "What each step came to; `ok` is false when one failed", body = Envelope<ConnectionCheck>),
        Refusals,
        Missing,
    ),
)]
pub(super) async fn check(
    State(app): State<AppState>,
    Id(id): Id<IntegrationId>,
    query: Query,
) -> Result<Answer<Envelope<ConnectionCheck>>, Problem> {
    query.done()?;
    Ok(Answer::one(app.checker.check(id, &app.ending).await?))
}
