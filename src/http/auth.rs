//! Who calls: the API key of a request.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;

use super::problem::{Problem, ProblemName};
use super::request_id::RequestId;
use super::state::AppState;
use crate::store::Actor;

/// The name under which the admin key of the settings appears in the audit log.
const ADMIN: &str = "admin";

/// Lets requests with a valid API key pass, and tells handlers who calls.
pub(super) async fn require_key(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let Some(key) = bearer(request.headers()) else {
        return refused(
            "Send an API key: `Authorization: Bearer <key>`. The first one is in the file `admin-key` beside the database.",
        );
    };
    if !app.settings.admin_key.is(key) {
        return refused(
            "The API key is not valid. The first one is in the file `admin-key` beside the database.",
        );
    }
    let actor = Actor {
        user: ADMIN.to_owned(),
        request_id: request.extensions().get::<RequestId>().map(|id| id.0.clone()),
        address: request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip().to_string()),
    };
    request.extensions_mut().insert(actor);
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn refused(detail: &str) -> Response {
    Problem::new(ProblemName::Unauthorized, detail).into_response()
}
