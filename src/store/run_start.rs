//! The beginning of runs: each start makes a row of the table `runs`, or joins the one that is unfinished.

use sqlx::SqliteConnection;

use super::runs::{self, Newest, to_json};
use super::{Actor, AuditAction, AuditEntry, Store, StoreError, audit};
use crate::domain::{IntegrationId, RunFlags, RunId, RunRecord, Timestamp, Trigger};

/// What asks for a run.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// Who.
    pub actor: Actor,
    /// By what.
    pub trigger: Trigger,
    /// What for.
    pub flags: RunFlags,
    /// Whether it may join a run under way.
    pub may_join: bool,
}

impl RunStart {
    /// A start that may join.
    pub const fn new(actor: Actor, trigger: Trigger, flags: RunFlags) -> Self {
        Self {
            actor,
            trigger,
            flags,
            may_join: true,
        }
    }
}

/// The run that a start came to.
#[derive(Clone, Debug)]
pub struct StartedRun {
    /// Its record.
    pub record: RunRecord,
    /// Whether it was under way before.
    pub joined: bool,
}

impl Store {
    /// Starts a run, or joins the one under way: a dry one then becomes real, and full, when this start is. One that was to
    /// read the last report asks for a new one when this start does, unless it has chosen its report already.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such integration, [`StoreError::RunEnding`] when the one under way was told
    /// to end, [`StoreError::RunUnderWay`] when it cannot be joined, or when the database cannot.
    pub async fn start_run(
        &self,
        integration: IntegrationId,
        start: &RunStart,
        now: Timestamp,
    ) -> Result<StartedRun, StoreError> {
        let mut tx = self.write().await?;
        let started = self::start(&mut tx, integration, start, None, now).await?;
        tx.commit().await?;
        Ok(started)
    }

    /// Takes the last start of an integration for one of now, when it lies in the future: the clock was set back since.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn forget_future_start(
        &self,
        integration: IntegrationId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE integrations SET last_started_at = $2 WHERE id = $1 AND last_started_at > $2")
            .bind(integration.to_string())
            .bind(now.as_millis())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Starts or joins a run within a transaction; an approval names the run that it `approves`.
pub(super) async fn start(
    tx: &mut SqliteConnection,
    integration: IntegrationId,
    start: &RunStart,
    approves: Option<RunId>,
    now: Timestamp,
) -> Result<StartedRun, StoreError> {
    let exists = sqlx::query("SELECT 1 FROM integrations WHERE id = $1").bind(integration.to_string());
    if exists.fetch_optional(&mut *tx).await?.is_none() {
        return Err(StoreError::NotFound("integration"));
    }
    if let Some(active) = runs::newest(tx, integration, Newest::Active).await? {
        let record = join(tx, active, start, now).await?;
        return Ok(StartedRun { record, joined: true });
    }
    let row = sqlx::query(
        "INSERT INTO runs (id, integration_id, state, trigger, requested_by, dry_run, full, resume_at, queued_at, \
         approves, approved_by, report_choice, certificate, requested_by_key) \
         VALUES ($1, $2, 'queued', $3, $4, $5, $6, $7, $7, $8, CASE WHEN $8 IS NULL THEN NULL ELSE $4 END, $9, \
         (SELECT certificate FROM runs WHERE id = $8), $10) RETURNING *",
    )
    .bind(RunId::new(now).to_string())
    .bind(integration.to_string())
    .bind(start.trigger.as_str())
    .bind(&start.actor.user)
    .bind(start.flags.dry_run)
    .bind(start.flags.full)
    .bind(now.as_millis())
    .bind(approves.map(|run| run.to_string()))
    .bind(start.flags.report.as_str())
    .bind(start.actor.key_id.map(|id| id.to_string()))
    .fetch_one(&mut *tx)
    .await?;
    if start.trigger == Trigger::Schedule {
        // Also when it is cancelled before it begins: else it would be due again at once.
        let started = sqlx::query("UPDATE integrations SET last_started_at = $2 WHERE id = $1");
        started
            .bind(integration.to_string())
            .bind(now.as_millis())
            .execute(&mut *tx)
            .await?;
    }
    let record = runs::record(&row)?;
    let description = format!(
        "{}un {} was asked for ({})",
        if start.flags.dry_run { "Dry r" } else { "R" },
        record.id,
        start.trigger.as_str()
    );
    append_run_start(tx, start, &record, description, now).await?;
    Ok(StartedRun {
        record,
        joined: false,
    })
}

/// Joins a run under way. When that makes it more than it was, who asked for more is on record, and is whose run it is.
async fn join(
    tx: &mut SqliteConnection,
    active: RunRecord,
    start: &RunStart,
    now: Timestamp,
) -> Result<RunRecord, StoreError> {
    if active.cancellation.is_some() {
        return Err(StoreError::RunEnding(active.id));
    }
    if !start.may_join || !active.trigger.can_serve(start.trigger) {
        return Err(StoreError::RunUnderWay(active.id, active.trigger));
    }
    let more = sqlx::query(
        "UPDATE runs SET dry_run = min(dry_run, $2), full = max(full, $3), requested_by = $4, \
         requested_by_key = $6, report_choice = CASE WHEN $5 = 'rerun' AND checkpoint ->> 'report_run' IS NULL THEN $5 ELSE report_choice END \
         WHERE id = $1 AND (dry_run > $2 OR full < $3 \
         OR (report_choice <> $5 AND $5 = 'rerun' AND checkpoint ->> 'report_run' IS NULL)) RETURNING *",
    )
    .bind(active.id.to_string())
    .bind(start.flags.dry_run)
    .bind(start.flags.full)
    .bind(&start.actor.user)
    .bind(start.flags.report.as_str())
    .bind(start.actor.key_id.map(|id| id.to_string()))
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = more else {
        return Ok(active);
    };
    let record = runs::record(&row)?;
    let description = format!(
        "Run {} was joined ({}): it is {}{}{} now",
        record.id,
        start.trigger.as_str(),
        if record.dry_run { "dry" } else { "real" },
        if start.flags.full { " and full" } else { "" },
        if record.report_choice == active.report_choice {
            ""
        } else {
            ", of a new report,"
        },
    );
    append_run_start(tx, start, &record, description, now).await?;
    Ok(record)
}

async fn append_run_start(
    tx: &mut SqliteConnection,
    start: &RunStart,
    record: &RunRecord,
    description: String,
    now: Timestamp,
) -> Result<(), StoreError> {
    let entry = AuditEntry {
        actor: start.actor.clone(),
        action: AuditAction::RunStart,
        description,
        original_id: record.integration.to_string(),
        original_object: None,
        new_object: Some(to_json(record)),
    };
    audit::append(tx, &entry, now).await
}
