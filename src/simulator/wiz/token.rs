//! `POST /oauth/token`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::json;

use crate::simulator::answer::{self, Answer};
use crate::simulator::fault::{Effect, StatusFault};
use crate::simulator::shared::Shared;

use super::graphql::names_its_client;

/// Gives a token for the right credentials.
pub(in crate::simulator) async fn token(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let met = shared.meet(&["wiz.token".to_owned()], |_| true).await;
    if let Some(answer) = met.instead(refusal) {
        return answer;
    }
    if !names_its_client(&headers) {
        return answer::text(
            StatusCode::BAD_REQUEST,
            "the User-Agent must name the integration",
        );
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|text| text.starts_with("application/x-www-form-urlencoded")) {
        return answer::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send a form");
    }
    let form: BTreeMap<_, _> = url::form_urlencoded::parse(&body).into_owned().collect();
    let is = |name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
    let credentials = &shared.credentials;
    let good = is("grant_type", "client_credentials")
        && is("audience", &shared.settings.audience)
        && is("client_id", &credentials.client_id)
        && is("client_secret", &credentials.client_secret);
    if !good {
        return refusal(&StatusFault {
            status: 401,
            ..StatusFault::default()
        });
    }
    let life = shared.settings.wiz_token_life;
    let mut state = shared.state();
    let token = state.new_secret("wiz-token-");
    state.wiz.tokens.insert(token.clone(), shared.now() + life);
    drop(state);
    let mut body = json!({"expires_in": life.as_secs(), "token_type": "Bearer"});
    if !met.0.contains(&Effect::TokenWithoutAccessToken) {
        body["access_token"] = token.into();
    }
    met.sent(answer::json(StatusCode::OK, &body))
}

fn refusal(fault: &StatusFault) -> Answer {
    let body = match fault.status {
        401 | 403 => json!({"error": "access_denied", "error_description": "Unauthorized"}),
        _ => json!({"error": fault.message.as_deref().unwrap_or("temporarily_unavailable")}),
    };
    answer::with_retry_after(
        answer::json(answer::status(fault.status), &body),
        fault.retry_after_s,
    )
}
