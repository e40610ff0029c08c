//! `/simulator/…`: what a person or a test does to the simulated world while it runs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::{Answer, empty, json as json_answer, text};
use super::fault::Fault;
use super::generator::GeneratorSettings;
use super::shared::Shared;
use super::source::ReportSource;
use super::wiz::report_views;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/simulator/faults",
            post(add_faults).delete(clear_faults).get(faults),
        )
        .route("/simulator/state", get(state))
        .route("/simulator/report", put(serve_report).post(generate_report))
        .route("/simulator/labels", get(labels).put(plant_label))
}

/// One fault or a list of them.
async fn add_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    let is_list = body.trim_ascii_start().starts_with(b"[");
    let faults = if is_list {
        read::<Vec<Fault>>(&body)
    } else {
        read(&body).map(|fault| vec![fault])
    };
    match faults {
        Ok(faults) => {
            let mut state = shared.state();
            for fault in faults {
                state.faults.add(fault);
            }
            empty(StatusCode::NO_CONTENT)
        }
        Err(refused) => *refused,
    }
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> Answer {
    shared.state().faults.clear();
    empty(StatusCode::NO_CONTENT)
}

async fn faults(State(shared): State<Arc<Shared>>) -> Answer {
    json_answer(StatusCode::OK, &json!(shared.state().faults.all()))
}

async fn state(State(shared): State<Arc<Shared>>) -> Answer {
    let (state, now) = (shared.state(), shared.now());
    let bearers = state
        .requests
        .get("wiz.token")
        .into_iter()
        .chain(state.requests.get("fusion.token"))
        .sum::<u64>();
    let body = json!({
        "now": now,
        "reports": report_views(&state, now),
        "requests": state.requests,
        "token_requests": bearers,
        "violations": state.violations,
        "faults": state.faults.all(),
        "labels": state.fusion.labels.all().len(),
        "labels_put": state.fusion.labels.put,
        "labels_deleted": state.fusion.labels.deleted,
    });
    json_answer(StatusCode::OK, &body)
}

/// A CSV file, plain or gzip, that reports are made of from now on; with `?verbatim=true` these very bytes.
async fn serve_report(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Answer {
    let source = match query(&uri).get("verbatim").map(String::as_str) {
        Some("true") => Ok(ReportSource::Verbatim(body.to_vec().into(), None)),
        _ => ReportSource::of_csv(body.to_vec()),
    };
    match source {
        Ok(source) => {
            shared.state().source = source;
            empty(StatusCode::NO_CONTENT)
        }
        Err(problem) => text(StatusCode::BAD_REQUEST, format!("not a gzip file: {problem}\n")),
    }
}

/// The settings of a report that is generated from now on.
async fn generate_report(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    match read::<GeneratorSettings>(&body) {
        Ok(settings) if settings.assets > 0 => {
            shared.state().source = ReportSource::Generated(settings);
            empty(StatusCode::NO_CONTENT)
        }
        Ok(_) => text(StatusCode::BAD_REQUEST, "at least one asset is needed\n"),
        Err(refused) => *refused,
    }
}

/// All labels, or those of `?context=`, as records.
async fn labels(State(shared): State<Arc<Shared>>, uri: Uri) -> Answer {
    let query = query(&uri);
    let wanted = query.get("context");
    let state = shared.state();
    let labels = state.fusion.labels.all().iter();
    let records: Vec<Value> = labels
        .filter(|((_, context), _)| wanted.is_none_or(|wanted| wanted == context))
        .map(|((ip, context), labels)| json!({"ip": ip, "context": context, "labels": labels}))
        .collect();
    json_answer(StatusCode::OK, &Value::Array(records))
}

/// A label record as another product would write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Planted {
    ip: IpAddr,
    context: String,
    labels: Vec<String>,
}

async fn plant_label(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    match read::<Planted>(&body) {
        Ok(Planted { ip, context, labels }) => {
            shared.state().fusion.labels.plant((ip, context), labels);
            empty(StatusCode::NO_CONTENT)
        }
        Err(refused) => *refused,
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Answer>> {
    let refused = |problem| Box::new(text(StatusCode::BAD_REQUEST, format!("{problem}\n")));
    serde_json::from_slice(body).map_err(refused)
}

fn query(uri: &Uri) -> BTreeMap<String, String> {
    let query = uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}
