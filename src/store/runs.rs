//! The table `runs`: cancelling and reading runs. They begin in `run_start`; their owners' writes are in `owner` and beside it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::run_notes::rest_progress;
use super::{Actor, AuditAction, AuditEntry, Store, StoreError, audit};
use crate::domain::{
    ApiKeyId, Cancellation, Counts, IntegrationId, Phase, ReportChoice, RunId, RunRecord, RunState,
    SettingsTag, Timestamp, Trigger,
};

/// By whom and why a run is to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOrder {
    /// The name of the key, or `scheduler`.
    pub user: String,
    /// The id of the key, if it has one.
    #[serde(default)]
    pub key_id: Option<ApiKeyId>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The address it came from.
    pub address: Option<String>,
    /// Why, as the end of a sentence.
    pub reason: String,
}

impl CancelOrder {
    /// An order of a person or of the service.
    pub fn by(actor: &Actor, reason: &str) -> Self {
        let Actor {
            user,
            key_id,
            request_id,
            address,
        } = actor.clone();
        Self {
            user,
            key_id,
            request_id,
            address,
            reason: reason.to_owned(),
        }
    }

    /// The order that an edit of where an integration points gives.
    pub fn edited(actor: &Actor) -> Self {
        Self::by(actor, "edited")
    }

    /// Who gave it.
    pub fn actor(&self) -> Actor {
        Actor {
            user: self.user.clone(),
            key_id: self.key_id,
            request_id: self.request_id.clone(),
            address: self.address.clone(),
        }
    }
}

/// Which runs are wanted, the newest first.
#[derive(Clone, Debug, Default)]
pub struct RunsQuery {
    /// Of this integration only.
    pub integration: Option<IntegrationId>,
    /// Older than this one: the cursor of the page before.
    pub before: Option<RunId>,
    /// At most so many.
    pub limit: u32,
}

/// Which newest run of an integration is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Newest {
    Active,
    Ended,
    Success,
    /// A dry run that succeeded.
    DrySuccess,
}

impl Newest {
    /// What the columns of such a run hold.
    pub(super) const fn condition(self) -> &'static str {
        match self {
            Self::Active => "state IN ('queued', 'running')",
            Self::Ended => "state NOT IN ('queued', 'running')",
            Self::Success => "state = 'succeeded' AND dry_run = 0 AND trigger NOT IN ('removal', 'verify')",
            Self::DrySuccess => "state = 'succeeded' AND dry_run = 1 AND trigger <> 'verify'",
        }
    }
}

impl Store {
    /// Orders an unfinished run to end. One that nobody works on ends at once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::RunEnded`], or when the database cannot.
    pub async fn cancel_run(
        &self,
        id: RunId,
        order: &CancelOrder,
        now: Timestamp,
    ) -> Result<RunRecord, StoreError> {
        let mut tx = self.write().await?;
        let before = record(&row_of(&mut tx, id).await?)?;
        if before.state.is_final() {
            return Err(StoreError::RunEnded(before.state));
        }
        cancel_unfinished(&mut tx, before.integration, order, now).await?;
        let after = record(&row_of(&mut tx, id).await?)?;
        tx.commit().await?;
        Ok(after)
    }

    /// One run.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot.
    pub async fn run(&self, id: RunId) -> Result<RunRecord, StoreError> {
        record(&row_of(&mut *self.readers.acquire().await?, id).await?)
    }

    /// The runs that a query asks for.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn runs(&self, query: &RunsQuery) -> Result<Vec<RunRecord>, StoreError> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT * FROM runs WHERE 1 = 1");
        if let Some(integration) = query.integration {
            sql.push(" AND integration_id = ")
                .push_bind(integration.to_string());
        }
        if let Some(before) = query.before {
            sql.push(" AND id < ").push_bind(before.to_string());
        }
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(query.limit);
        sql.build()
            .fetch_all(&self.readers)
            .await?
            .iter()
            .map(record)
            .collect()
    }

    /// The newest successful dry run of an integration with these settings, not older than `since`.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn recent_dry_run(
        &self,
        integration: IntegrationId,
        tag: SettingsTag,
        since: Timestamp,
    ) -> Result<Option<RunRecord>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        let newest = newest(&mut connection, integration, Newest::DrySuccess).await?;
        Ok(newest.filter(|run| {
            run.settings_etag.as_deref() == Some(&tag.to_string())
                && run.finished_at.is_some_and(|at| at >= since)
        }))
    }
}

/// Orders the unfinished run of an integration, if there is one, to end; ends it at once when nobody works on it.
pub(super) async fn cancel_unfinished(
    tx: &mut SqliteConnection,
    integration: IntegrationId,
    order: &CancelOrder,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "UPDATE runs SET cancel = coalesce(cancel, $2), \
         state = CASE WHEN lease_token IS NULL THEN 'cancelled' ELSE state END, \
         finished_at = CASE WHEN lease_token IS NULL THEN $3 ELSE finished_at END \
         WHERE integration_id = $1 AND state IN ('queued', 'running') RETURNING *",
    )
    .bind(integration.to_string())
    .bind(json_text(order))
    .bind(now.as_millis())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let mut record = record(&row)?;
    if record.state.is_final() {
        rest_progress(tx, record.id, None).await?;
        record.progress.detail = None;
    }
    let entry = AuditEntry {
        actor: order.actor(),
        action: AuditAction::RunCancel,
        description: format!("Run {} was cancelled: {}", record.id, order.reason),
        original_id: integration.to_string(),
        original_object: None,
        new_object: Some(to_json(&record)),
    };
    audit::append(tx, &entry, now).await?;
    if record.state.is_final() {
        append_run_end(tx, &record, order.actor(), now).await?;
    }
    Ok(())
}

