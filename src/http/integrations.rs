//! `/integrations/context`: the settings of integrations, in the shapes of Fusion's own calls.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::envelope::{Answer, Envelope, RunEnvelope};
use super::extract::{Id, Json, Query};
use super::integration_body::{self, IntegrationBody, IntegrationView, Purpose};
use super::negotiation::{check_match, is_known, not_modified};
use super::paging::Paging;
use super::problem::{Problem, ProblemBody};
use super::refusals::{BodyRefusals, Missing, Refusals, Stale};
use super::state::AppState;
use super::status::Status;
use crate::domain::{Integration, IntegrationId, RunFlags, SettingsTag, Trigger};
use crate::store::{
    Actor, AuditAction, AuditEntry, IntegrationOverview, NewIntegration, RunStart, StoreError,
};

/// How often a change without `If-Match` is tried again when another came between its reading and its writing.
const CHANGE_TRIES: u32 = 5;

/// Lists integrations, by name.
#[utoipa::path(
    get, path = "/integrations/context", operation_id = "list_integrations", tag = "integrations",
    security(("api_key" = ["readonly"])),
    params(
        ("limit" = Option<u32>, Query, description = "At most so many; 1 to 1000, by default 1000"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "The integrations", body = Envelope<Vec<IntegrationView>>),
        Refusals,
    ),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    mut query: Query,
) -> Result<Answer<Envelope<Vec<IntegrationView>>>, Problem> {
    let paging = Paging::take(&mut query, "integrations", 1000, |name| Some(name.to_owned()));
    query.done()?;
    let after = paging.after.as_deref();
    let mut overviews = app.store.integrations(after, paging.with_next()).await?;
    let next = paging.cut(&mut overviews, |overview| {
        overview.integration.settings.name.to_string()
    });
    let views: Vec<_> = overviews.iter().map(|overview| view(overview, &app)).collect();
    Ok(Answer::page(views, next))
}

/// Creates an integration; with `?run=true` starts its first run too (the Portal's *Create and Run*).
#[utoipa::path(
    post, path = "/integrations/context", operation_id = "create_integration", tag = "integrations",
    security(("api_key" = ["admin"])),
    params(("run" = Option<bool>, Query, description = "Start the first run at once; by default false")),
    request_body = IntegrationBody,
    responses(
        (status = 201, description = "Created; `data` is an array of one, `run` its first run if one was asked for",
            body = RunEnvelope<Vec<IntegrationView>>,
            headers(("location" = String, description = "Where it is"), ("etag" = String, description = "Its version"))),
        Refusals,
        BodyRefusals,
        (status = 409, description = "The name is taken", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn create(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    mut query: Query,
    Json(body): Json,
) -> Result<Answer<RunEnvelope<Vec<IntegrationView>>>, Problem> {
    let and_run = query.switch("run");
    query.done()?;
    let read = integration_body::read(&body, Purpose::Create, &app.settings.allowed_hosts)?;
    let client_secret = read
        .client_secret
        .expect("reading a new integration's body requires its secret");
    let now = app.clock.now();
    let integration = Integration {
        id: IntegrationId::new(now),
        settings: read.settings,
        tag: SettingsTag(1),
        client_secret_set_at: now,
        created_at: now,
        updated_at: now,
    };
    let entry = AuditEntry {
        actor: actor.clone(),
        action: AuditAction::Create,
        description: format!(
            "Integration {} was created{}",
            integration.settings.name, read.put_right
        ),
        original_id: integration.id.to_string(),
        original_object: None,
        new_object: Some(IntegrationView::new(&integration, None).audit_object()),
    };
    let id = integration.id;
    let new = NewIntegration {
        id,
        settings: integration.settings,
        client_secret,
    };
    let start = RunStart::new(actor, Trigger::Create, RunFlags::default());
    let run = app
        .store
        .create_integration(&new, and_run.then_some(&start), &entry, now)
        .await?;
    app.desk.run_queued();
    app.desk.schedule_changed();
    let overview = app.store.integration_overview(id).await?;
    Ok(
        Answer::with_run(StatusCode::CREATED, vec![view(&overview, &app)], run)
            .header(header::LOCATION, format!("/api/v1/integrations/context/{id}"))
            .header(header::ETAG, integration.tag.to_string()),
    )
}

/// Reads an integration. The tag is of the settings: `status` moves without it, so ask for the status where it matters.
#[utoipa::path(
    get, path = "/integrations/context/{id}", operation_id = "read_integration", tag = "integrations",
    security(("api_key" = ["readonly"])),
    params(
        ("id" = IntegrationId, Path, description = "The integration"),
        ("if-none-match" = Option<String>, Header, description = "The version that is known already"),
    ),
    responses(
        (status = 304, description = "The settings are at the version that is known"),
        (status = 200, description = "The integration", body = Envelope<IntegrationView>,
            headers(("etag" = String, description = "Its version"))),
        Refusals,
        Missing,
    ),
)]
pub(super) async fn read(
    State(app): State<AppState>,
    Id(id): Id<IntegrationId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.done()?;
    let overview = app.store.integration_overview(id).await?;
    let tag = overview.integration.tag.to_string();
    if is_known(&headers, &tag) {
        return Ok(not_modified(&tag));
    }
    let answer = Answer::one(view(&overview, &app)).header(header::ETAG, tag);
    Ok(answer.into_response())
}

