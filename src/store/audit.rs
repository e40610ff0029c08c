//! The table `audit`: who did what, when, in the shape of Fusion's own audit records.

use serde::Serialize;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use utoipa::ToSchema;

use super::audit_chain::FIRST;
use super::canonical::{hash_of, without_fractions};
use super::{Store, StoreError};
use crate::domain::{ApiKeyId, ApiKeyName, AuditCondition, AuditField, AuditId, Timestamp};

/// Who asks for something: an API key's name, or the scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The key's name, or `scheduler`.
    pub user: String,
    /// The key's id; none for the key of the settings and the scheduler.
    pub key_id: Option<ApiKeyId>,
    /// The id of the request, if it came by one.
    pub request_id: Option<String>,
    /// The address it came from, if any.
    pub address: Option<String>,
}

impl Actor {
    /// The service itself.
    pub fn scheduler() -> Self {
        Self::named(ApiKeyName::SCHEDULER)
    }

    /// Someone without a key and a request, by name.
    pub fn named(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            key_id: None,
            request_id: None,
            address: None,
        }
    }

    /// Whose run it is; the request is over.
    pub(super) fn of_run(row: &SqliteRow) -> Result<Self, StoreError> {
        let key_id: Option<&str> = row.try_get("requested_by_key")?;
        let key_id = key_id.map(str::parse).transpose();
        Ok(Self {
            key_id: key_id.map_err(|_| StoreError::corrupt("runs.requested_by_key"))?,
            ..Self::named(row.try_get("requested_by")?)
        })
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the whole meaning")]
pub enum AuditAction {
    Create,
    Update,
    Delete,
    RunStart,
    RunEnd,
    RunHold,
    RunApprove,
    RunCancel,
    Adopt,
    RotateKeys,
    CreateKey,
    DeleteKey,
    Refuse,
    Forbid,
}

impl AuditAction {
    /// The action as it stands in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create | Self::CreateKey => "create",
            Self::Update => "update",
            Self::Delete | Self::DeleteKey => "delete",
            Self::RunStart => "run_start",
            Self::RunEnd => "run_end",
            Self::RunHold => "run_hold",
            Self::RunApprove => "run_approve",
            Self::RunCancel => "run_cancel",
            Self::Adopt => "adopt",
            Self::RotateKeys => "rotate_keys",
            Self::Refuse => "refuse",
            Self::Forbid => "forbid",
        }
    }

    /// Class and subclass of records of the action.
    const fn area(self) -> (&'static str, &'static str) {
        match self {
            Self::CreateKey | Self::DeleteKey => ("api_key", "api_key"),
            Self::Refuse | Self::Forbid => ("authentication", "api_key"),
            _ => ("integration", "context"),
        }
    }
}

/// What is to be recorded of one action. The objects carry no secret.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: AuditAction,
    /// The sentence for the reader.
    pub description: String,
    /// The id of what it was done to; empty where it has none.
    pub original_id: String,
    /// What that was before.
    pub original_object: Option<Value>,
    /// What it is now.
    pub new_object: Option<Value>,
}

/// One record of the audit log, as Fusion's audit calls give it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AuditRecord {
    /// The record's id, a UUIDv7.
    pub id: AuditId,
    /// When it was written, in milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// What area it belongs to: `integration`, `api_key` or `authentication`.
    pub class: String,
    /// What part of the area: `context` or `api_key`.
    pub subclass: String,
    /// What was done: `create`, `update`, `delete`, `run_start`, `run_end`, `run_hold`, `run_approve`, `run_cancel`,
    /// `adopt`, `rotate_keys`; of authentication `refuse` (no valid key) and `forbid` (too narrow a role).
    pub action: String,
    /// The name of the API key that did it, `admin` for the one of the settings, `scheduler`, or `anonymous`.
    pub user: String,
    /// The id of the API key that did it; null for the one of the settings, the scheduler and those without a key.
    pub key_id: Option<String>,
    /// A sentence for the reader.
    pub description: String,
    /// Always empty: nobody acts for another here.
    pub impersonator: Option<String>,
    /// The id of what it was done to.
    pub original_id: Option<String>,
    /// What that was before, without secrets.
    #[schema(value_type = Option<Object>)]
    pub original_object: Option<Value>,
    /// What it is now, without secrets.
    #[schema(value_type = Option<Object>)]
    pub new_object: Option<Value>,
    /// The id of the request that did it.
    pub request_id: Option<String>,
    /// The address that the request came from.
    pub address: Option<String>,
    /// The hash of the record before; 64 zeros for the first one.
    #[schema(example = "0000000000000000000000000000000000000000000000000000000000000000")]
    pub previous_hash: String,
    /// The SHA-256 of this record as canonical JSON without this member.
    #[schema(example = "6b23c0d5f35d1b11f9b683f0b0a617355deb11277d91ae091d399c655b87940d")]
    pub hash: String,
}

/// Which audit records are wanted, the newest first. Texts compare exactly.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Not after this time.
    pub until: Option<Timestamp>,
    /// That are like this.
    pub condition: AuditCondition,
    /// Older than the record of this number: the cursor of the page before.
    pub before: Option<i64>,
    /// So many records are passed over.
    pub offset: u32,
    /// At most so many records.
    pub limit: u32,
}

