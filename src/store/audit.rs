//! The table `audit`: who did what, when, in the shape of Fusion's own audit records.

use serde::Serialize;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use utoipa::ToSchema;

use super::{Store, StoreError};
use crate::domain::{AuditId, Timestamp};

/// Who asks for something: an API key's name, or the scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The key's name, or `scheduler`.
    pub user: String,
    /// The id of the request, if it came by one.
    pub request_id: Option<String>,
    /// The address it came from, if any.
    pub address: Option<String>,
}

impl Actor {
    /// The service itself.
    pub fn scheduler() -> Self {
        Self::named("scheduler".to_owned())
    }

    /// Someone whose request is over.
    pub(super) const fn named(user: String) -> Self {
        Self {
            user,
            request_id: None,
            address: None,
        }
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
}

impl AuditAction {
    /// The action as it stands in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::RunStart => "run_start",
            Self::RunEnd => "run_end",
            Self::RunHold => "run_hold",
            Self::RunApprove => "run_approve",
            Self::RunCancel => "run_cancel",
            Self::Adopt => "adopt",
        }
    }
}

/// What is to be recorded of one action on an integration or its runs. The objects carry no secret.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: AuditAction,
    /// The sentence for the reader.
    pub description: String,
    /// The id of what it was done to.
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
    /// What area it belongs to: `integration`.
    pub class: String,
    /// What part of the area: `context`.
    pub subclass: String,
    /// What was done: `create`, `update`, `delete`, `run_start`, `run_end`, `run_hold`, `run_approve`, `run_cancel`,
    /// `adopt`.
    pub action: String,
    /// The name of the API key that did it, or `scheduler`.
    pub user: String,
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
}

/// Which audit records are wanted, the newest first. Texts compare exactly.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Not after this time.
    pub until: Option<Timestamp>,
    /// With these values: column name (`class`, `subclass`, `action`, `user`, `original_id`) and value.
    pub equal: Vec<(AuditField, String)>,
    /// Older than the record of this number: the cursor of the page before.
    pub before: Option<i64>,
    /// So many records are passed over.
    pub offset: u32,
    /// At most so many records.
    pub limit: u32,
}

/// A column of the audit log that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the record's members")]
pub enum AuditField {
    Class,
    Subclass,
    Action,
    User,
    OriginalId,
}

impl AuditField {
    /// The field of a record's member.
    pub fn read(name: &str) -> Option<Self> {
        Some(match name {
            "class" => Self::Class,
            "subclass" => Self::Subclass,
            "action" => Self::Action,
            "user" => Self::User,
            "original_id" => Self::OriginalId,
            _ => return None,
        })
    }

    const fn condition(self) -> &'static str {
        match self {
            Self::Class => " AND class = ",
            Self::Subclass => " AND subclass = ",
            Self::Action => " AND action = ",
            Self::User => " AND user = ",
            Self::OriginalId => " AND original_id = ",
        }
    }
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
        for (field, value) in &query.equal {
            sql.push(field.condition()).push_bind(value);
        }
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

/// Writes a record in the transaction of what it tells of.
pub(super) async fn append(
    tx: &mut SqliteConnection,
    entry: &AuditEntry,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit (id, timestamp_ms, class, subclass, action, user, description, original_id, \
         original_object, new_object, request_id, address) \
         VALUES ($1, $2, 'integration', 'context', $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(AuditId::new(now).to_string())
    .bind(now.as_millis())
    .bind(entry.action.as_str())
    .bind(&entry.actor.user)
    .bind(&entry.description)
    .bind(&entry.original_id)
    .bind(entry.original_object.as_ref().map(Value::to_string))
    .bind(entry.new_object.as_ref().map(Value::to_string))
    .bind(&entry.actor.request_id)
    .bind(&entry.actor.address)
    .execute(tx)
    .await?;
    Ok(())
}

fn record(row: &SqliteRow) -> Result<AuditRecord, StoreError> {
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
        description: row.try_get("description")?,
        impersonator: None,
        original_id: row.try_get("original_id")?,
        original_object: object("original_object")?,
        new_object: object("new_object")?,
        request_id: row.try_get("request_id")?,
        address: row.try_get("address")?,
    })
}