/// Records that a run ended.
pub(super) async fn append_run_end(
    tx: &mut SqliteConnection,
    record: &RunRecord,
    actor: Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    let entry = AuditEntry {
        actor,
        action: AuditAction::RunEnd,
        description: format!("Run {} ended: {}", record.id, record.state.as_str()),
        original_id: record.integration.to_string(),
        original_object: None,
        new_object: Some(to_json(record)),
    };
    audit::append(tx, &entry, now).await
}

/// Records that a run kept something back.
pub(super) async fn append_run_hold(
    tx: &mut SqliteConnection,
    record: &RunRecord,
    actor: Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    let entry = AuditEntry {
        actor,
        action: AuditAction::RunHold,
        description: format!(
            "Run {} kept the removal of {} pairs back until a person approves it",
            record.id, record.counts.held
        ),
        original_id: record.integration.to_string(),
        original_object: None,
        new_object: Some(to_json(record)),
    };
    audit::append(tx, &entry, now).await
}

pub(super) async fn newest(
    connection: &mut SqliteConnection,
    integration: IntegrationId,
    which: Newest,
) -> Result<Option<RunRecord>, StoreError> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT * FROM runs WHERE integration_id = ");
    sql.push_bind(integration.to_string()).push(format_args!(
        " AND {} ORDER BY id DESC LIMIT 1",
        which.condition()
    ));
    let row = sql.build().fetch_optional(connection).await?;
    row.as_ref().map(record).transpose()
}

pub(super) async fn row_of(connection: &mut SqliteConnection, id: RunId) -> Result<SqliteRow, StoreError> {
    let row = sqlx::query("SELECT * FROM runs WHERE id = $1").bind(id.to_string());
    row.fetch_optional(connection)
        .await?
        .ok_or(StoreError::NotFound("run"))
}

/// The record of a row.
pub(super) fn record(row: &SqliteRow) -> Result<RunRecord, StoreError> {
    let corrupt = StoreError::corrupt;
    let time = |column: &str| -> Result<Option<Timestamp>, StoreError> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
    };
    let phase: Option<&str> = row.try_get("phase")?;
    let tag: Option<i64> = row.try_get("settings_tag")?;
    let state = RunState::read(row.try_get("state")?).ok_or_else(|| corrupt("runs.state"))?;
    let counts: Counts = json(row, "counts")?;
    let cancel: Option<CancelOrder> = optional_json(row, "cancel")?;
    let cancellation = cancel.map(|CancelOrder { user, reason, .. }| Cancellation {
        user,
        reason,
        pushed: (state == RunState::Cancelled).then(|| Cancellation::pushed_in_words(counts.pushed)),
    });
    Ok(RunRecord {
        id: row
            .try_get::<&str, _>("id")?
            .parse()
            .map_err(|_| corrupt("runs.id"))?,
        integration: row
            .try_get::<&str, _>("integration_id")?
            .parse()
            .map_err(|_| corrupt("runs.integration_id"))?,
        state,
        phase: phase
            .map(|phase| Phase::read(phase).ok_or_else(|| corrupt("runs.phase")))
            .transpose()?,
        trigger: Trigger::read(row.try_get("trigger")?).ok_or_else(|| corrupt("runs.trigger"))?,
        dry_run: row.try_get("dry_run")?,
        report_choice: report_choice(row)?,
        attempts: row.try_get("attempts")?,
        attempt_log: json(row, "attempt_log")?,
        settings_etag: tag.map(|tag| SettingsTag(tag).to_string()),
        progress: json(row, "progress")?,
        certificate: optional_json(row, "certificate")?,
        counts,
        skipped: json(row, "skipped")?,
        warnings: json(row, "warnings")?,
        failure: optional_json(row, "failure")?,
        cancellation,
        approved_by: row.try_get("approved_by")?,
        queued_at: time("queued_at")?.unwrap_or_default(),
        started_at: time("started_at")?,
        finished_at: time("finished_at")?,
    })
}

/// Which run of the report a row's run is to read.
pub(super) fn report_choice(row: &SqliteRow) -> Result<ReportChoice, StoreError> {
    ReportChoice::read(row.try_get("report_choice")?).ok_or_else(|| StoreError::corrupt("runs.report_choice"))
}

/// The value of a JSON column.
pub(super) fn json<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T, StoreError> {
    optional_json(row, column)?.ok_or_else(|| StoreError::corrupt(column))
}

pub(super) fn optional_json<T: DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|_| StoreError::corrupt(column))
}

/// A value as the text of a JSON column.
pub(super) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data has a JSON form")
}

pub(super) fn to_json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("plain data has a JSON form")
}
