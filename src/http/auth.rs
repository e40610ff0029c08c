//! Who calls, and whether they may: the API key of a request, and the role that the call asks for.

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use zeroize::Zeroizing;

use super::notes::{Failure, Reason};
use super::problem::{Problem, ProblemName};
use super::request_id::RequestId;
use super::rules::rule_of;
use super::state::AppState;
use crate::domain::{ApiKeyId, ApiKeyName, Role};
use crate::store::{Actor, ApiKeyProof};

/// Whose request it is: an extension of every request that has got past the keys.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The id of the key; none for the key of the settings.
    pub(super) key: Option<ApiKeyId>,
    /// The name of the key.
    pub(super) name: String,
    /// What the key may do.
    pub(super) role: Role,
}

impl Caller {
    /// What tells the key from all others.
    pub(super) fn id(&self) -> String {
        self.key
            .map_or_else(|| "settings".to_owned(), |id| id.to_string())
    }
}

/// Lets requests with a valid API key of a role that is wide enough pass, and tells handlers who calls.
pub(super) async fn require_key(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let origin = Origin::of(&request);
    let key = bearer(request.headers()).map(|key| Zeroizing::new(key.to_owned()));
    let caller = match caller(&app, key.as_ref().map(|key| key.as_str()), &origin).await {
        Ok(caller) => caller,
        Err(refused) => return refused.into_response(),
    };
    let actor = origin.actor(&caller.name, caller.key);
    if let Some(needed) = rule_of(&request).and_then(|rule| rule.role)
        && caller.role < needed
    {
        origin.note(&app, Reason::Role, actor);
        return Problem::new(
            ProblemName::Forbidden,
            format!(
                "The role of the API key is `{}`, and this call needs `{}`. Use a key of that role; one is made by \
                 `POST /api/v1/api-keys`.",
                caller.role.as_str(),
                needed.as_str()
            ),
        )
        .into_response();
    }
    request.extensions_mut().insert(actor);
    request.extensions_mut().insert(caller);
    next.run(request).await
}

async fn caller(app: &AppState, key: Option<&str>, origin: &Origin) -> Result<Caller, Problem> {
    let anonymous = || origin.actor(ApiKeyName::ANONYMOUS, None);
    let Some(key) = key else {
        origin.note(app, Reason::Missing, anonymous());
        return Err(refused(
            "Send an API key: `Authorization: Bearer <key>`. The first one is in the file `admin-key` beside the database.",
        ));
    };
    // Looked at in any case, so that the time does not tell which kind of key it was.
    let is_settings = app.settings.admin_key.as_ref().is_some_and(|admin| admin.is(key));
    let now = app.clock.now();
    let proof = app.store.prove_api_key(key, now).await?;
    if is_settings {
        return Ok(Caller {
            key: None,
            name: ApiKeyName::SETTINGS.to_owned(),
            role: Role::Admin,
        });
    }
    match proof {
        ApiKeyProof::Valid(record) => {
            app.notes.key_used(&record, now);
            Ok(Caller {
                key: Some(record.id),
                name: record.name.to_string(),
                role: record.role,
            })
        }
        ApiKeyProof::Expired(record) => {
            let actor = origin.actor(record.name.as_str(), Some(record.id));
            origin.note(app, Reason::Expired, actor);
            Err(refused(
                "The API key has expired. Who has a key of the role `admin` can make a new one: `POST /api/v1/api-keys`.",
            ))
        }
        ApiKeyProof::Unknown => {
            origin.note(app, Reason::Invalid, anonymous());
            Err(refused(
                "The API key is not valid. The first one is in the file `admin-key` beside the database.",
            ))
        }
    }
}

/// Where a request comes from and goes to, without who sent it.
struct Origin {
    request_id: Option<String>,
    address: Option<String>,
    /// The path as the document writes it.
    route: String,
}

impl Origin {
    fn of(request: &Request) -> Self {
        let extensions = request.extensions();
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let route = extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        Self {
            request_id: extensions.get::<RequestId>().map(|id| id.0.clone()),
            address: peer.map(|info| info.0.ip().to_string()),
            route: format!("{} {route}", known_method(request.method())),
        }
    }

    fn actor(&self, user: &str, key_id: Option<ApiKeyId>) -> Actor {
        Actor {
            user: user.to_owned(),
            key_id,
            request_id: self.request_id.clone(),
            address: self.address.clone(),
        }
    }

    fn note(&self, app: &AppState, reason: Reason, actor: Actor) {
        let route = self.route.clone();
        let failure = Failure { reason, actor, route };
        app.notes.failed(failure, app.clock.passed());
    }
}

/// The method, unless the client made it up.
fn known_method(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    if known.contains(method) {
        method.as_str()
    } else {
        "other"
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn refused(detail: &str) -> Problem {
    Problem::new(ProblemName::Unauthorized, detail)
}
