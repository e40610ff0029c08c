//! The audit log: read, listed, written out, and proved.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;

use super::audit_search::absolute;
use super::envelope::{Answer, Envelope};
use super::extract::{Id, Query};
use super::paging::Paging;
use super::problem::Problem;
use super::refusals::{Missing, Refusals};
use super::state::AppState;
use crate::clock::Clock;
use crate::domain::{AuditCondition, AuditField, AuditId, Timestamp};
use crate::store::{AuditQuery, AuditRecord, AuditVerdict, StoreError};

/// Records that an export reads at a time.
const EXPORT_PAGE: u32 = 500;

/// Reads one record of the audit log.
#[utoipa::path(
    get, path = "/fetch/audit/{id}", operation_id = "read_audit_record", tag = "audit",
    security(("api_key" = ["readonly"])),
    params(("id" = AuditId, Path, description = "The record")),
    responses(
        (status = 200, description = "The record", body = Envelope<AuditRecord>),
        Refusals,
        Missing,
    ),
)]
pub(super) async fn read(
    State(app): State<AppState>,
    Id(id): Id<AuditId>,
    query: Query,
) -> Result<Answer<Envelope<AuditRecord>>, Problem> {
    query.done()?;
    Ok(Answer::one(app.store.audit_record(id).await?))
}

/// Lists the audit log, the newest record first.
#[utoipa::path(
    get, path = "/audit", operation_id = "list_audit", tag = "audit",
    security(("api_key" = ["readonly"])),
    params(
        ("class" = Option<String>, Query, description = "Of this class only"),
        ("subclass" = Option<String>, Query, description = "Of this subclass only"),
        ("action" = Option<String>, Query, description = "Of this action only"),
        ("user" = Option<String>, Query, description = "Of this user only"),
        ("original_id" = Option<String>, Query, description = "Of this integration or key only"),
        ("key_id" = Option<String>, Query, description = "Of the key with this id only"),
        ("request_id" = Option<String>, Query, description = "Of this request only"),
        ("address" = Option<String>, Query, description = "Of requests from this address only"),
        ("id" = Option<String>, Query, description = "This record only"),
        ("since" = Option<String>, Query, description = "Not before: RFC 3339, milliseconds since 1970, or negative seconds back"),
        ("until" = Option<String>, Query, description = "Not after, likewise"),
        ("limit" = Option<u32>, Query, description = "At most so many; 1 to 1000, by default 100"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "The records", body = Envelope<Vec<AuditRecord>>),
        Refusals,
    ),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    mut query: Query,
) -> Result<Answer<Envelope<Vec<AuditRecord>>>, Problem> {
    let paging = Paging::take(&mut query, "audit", 100, |number| number.parse().ok());
    let wanted = AuditQuery {
        before: paging.after,
        limit: paging.with_next(),
        ..filters(&mut query, &app.clock)
    };
    query.done()?;
    let mut records = app.store.audit(&wanted).await?;
    let next = paging.cut(&mut records, |(number, _)| number.to_string());
    Ok(Answer::page(
        records.into_iter().map(|(_, record)| record).collect(),
        next,
    ))
}

