//! The deletion of integrations: at once, or after their labels.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::envelope::{Answer, RunEnvelope};
use super::extract::{Id, Query};
use super::integration_body::IntegrationView;
use super::negotiation::check_match;
use super::problem::{FieldError, Problem, ProblemBody, ProblemName};
use super::refusals::{Missing, Refusals, Stale};
use super::run_calls::{NoRecord, wait_for_end};
use super::state::AppState;
use crate::domain::IntegrationId;
use crate::store::{Actor, AuditAction, AuditEntry, StoreError};

/// How long a removal waits for the end of a run that it cancelled. Such a run ends within seconds.
const CANCELLED_RUN_ENDS_WITHIN: Duration = Duration::from_secs(15);

/// Deletes an integration. A run under way is cancelled; the labels in Fusion stay, runs and audit records too. With
/// `?labels=remove` a run removes the labels that no other integration wants first, and the integration is deleted when
/// that succeeds; until then it can neither be changed nor run.
#[utoipa::path(
    delete, path = "/integrations/context/{id}", operation_id = "delete_integration", tag = "integrations",
    security(("api_key" = ["admin"])),
    params(
        ("id" = IntegrationId, Path, description = "The integration"),
        ("labels" = Option<String>, Query, description = "`keep` (the default) or `remove`"),
        ("if-match" = Option<String>, Header, description = "The version that is deleted"),
    ),
    responses(
        (status = 202, description = "A run removes the labels first; `data` is empty", body = RunEnvelope<Vec<NoRecord>>,
            headers(("location" = String, description = "Where the run is"))),
        (status = 204, description = "Deleted"),
        Refusals,
        Missing,
        Stale,
        (status = 409, description = "A run that was cancelled for this is still ending", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn delete(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    Id(id): Id<IntegrationId>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let remove_labels = query.take("labels", |value| match value {
        "keep" => Ok(false),
        "remove" => Ok(true),
        _ => Err("must be `keep` or `remove`".to_owned()),
    });
    query.done()?;
    let integration = app.store.integration(id).await?;
    check_match(&headers, integration.tag)?;
    let tag = headers.contains_key(header::IF_MATCH).then_some(integration.tag);
    let entry = AuditEntry {
        actor,
        action: AuditAction::Delete,
        description: format!("Integration {} was deleted", integration.settings.name),
        original_id: id.to_string(),
        original_object: Some(IntegrationView::new(&integration, None).audit_object()),
        new_object: None,
    };
    if remove_labels.unwrap_or_default() {
        if app.settings.account.is_none() {
            return Err(no_account());
        }
        let removal = start_removal(&app, id, tag, &entry).await?;
        return Ok(removal.into_response());
    }
    app.store
        .delete_integration(id, tag, &entry, app.clock.now())
        .await?;
    app.desk.cancel_work_of(id);
    app.desk.schedule_changed();
    // It is deleted; what is left to write, others write as well.
    if let Err(error) = app.store.work_off_arrears().await {
        tracing::warn!(%error, "the pairs of a deleted integration are still in the ledger");
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Starts the removal once no other run of the integration is under way.
async fn start_removal(
    app: &AppState,
    id: IntegrationId,
    tag: Option<crate::domain::SettingsTag>,
    entry: &AuditEntry,
) -> Result<Answer<RunEnvelope<Vec<NoRecord>>>, Problem> {
    loop {
        match app.store.start_removal(id, tag, entry, app.clock.now()).await {
            Ok(started) => {
                // One that waited in the queue ended at once.
                if let Some(ended) = started.ended {
                    app.desk.run_ended(ended.id);
                    app.metrics.run_ended(&ended);
                }
                app.desk.run_queued();
                app.desk.schedule_changed();
                let location = format!("/api/v1/runs/{}", started.run.record.id);
                return Ok(
                    Answer::with_run(StatusCode::ACCEPTED, Vec::new(), Some(started.run.record))
                        .header(header::LOCATION, location),
                );
            }
            Err(StoreError::RunEnding(run)) => {
                app.desk.cancel_work(run);
                let run = wait_for_end(app, run, CANCELLED_RUN_ENDS_WITHIN).await?;
                if !run.state.is_final() {
                    return Err(StoreError::RunEnding(run.id).into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn no_account() -> Problem {
    let detail = "needs the Fusion account whose labels are to be removed: set NETOSECRET and start the service again, or \
                  delete without it; the labels then stay";
    Problem::of_members(ProblemName::InvalidBody, vec![FieldError::new("?labels", detail)])
}
