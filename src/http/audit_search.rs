//! The search of the audit log, in the shape of Fusion's own.

use axum::extract::State;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::envelope::{Answer, Envelope};
use super::extract::{Json, Query};
use super::faults::Faults;
use super::problem::Problem;
use super::refusals::{BodyRefusals, Refusals};
use super::state::AppState;
use crate::domain::{AuditCondition, Timestamp};
use crate::store::{AuditQuery, AuditRecord};

/// Absolute times below this are seconds, those from it on milliseconds: it is the year 5138 in seconds, and 1973 in
/// milliseconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// A search in the audit log.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "the schema of the body; it is read member by member to name every fault at once"
)]
pub(super) struct AuditSearch {
    /// From when on: milliseconds since 1970 UTC (seconds where below 10¹¹), or negative seconds back from now.
    #[schema(example = -86400)]
    start: i64,
    /// Until when, likewise; 0 is now.
    #[schema(example = 0)]
    end: i64,
    /// At most so many records; 1 to 1000, by default 1000.
    #[schema(minimum = 1, maximum = 1000)]
    size: Option<u32>,
    /// So many are passed over; by default none.
    from: Option<u32>,
    /// The members that each record is to have; all when left out.
    #[schema(max_items = 100)]
    include: Option<Vec<String>>,
    /// Comparisons (`field == value`, `field != value`) joined by `&&` and `||`, with brackets; `&&` binds closer. Values with
    /// spaces or signs go into quotes. Fields: `class`, `subclass`, `action`, `user`, `original_id`, `key_id`, `request_id`,
    /// `address`, `id`. A member that a record does not have differs from every value.
    #[schema(example = "action == run_end && user != scheduler")]
    search: Option<String>,
}

/// Searches the audit log, the newest record first.
#[utoipa::path(
    post, path = "/search/audit", operation_id = "search_audit", tag = "audit",
    security(("api_key" = ["readonly"])),
    request_body = AuditSearch,
    responses(
        (status = 200, description = "The records", body = Envelope<Vec<AuditRecord>>),
        Refusals,
        BodyRefusals,
    ),
)]
pub(super) async fn search(
    State(app): State<AppState>,
    query: Query,
    Json(body): Json,
) -> Result<Answer<Envelope<Vec<Value>>>, Problem> {
    query.done()?;
    let (query, include) = read_search(&body, app.clock.now())?;
    let records = app.store.audit(&query).await?;
    let record = |record: &AuditRecord| {
        let mut value = serde_json::to_value(record).expect("plain data has a JSON form");
        if let (Value::Object(members), Some(include)) = (&mut value, &include) {
            members.retain(|name, _| include.contains(name));
        }
        value
    };
    Ok(Answer::page(
        records.iter().map(|(_, found)| record(found)).collect(),
        None,
    ))
}

fn read_search(body: &Value, now: Timestamp) -> Result<(AuditQuery, Option<Vec<String>>), Problem> {
    let empty = Map::new();
    let members = body.as_object().unwrap_or(&empty);
    let mut faults = Faults::default();
    if !body.is_object() {
        faults.add("", "must be an object with `start` and `end`");
    }
    let known = ["start", "end", "size", "from", "include", "search"];
    faults.refuse_unknown(members, "", &known, "is not a member of a search");
    let mut time = |member: &str| match members.get(member).map(Value::as_i64) {
        Some(Some(time)) => Some(absolute(time, now)),
        Some(None) => {
            faults.add(format!("/{member}"), "must be a whole number");
            None
        }
        None => {
            faults.add(
                format!("/{member}"),
                "is missing: milliseconds since 1970, or negative seconds back",
            );
            None
        }
    };
    let (since, until) = (time("start"), time("end"));
    let mut number =
        |member: &str, bounds: std::ops::RangeInclusive<u64>, default: u32| match members.get(member) {
            None | Some(Value::Null) => default,
            Some(value) => {
                let number = value.as_u64().filter(|number| bounds.contains(number));
                number
                    .and_then(|number| u32::try_from(number).ok())
                    .unwrap_or_else(|| {
                        let detail = format!(
                            "must be a whole number from {} to {}",
                            bounds.start(),
                            bounds.end()
                        );
                        faults.add(format!("/{member}"), detail);
                        default
                    })
            }
        };
    let (limit, offset) = (
        number("size", 1..=1000, 1000),
        number("from", 0..=u64::from(u32::MAX), 0),
    );
    let include: Option<Vec<String>> = match members.get("include") {
        None | Some(Value::Null) => None,
        Some(value) => match serde_json::from_value::<Vec<String>>(value.clone()) {
            Ok(include) if include.len() <= 100 => Some(include).filter(|include| !include.is_empty()),
            _ => {
                faults.add("/include", "must be an array of at most 100 names of members");
                None
            }
        },
    };
    let condition = match members.get("search") {
        None | Some(Value::Null) => Ok(AuditCondition::default()),
        Some(Value::String(text)) => AuditCondition::read(text).map_err(|error| error.to_string()),
        Some(_) => Err("must be a text, as in `action == run_end && user != scheduler`".to_owned()),
    };
    let condition = condition.unwrap_or_else(|detail| {
        faults.add("/search", detail);
        AuditCondition::default()
    });
    faults.none()?;
    Ok((
        AuditQuery {
            since,
            until,
            condition,
            before: None,
            offset,
            limit,
        },
        include,
    ))
}

/// A time as Fusion's searches have it.
pub(super) fn absolute(time: i64, now: Timestamp) -> Timestamp {
    match time {
        0 => now,
        ..0 => Timestamp::from_millis(now.as_millis().saturating_add(time.saturating_mul(1000))),
        1..MILLISECONDS_FROM => Timestamp::from_millis(time * 1000),
        _ => Timestamp::from_millis(time),
    }
}