/// Replaces the settings of an integration. A left-out `wiz.clientsecret` keeps the stored one, unless `tokenurl` or
/// `clientid` changes.
#[utoipa::path(
    put, path = "/integrations/context/{id}", operation_id = "replace_integration", tag = "integrations",
    security(("api_key" = ["admin"])),
    params(
        ("id" = IntegrationId, Path, description = "The integration"),
        ("if-match" = Option<String>, Header, description = "The version that is replaced"),
    ),
    request_body = IntegrationBody,
    responses(
        (status = 200, description = "Replaced", body = Envelope<IntegrationView>,
            headers(("etag" = String, description = "Its new version"))),
        Refusals,
        Missing,
        Stale,
        BodyRefusals,
        (status = 409, description = "The name is taken, or the integration is being removed", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn replace(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    Id(id): Id<IntegrationId>,
    query: Query,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Answer<Envelope<IntegrationView>>, Problem> {
    query.done()?;
    change(&app, id, &headers, &actor, |present| {
        integration_body::read(&body, Purpose::Replace(present), &app.settings.allowed_hosts)
    })
    .await
}

/// Changes some settings of an integration (RFC 7396).
#[utoipa::path(
    patch, path = "/integrations/context/{id}", operation_id = "update_integration", tag = "integrations",
    security(("api_key" = ["admin"])),
    params(
        ("id" = IntegrationId, Path, description = "The integration"),
        ("if-match" = Option<String>, Header, description = "The version that is changed"),
    ),
    request_body(content = Object, description = "Any members of an integration", content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "Changed", body = Envelope<IntegrationView>,
            headers(("etag" = String, description = "Its new version"))),
        Refusals,
        Missing,
        Stale,
        BodyRefusals,
        (status = 409, description = "The name is taken, or the integration is being removed", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn update(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    Id(id): Id<IntegrationId>,
    query: Query,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Answer<Envelope<IntegrationView>>, Problem> {
    query.done()?;
    change(&app, id, &headers, &actor, |present| {
        integration_body::read(&body, Purpose::Patch(present), &app.settings.allowed_hosts)
    })
    .await
}

/// Where an integration stands.
#[utoipa::path(
    get, path = "/integrations/context/{id}/status", operation_id = "read_status", tag = "integrations",
    security(("api_key" = ["readonly"])),
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses(
        (status = 200, description = "Where it stands", body = Envelope<Status>),
        Refusals,
        Missing,
    ),
)]
pub(super) async fn status(
    State(app): State<AppState>,
    Id(id): Id<IntegrationId>,
    query: Query,
) -> Result<Answer<Envelope<Status>>, Problem> {
    query.done()?;
    Ok(Answer::one(Status::new(
        &app.store.integration_overview(id).await?,
        &app,
    )))
}

async fn change(
    app: &AppState,
    id: IntegrationId,
    headers: &HeaderMap,
    actor: &Actor,
    read: impl Fn(&Integration) -> Result<integration_body::ReadBody, Problem>,
) -> Result<Answer<Envelope<IntegrationView>>, Problem> {
    for _ in 0..CHANGE_TRIES {
        let before = app.store.integration(id).await?;
        check_match(headers, before.tag)?;
        let body = read(&before)?;
        let now = app.clock.now();
        let mut after = before.clone();
        after.settings = body.settings.clone();
        after.updated_at = now;
        if body.client_secret.is_some() {
            after.client_secret_set_at = now;
        }
        let entry = AuditEntry {
            actor: actor.clone(),
            action: AuditAction::Update,
            description: format!(
                "Integration {} was changed{}",
                after.settings.name, body.put_right
            ),
            original_id: id.to_string(),
            original_object: Some(IntegrationView::new(&before, None).audit_object()),
            new_object: Some(IntegrationView::new(&after, None).audit_object()),
        };
        let secret = body.client_secret.as_ref();
        match app
            .store
            .update_integration(id, before.tag, &body.settings, secret, &entry, now)
            .await
        {
            Err(StoreError::StaleTag) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                if before.settings.wiz != body.settings.wiz {
                    app.desk.cancel_work_of(id);
                }
                app.desk.schedule_changed();
                return answer(app, id).await;
            }
        }
    }
    Err(StoreError::StaleTag.into())
}

async fn answer(app: &AppState, id: IntegrationId) -> Result<Answer<Envelope<IntegrationView>>, Problem> {
    let overview = app.store.integration_overview(id).await?;
    Ok(Answer::one(view(&overview, app)).header(header::ETAG, overview.integration.tag.to_string()))
}

fn view(overview: &IntegrationOverview, app: &AppState) -> IntegrationView {
    IntegrationView::new(&overview.integration, Some(Status::new(overview, app)))
}
