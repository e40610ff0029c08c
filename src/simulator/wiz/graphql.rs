//! `POST /graphql`: who may ask, what is asked, and the forms of errors.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::simulator::answer::{self, Answer};
use crate::simulator::fault::{Effect, StatusFault};
use crate::simulator::shared::{Shared, bearer, is_good};

use super::account::{self, Caller};
use super::query::{Refusal, Request, Selected, invalid, project};

/// What a client is told when something is wrong.
pub(super) struct Problem {
    code: &'static str,
    message: String,
    extensions: Map<String, Value>,
}

impl Problem {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        let (message, extensions) = (message.into(), Map::new());
        Self {
            code,
            message,
            extensions,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.message)
    }
}

/// Answers a GraphQL request.
pub(in crate::simulator) async fn graphql(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let request = read(&shared, &body);
    let met = shared.meet(&names(request.as_ref().ok()), |_| true).await;
    note_rate(&shared);
    if let Some(answer) = met.instead(refusal) {
        return answer;
    }
    if !is_json(&headers) {
        return answer::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json");
    }
    if !names_its_client(&headers) {
        return answer::text(
            StatusCode::BAD_REQUEST,
            "the User-Agent must name the integration",
        );
    }
    let token = bearer(&headers);
    if !is_good(&shared.state().wiz.tokens, token, shared.now()) {
        return problem(
            &shared,
            &Problem::new("UNAUTHENTICATED", "access token is missing, invalid or expired"),
        );
    }
    let request = match request {
        Ok(request) => request,
        Err(refusal) => return problem(&shared, &refusal.into()),
    };
    for effect in &met.0 {
        if let Effect::ErrorIn200 {
            code,
            carried_out: false,
        } = effect
        {
            return error_in_200(code, None);
        }
    }
    if let Some(refused) = missing_scope(&shared, &request.fields) {
        return problem(&shared, &refused);
    }
    if let Some(refused) = too_soon(&met.0, &request.fields) {
        return refused;
    }
    wait_for_files(&shared).await;
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let data = match carry_out(&shared, host, &request.fields) {
        Ok(data) => data,
        Err(refused) => return met.sent(problem(&shared, &refused)),
    };
    let answer = met.0.iter().find_map(|effect| match effect {
        Effect::ErrorIn200 { code, .. } => Some(error_in_200(code, None)),
        Effect::PartialData => Some(error_in_200("INTERNAL", Some(&without_last(data.clone())))),
        _ => None,
    });
    met.sent(answer.unwrap_or_else(|| answer::json(StatusCode::OK, &json!({"data": data}))))
}

fn read(shared: &Shared, body: &[u8]) -> Result<Request, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|_| invalid("the body is not JSON"))?;
    let query = body["query"]
        .as_str()
        .ok_or_else(|| invalid("the body has no query"))?;
    let none = Map::new();
    let variables = match &body["variables"] {
        Value::Null => &none,
        Value::Object(variables) => variables,
        _ => return Err(invalid("variables must be an object")),
    };
    Request::read(shared.schema, query, body["operationName"].as_str(), variables)
}

/// The names that a request goes by: its fields', and the one that the client calls it.
fn names(request: Option<&Request>) -> Vec<String> {
    let Some(request) = request else {
        return vec!["wiz.graphql".to_owned()];
    };
    let fields = request.fields.iter().map(|field| field.field.as_str());
    let mut names: Vec<String> = fields
        .chain(request.name.as_deref())
        .map(|name| format!("wiz.graphql.{}", name.to_lowercase()))
        .collect();
    names.dedup();
    names
}

fn carry_out(shared: &Shared, host: &str, fields: &[Selected]) -> Result<Value, Problem> {
    let mut data = Map::new();
    let mut state = shared.state();
    for field in fields {
        let now = shared.now();
        let value = account::resolve(&mut Caller {
            shared,
            state: &mut state,
            host,
            now,
            field,
        })?;
        data.insert(field.key.clone(), project(&field.selection, &value));
    }
    Ok(Value::Object(data))
}

/// Files are made in the background; when a run's time is over, its file is waited for as long as a client waits.
async fn wait_for_files(shared: &Shared) {
    const PATIENCE: Duration = Duration::from_secs(10);
    let pending = shared.state().wiz.reports.due_files(shared.now());
    let wait = async {
        for mut file in pending {
            file.wait().await;
        }
    };
    // Those that take longer show as a run in progress.
    let _ = tokio::time::timeout(PATIENCE, wait).await;
}

