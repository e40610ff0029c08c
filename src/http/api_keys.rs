//! `/api-keys`: who may call, and what they may do.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::envelope::{Answer, Envelope};
use super::extract::{Id, Json, Query};
use super::faults::Faults;
use super::paging::Paging;
use super::problem::{Problem, ProblemBody};
use super::refusals::{BodyRefusals, Missing, Refusals};
use super::state::AppState;
use crate::domain::{ApiKey, ApiKeyId, ApiKeyName, ApiKeyRecord, Role, Timestamp};
use crate::store::{Actor, NewApiKey};

/// A key to be made.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the schema of the body; it is read member by member to name every fault at once"
)]
pub(super) struct ApiKeyBody {
    /// The unique name, by which the audit log tells who did something: 1 to 64 of letters, digits, `.`, `_`, `-` and space;
    /// not `admin`, `scheduler` or `anonymous`.
    #[schema(
        example = "nightly-job",
        max_length = 64,
        pattern = "^[A-Za-z0-9._-]([A-Za-z0-9._ -]*[A-Za-z0-9._-])?$"
    )]
    name: String,
    /// What it may do.
    #[schema(example = "operator")]
    role: Role,
    /// From when on it is not valid any more; left out or null is never.
    #[schema(example = "2027-11-24T00:00:00Z")]
    expires_at: Option<Timestamp>,
}

/// A key that was just made. No other answer carries `key`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewKeyView {
    /// Its id, which is a part of its text too.
    id: ApiKeyId,
    /// Its name.
    #[schema(example = "nightly-job")]
    name: String,
    /// What it may do.
    role: Role,
    /// When it was made.
    created_at: Timestamp,
    /// The name of the key that made it.
    #[schema(example = "admin")]
    created_by: String,
    /// From when on it is not valid any more; null is never.
    expires_at: Option<Timestamp>,
    /// Null: it was not used yet.
    last_used_at: Option<Timestamp>,
    /// The key. It is stored as a hash only, so that nobody can show it again.
    #[schema(value_type = String, example = "wck_01a20d2a399673a0af57c27859874f3e_8Yz1mYx0Xh0b8T1sQ0oXo6cV2nS1kq3zP4wR5uT6yU8")]
    key: ShownKey,
}

/// The one place where a key is written out.
#[derive(Debug)]
struct ShownKey(ApiKey);

impl Serialize for ShownKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

/// Lists the keys, by name: all but the keys themselves. The key of the settings is not among them.
#[utoipa::path(
    get, path = "/api-keys", operation_id = "list_api_keys", tag = "keys", security(("api_key" = ["admin"])),
    params(
        ("limit" = Option<u32>, Query, description = "At most so many; 1 to 1000, by default 100"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "The keys", body = Envelope<Vec<ApiKeyRecord>>),
        Refusals,
    ),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    mut query: Query,
) -> Result<Answer<Envelope<Vec<ApiKeyRecord>>>, Problem> {
    let paging = Paging::take(&mut query, "keys", 100, |name| Some(name.to_owned()));
    query.done()?;
    let after = paging.after.as_deref();
    let mut keys = app.store.api_keys(after, paging.with_next()).await?;
    let next = paging.cut(&mut keys, |key| key.name.to_string());
    Ok(Answer::page(keys, next))
}

/// Makes a key. The answer is the only one that carries it. Repeated with the same `Idempotency-Key` it comes without
/// `key`: when the first answer was lost, take that key away and make another.
#[utoipa::path(
    post, path = "/api-keys", operation_id = "create_api_key", tag = "keys", security(("api_key" = ["admin"])),
    request_body = ApiKeyBody,
    responses(
        (status = 201, description = "Made; keep `key`, it is not shown again", body = Envelope<NewKeyView>,
            headers(("location" = String, description = "Where it can be taken away"),
                ("cache-control" = String, description = "`no-store`"))),
        Refusals,
        (status = 409, description = "The name is taken, or a call with the same `Idempotency-Key` is under way",
            body = ProblemBody, content_type = "application/problem+json"),
        BodyRefusals,
    ),
)]
pub(super) async fn create(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    query: Query,
    Json(body): Json,
) -> Result<Answer<Envelope<NewKeyView>>, Problem> {
    query.done()?;
    let now = app.clock.now();
    let new = read(&body, now)?;
    let (made, key) = app.store.create_api_key(&new, actor, now).await?;
    let location = format!("/api/v1/api-keys/{}", made.id);
    let view = NewKeyView {
        id: made.id,
        name: made.name.to_string(),
        role: made.role,
        created_at: made.created_at,
        created_by: made.created_by,
        expires_at: made.expires_at,
        last_used_at: None,
        key: ShownKey(key),
    };
    Ok(Answer::created(view)
        .header(header::LOCATION, location)
        .header(header::CACHE_CONTROL, "no-store"))
}

/// Takes a key away: from then on it is not valid. One may take away itself. The last key of the role `admin` that does
/// not expire cannot be taken away while the settings have no key.
#[utoipa::path(
    delete, path = "/api-keys/{id}", operation_id = "delete_api_key", tag = "keys", security(("api_key" = ["admin"])),
    params(("id" = ApiKeyId, Path, description = "The key")),
    responses(
        (status = 204, description = "Taken away"),
        Refusals,
        Missing,
        (status = 409, description = "It is the last one that may do everything", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn delete(
    State(app): State<AppState>,
    Extension(actor): Extension<Actor>,
    Id(id): Id<ApiKeyId>,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    let settings_key = app.settings.admin_key.is_some();
    app.store
        .delete_api_key(id, settings_key, actor, app.clock.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the body, all faults at once.
fn read(body: &Value, now: Timestamp) -> Result<NewApiKey, Problem> {
    let empty = Map::new();
    let members = body.as_object().unwrap_or(&empty);
    let mut faults = Faults::default();
    if !body.is_object() {
        faults.add("", "must be an object with `name` and `role`");
    }
    faults.refuse_unknown(
        members,
        "",
        &["name", "role", "expires_at"],
        "is not a member of a key",
    );
    let name = match members.get("name") {
        Some(Value::String(name)) => name.parse::<ApiKeyName>().map_err(|error| error.to_string()),
        Some(_) => Err("must be a text".to_owned()),
        None => Err("is missing: the name that the audit log tells".to_owned()),
    };
    let role = members.get("role").and_then(Value::as_str).and_then(Role::read);
    let role = role.ok_or_else(|| "must be `admin`, `operator` or `readonly`".to_owned());
    let expires_at = match members.get("expires_at") {
        None | Some(Value::Null) => Ok(None),
        Some(time) => match time.as_str().map(str::parse::<Timestamp>) {
            Some(Ok(time)) if time > now => Ok(Some(time)),
            Some(Ok(_)) => Err("must be in the future".to_owned()),
            _ => Err("must be a time as in 2027-11-24T00:00:00Z, or null".to_owned()),
        },
    };
    match (name, role, expires_at) {
        (Ok(name), Ok(role), Ok(expires_at)) if faults.count() == 0 => Ok(NewApiKey {
            name,
            role,
            expires_at,
        }),
        (name, role, expires_at) => {
            for (pointer, detail) in [
                ("/name", name.err()),
                ("/role", role.err()),
                ("/expires_at", expires_at.err()),
            ] {
                if let Some(detail) = detail {
                    faults.add(pointer, detail);
                }
            }
            Err(faults.problem())
        }
    }
}
