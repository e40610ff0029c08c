//! What other machines ask: whether the service lives, is ready, and its figures.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Answer, Envelope};
use super::extract::Query;
use super::problem::{Problem, ProblemBody};
use super::refusals::{OpenRefusals, Refusals};
use super::state::AppState;

/// The service lives, or is ready.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the service lives.
#[utoipa::path(
    get, path = "/healthz", operation_id = "check_health", tag = "service", security(()),
    responses((status = 200, description = "It lives", body = Envelope<Health>), OpenRefusals),
)]
pub(super) async fn live() -> Answer<Envelope<Health>> {
    Answer::one(Health { status: "ok" })
}

/// Whether the service is ready to work.
#[utoipa::path(
    get, path = "/readyz", operation_id = "check_readiness", tag = "service", security(()),
    responses(
        (status = 200, description = "It is ready", body = Envelope<Health>),
        OpenRefusals,
        (status = 500, description = "The database does not answer", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn ready(State(app): State<AppState>) -> Result<Answer<Envelope<Health>>, Problem> {
    app.store.ping().await?;
    Ok(Answer::one(Health { status: "ok" }))
}

/// The figures of the service, as OpenMetrics text.
#[utoipa::path(
    get, path = "/metrics", operation_id = "read_metrics", tag = "service",
    security(("api_key" = ["readonly"])),
    responses(
        (status = 200, description = "The figures", body = String, content_type = "application/openmetrics-text",
            example = json!("# HELP wiz_context_integrations Integrations that are stored.\n\
                # TYPE wiz_context_integrations gauge\nwiz_context_integrations 1\n# EOF\n")),
        Refusals,
    ),
)]
pub(super) async fn metrics(State(app): State<AppState>, query: Query) -> Result<Response, Problem> {
    query.done()?;
    app.metrics.stored(&app.store.figures().await?, app.clock.now());
    app.metrics.audit_head_is(app.store.audit_head().await?);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok((
        StatusCode::OK,
        [(header::CONTENT_TYPE, content_type)],
        app.metrics.text(),
    )
        .into_response())
}