/// Writes the audit log out, one record a line, the oldest first: in this order each carries the hash of the one before it.
/// Takes the filters of the list; with any of them there are gaps in the chain.
#[utoipa::path(
    get, path = "/audit/export", operation_id = "export_audit", tag = "audit",
    security(("api_key" = ["readonly"])),
    params(
        ("class" = Option<String>, Query, description = "Of this class only"),
        ("subclass" = Option<String>, Query, description = "Of this subclass only"),
        ("action" = Option<String>, Query, description = "Of this action only"),
        ("user" = Option<String>, Query, description = "Of this user only"),
        ("original_id" = Option<String>, Query, description = "Of this integration or key only"),
        ("key_id" = Option<String>, Query, description = "Of the key with this id only"),
        ("request_id" = Option<String>, Query, description = "Of this request only"),
        ("address" = Option<String>, Query, description = "Of requests from this address only"),
        ("id" = Option<String>, Query, description = "This record only"),
        ("since" = Option<String>, Query, description = "Not before: RFC 3339, milliseconds since 1970, or negative seconds back"),
        ("until" = Option<String>, Query, description = "Not after, likewise"),
    ),
    responses(
        (status = 200, description = "The records as NDJSON, each an `AuditRecord`", body = String,
            content_type = "application/x-ndjson",
            example = json!("{\"id\":\"01a20d2a-3996-73a0-af57-c27859874f3e\",\"action\":\"create\",\"user\":\"admin\",\
                \"previous_hash\":\"0000…\",\"hash\":\"7c64…\"}\n")),
        Refusals,
    ),
)]
pub(super) async fn export(State(app): State<AppState>, mut query: Query) -> Result<Response, Problem> {
    let wanted = AuditQuery {
        limit: EXPORT_PAGE,
        ..filters(&mut query, &app.clock)
    };
    query.done()?;
    // The first page is read before the answer begins, so that a fault is told as one.
    let first = app.store.audit_onwards(&wanted, i64::MIN).await?;
    let pages = stream::try_unfold(Some(first), move |page| {
        let (store, wanted) = (app.store.clone(), wanted.clone());
        async move {
            let Some(page) = page else { return Ok(None) };
            let Some((last, _)) = page.last() else {
                return Ok(None);
            };
            let next = if page.len() < EXPORT_PAGE as usize {
                None
            } else {
                Some(store.audit_onwards(&wanted, *last).await.map_err(broken)?)
            };
            let mut lines = Vec::new();
            for (_, record) in &page {
                serde_json::to_writer(&mut lines, record).expect("plain data has a JSON form");
                lines.push(b'\n');
            }
            Ok::<_, std::io::Error>(Some((Bytes::from(lines), next)))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"audit.ndjson\"",
        ),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

/// Checks the chain of the audit log: whether every record is as it was written, and none is missing.
#[utoipa::path(
    get, path = "/audit/verify", operation_id = "verify_audit", tag = "audit",
    security(("api_key" = ["readonly"])),
    params(("head" = Option<String>, Query, description = "A hash that was kept elsewhere: `contains` tells whether it is \
        one of this log's, so that nothing up to it was taken away or written anew")),
    responses(
        (status = 200, description = "What was found; `first_bad` is there when the log is not valid", body = Envelope<AuditVerdict>),
        Refusals,
    ),
)]
pub(super) async fn verify(
    State(app): State<AppState>,
    mut query: Query,
) -> Result<Answer<Envelope<AuditVerdict>>, Problem> {
    let head = query.take("head", |hash| {
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = is_hash.then(|| hash.to_ascii_lowercase());
        hash.ok_or_else(|| "must be 64 hexadecimal digits".to_owned())
    });
    query.done()?;
    // It reads the whole log: one at a time, so that other calls keep their connections.
    let _turn = app.audit_checks.acquire().await;
    let verdict = app.store.verify_audit(head.as_deref()).await?;
    if let Some(problem) = &verdict.problem {
        tracing::error!(record = ?verdict.first_bad, problem, "the audit log is not as it was written");
    }
    Ok(Answer::one(verdict))
}

/// The parameters that say which records are wanted.
fn filters(query: &mut Query, clock: &Clock) -> AuditQuery {
    let mut time = |name| query.take(name, |text| read_time(text, clock.now()));
    let (since, until) = (time("since"), time("until"));
    let equal = AuditField::ALL.into_iter().filter_map(|field| {
        let value = query.take(field.as_str(), |value| Ok(value.to_owned()))?;
        Some(AuditCondition::Equal(field, value))
    });
    AuditQuery {
        since,
        until,
        condition: AuditCondition::All(equal.collect()),
        ..AuditQuery::default()
    }
}

fn read_time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(absolute(number, now));
    }
    // A `+` that was not escaped stands for a space in a query.
    text.replace(' ', "+").parse().map_err(|_| {
        "must be a time as in 2026-11-24T00:00:00Z, milliseconds since 1970, or negative seconds back"
            .to_owned()
    })
}

/// A page that could not be read breaks the answer off, so that nobody takes a part for the whole.
fn broken(error: StoreError) -> std::io::Error {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "an export of the audit log broke off"
    );
    std::io::Error::other("the audit log could not be read on")
}