fn missing_scope(shared: &Shared, fields: &[Selected]) -> Option<Problem> {
    let has = &shared.settings.scopes;
    let scopes = fields.iter().flat_map(|field| account::scopes_of(&field.field));
    let missing: Vec<_> = scopes.filter(|scope| !has.contains(**scope)).collect();
    let first = missing.first()?;
    let mut problem = Problem::new(
        "UNAUTHORIZED",
        format!("access denied, the scope {first} is required"),
    );
    problem
        .extensions
        .insert("requiredScopes".to_owned(), json!(missing));
    problem
        .extensions
        .insert("effectiveScopes".to_owned(), json!(has));
    Some(problem)
}

/// The refusal of a rerun that comes too soon, when the simulator was told to refuse it so.
fn too_soon(effects: &[Effect], fields: &[Selected]) -> Option<Answer> {
    let code = effects.iter().find_map(|effect| match effect {
        Effect::RerunTooSoon { code } => Some(code.clone()),
        _ => None,
    })?;
    let is_rerun = fields.iter().any(|field| field.field == "rerunReport");
    is_rerun.then(|| {
        refusal(&StatusFault {
            status: 400,
            code,
            message: Some("a report can be rerun once in 24 hours".to_owned()),
            ..StatusFault::default()
        })
    })
}

fn note_rate(shared: &Shared) {
    let (now, limit) = (shared.now(), shared.settings.wiz_requests_per_second);
    let mut state = shared.state();
    let recent = &mut state.wiz.recent;
    recent.push_back(now);
    while recent
        .front()
        .is_some_and(|first| now.since(*first) >= Duration::from_secs(1))
    {
        recent.pop_front();
    }
    if recent.len() > limit as usize {
        state.violation(format!("more than {limit} GraphQL requests in a second"));
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| text.starts_with("application/json"))
}

/// Wiz asks that clients name themselves.
pub(super) fn names_its_client(headers: &HeaderMap) -> bool {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    agent.is_some_and(|agent| agent.contains("wiz-context"))
}

fn problem(shared: &Shared, problem: &Problem) -> Answer {
    let status = match problem.code {
        "UNAUTHENTICATED" => 401,
        "UNAUTHORIZED" | "FORBIDDEN_IP" => 403,
        "NOT_FOUND" => shared.settings.not_found_status,
        "RATE_LIMIT_EXCEEDED" => 429,
        "INTERNAL" => 500,
        _ => 400,
    };
    let mut extensions = problem.extensions.clone();
    extensions.insert("code".to_owned(), problem.code.into());
    let body = json!({"errors": [{"message": problem.message, "extensions": extensions}], "data": null});
    answer::json(answer::status(status), &body)
}

fn refusal(fault: &StatusFault) -> Answer {
    let code = fault.code.as_deref().unwrap_or(match fault.status {
        400 => "BAD_USER_INPUT",
        401 => "UNAUTHENTICATED",
        403 => "UNAUTHORIZED",
        404 => "NOT_FOUND",
        429 => "RATE_LIMIT_EXCEEDED",
        _ => "INTERNAL",
    });
    let message = fault
        .message
        .as_deref()
        .unwrap_or("the simulator was told to refuse this");
    let mut extensions = json!({"code": code});
    if let Some(seconds) = fault.extension_retry_after_s {
        extensions["retryAfter"] = seconds.into();
    }
    let body = json!({"errors": [{"message": message, "extensions": extensions}], "data": null});
    answer::with_retry_after(
        answer::json(answer::status(fault.status), &body),
        fault.retry_after_s,
    )
}

fn error_in_200(code: &str, data: Option<&Value>) -> Answer {
    let error = json!({"message": "the simulator was told to fail", "extensions": {"code": code}});
    answer::json(StatusCode::OK, &json!({"errors": [error], "data": data}))
}

/// The data without the last member of its last object.
fn without_last(mut data: Value) -> Value {
    fn blank(value: &mut Value) {
        match value {
            Value::Object(members) => match members.values_mut().next_back() {
                Some(last) if last.is_object() => blank(last),
                Some(last) => *last = Value::Null,
                None => {}
            },
            other => *other = Value::Null,
        }
    }
    blank(&mut data);
    data
}