impl Store {
    /// The records that a query asks for, each with its number for the next page's cursor.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Vec<(i64, AuditRecord)>, StoreError> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT * FROM audit WHERE timestamp_ms >= ");
        sql.push_bind(query.since.map_or(i64::MIN, Timestamp::as_millis));
        sql.push(" AND timestamp_ms <= ")
            .push_bind(query.until.map_or(i64::MAX, Timestamp::as_millis));
        sql.push(" AND number < ")
            .push_bind(query.before.unwrap_or(i64::MAX));
        sql.push(" AND ");
        push_condition(&mut sql, &query.condition);
        sql.push(" ORDER BY number DESC LIMIT ")
            .push_bind(query.limit)
            .push(" OFFSET ")
            .push_bind(query.offset);
        let rows = sql.build().fetch_all(&self.readers).await?;
        rows.iter()
            .map(|row| Ok((row.try_get("number")?, record(row)?)))
            .collect()
    }

    /// One record.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot.
    pub async fn audit_record(&self, id: AuditId) -> Result<AuditRecord, StoreError> {
        let row = sqlx::query("SELECT * FROM audit WHERE id = $1").bind(id.to_string());
        record(
            &row.fetch_optional(&self.readers)
                .await?
                .ok_or(StoreError::NotFound("audit record"))?,
        )
    }
}

/// Writes a record in the transaction of what it tells of, at the end of the chain.
pub(super) async fn append(
    tx: &mut SqliteConnection,
    entry: &AuditEntry,
    now: Timestamp,
) -> Result<(), StoreError> {
    let last = sqlx::query_scalar(
        "SELECT coalesce((SELECT hash FROM audit ORDER BY number DESC LIMIT 1), (SELECT hash FROM audit_anchor))",
    );
    let previous_hash: Option<String> = last.fetch_one(&mut *tx).await?;
    let (class, subclass) = entry.action.area();
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut record = AuditRecord {
        id: AuditId::new(now),
        timestamp: now.as_millis(),
        class: class.to_owned(),
        subclass: subclass.to_owned(),
        action: entry.action.as_str().to_owned(),
        user: entry.actor.user.clone(),
        key_id: entry.actor.key_id.map(|id| id.to_string()),
        description: entry.description.clone(),
        impersonator: None,
        original_id: some(&entry.original_id),
        original_object: entry.original_object.clone().map(without_fractions),
        new_object: entry.new_object.clone().map(without_fractions),
        request_id: entry.actor.request_id.clone(),
        address: entry.actor.address.clone(),
        previous_hash: previous_hash.unwrap_or_else(|| FIRST.to_owned()),
        hash: String::new(),
    };
    record.hash = hash_of(&record);
    sqlx::query(
        "INSERT INTO audit (id, timestamp_ms, class, subclass, action, user, key_id, description, original_id, \
         original_object, new_object, request_id, address, previous_hash, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(record.id.to_string())
    .bind(record.timestamp)
    .bind(&record.class)
    .bind(&record.subclass)
    .bind(&record.action)
    .bind(&record.user)
    .bind(&record.key_id)
    .bind(&record.description)
    .bind(&record.original_id)
    .bind(record.original_object.as_ref().map(Value::to_string))
    .bind(record.new_object.as_ref().map(Value::to_string))
    .bind(&record.request_id)
    .bind(&record.address)
    .bind(&record.previous_hash)
    .bind(&record.hash)
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes a condition as SQL, in brackets. A member that is not there differs from every text, which `IS` says.
pub(super) fn push_condition(sql: &mut QueryBuilder<Sqlite>, condition: &AuditCondition) {
    let parts = match condition {
        AuditCondition::Equal(field, value) => {
            sql.push(column(*field)).push(" IS ").push_bind(value.clone());
            return;
        }
        AuditCondition::NotEqual(field, value) => {
            sql.push(column(*field)).push(" IS NOT ").push_bind(value.clone());
            return;
        }
        AuditCondition::All(parts) => (parts, " AND ", "(1 = 1"),
        AuditCondition::Any(parts) => (parts, " OR ", "(1 = 0"),
    };
    let (parts, join, begin) = parts;
    sql.push(begin);
    for part in parts {
        sql.push(join);
        push_condition(sql, part);
    }
    sql.push(")");
}

const fn column(field: AuditField) -> &'static str {
    // The names of the columns are those of the members.
    field.as_str()
}

pub(super) fn record(row: &SqliteRow) -> Result<AuditRecord, StoreError> {
    let object = |column: &'static str| -> Result<Option<Value>, StoreError> {
        let text: Option<String> = row.try_get(column)?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| StoreError::corrupt("audit objects"))
    };
    Ok(AuditRecord {
        id: row
            .try_get::<&str, _>("id")?
            .parse()
            .map_err(|_| StoreError::corrupt("audit.id"))?,
        timestamp: row.try_get("timestamp_ms")?,
        class: row.try_get("class")?,
        subclass: row.try_get("subclass")?,
        action: row.try_get("action")?,
        user: row.try_get("user")?,
        key_id: row.try_get("key_id")?,
        description: row.try_get("description")?,
        impersonator: None,
        original_id: row.try_get("original_id")?,
        original_object: object("original_object")?,
        new_object: object("new_object")?,
        request_id: row.try_get("request_id")?,
        address: row.try_get("address")?,
        previous_hash: row
            .try_get::<Option<String>, _>("previous_hash")?
            .unwrap_or_default(),
        hash: row.try_get::<Option<String>, _>("hash")?.unwrap_or_default(),
    })
}
