//! The table `runs` as a queue: who works on a run, and what only its owner may write.
//!
//! A claim gives the owner a token; each of its writes carries the token and fails once another has claimed the run.
//! That is a parameter, not a promise: those calls want a [`ClaimedRun`], and only [`Store::claim_run`] makes one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::removal::Deletion;
use super::run_notes::rest_progress;
use super::runs::{self, json, json_text, optional_json, report_choice};
use super::{
    Actor, AuditEntry, CancelOrder, FactSetId, Store, StoreError, Verified, attempts, holds, removal,
};
use crate::domain::{
    AttemptOutcome, Failure, ReportChoice, ReportId, ReportRunId, RunId, RunRecord, RunState, SettingsTag,
    Timestamp, Trigger,
};

/// How long a run stays its owner's without a sign of life.
pub(super) const LEASE: Duration = Duration::from_mins(2);

/// No attempt is put off for longer than this.
pub const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What of a run need not be done again after a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkpoint {
    /// What the report that was about to be made is asked, so that it is recognised and not made again.
    pub creating: Option<String>,
    /// The rerun of the report that was about to be asked for, so that it is recognised and not asked for again.
    pub rerun: Option<Rerun>,
    /// The run of the report that this run reads.
    pub report_run: Option<ReportRunId>,
    /// What the report was asked for that run, where that is known.
    pub asked: Option<String>,
    /// Whether this run changed what the report is asked, so that earlier runs of it were asked something else.
    pub changed: bool,
    /// The facts that were read from it as a whole.
    pub facts: Option<FactSetId>,
    /// Whether they are in force, and the push has begun.
    pub planned: bool,
    /// Whether the plan keeps something back, so that the run ends held.
    pub held: bool,
    /// How far a verification has come that reads address by address.
    pub verified: Option<Verified>,
    /// What the audit log is to tell of the integration that a removal deletes.
    pub deletes: Option<Deletion>,
}

/// A rerun of a report, known by the run that was the newest before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerun {
    /// The report.
    pub report: ReportId,
    /// Its newest run before, with the time of that.
    pub previous: Option<(ReportRunId, Timestamp)>,
}

/// A run in the hands of its owner.
#[derive(Clone, Debug)]
pub struct ClaimedRun {
    /// The record as it was when claimed.
    pub record: RunRecord,
    /// Whether every wanted pair is to be sent.
    pub full: bool,
    /// What need not be done again.
    pub checkpoint: Checkpoint,
    /// The held run that this one applies, if it is an approval.
    pub approves: Option<RunId>,
    /// Attempts in a row, this one among them, that brought no progress. One that ended with the process counts too.
    pub fruitless: u32,
    token: String,
}

/// What an owner's write tells it of the run's orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    /// Whether the run is dry, which a later start may have changed.
    pub dry_run: bool,
    /// Whether every wanted pair is to be sent.
    pub full: bool,
    /// Which run of the report is to be read, which a later start may have changed.
    pub report: ReportChoice,
    /// The order to end, if there is one.
    pub cancel: Option<CancelOrder>,
}

/// How an attempt ended that does not end its run.
#[derive(Clone, Debug)]
pub struct AttemptEnd {
    /// Why it ended; `None` when the service stops and the run goes on at its next start.
    pub failure: Option<Failure>,
    /// Whether it brought the run further.
    pub progressed: bool,
    /// When the next may begin.
    pub resume_at: Timestamp,
}

/// How a run ends.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The final state.
    pub state: RunState,
    /// Why, when it failed.
    pub failure: Option<Failure>,
}

/// What came of the wish to end a run as succeeded.
#[derive(Clone, Debug)]
pub enum Completion {
    /// It ended.
    Ended(Box<RunRecord>),
    /// A start that joined it asked for more than was done: it has to go on.
    MoreAsked(Orders),
}

impl Store {
    /// Frees the runs that a stopped service left behind, so that they go on at once.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn release_all_runs(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        attempts::close_lost(&mut tx, None, &[]).await?;
        let freed = sqlx::query(
            "UPDATE runs SET lease_token = NULL, lease_until = NULL, resume_at = $1 WHERE state IN ('queued', 'running')",
        );
        let freed = freed
            .bind(now.as_millis())
            .execute(&mut *tx)
            .await?
            .rows_affected();
        tx.commit().await?;
        Ok(freed)
    }

    /// Claims the run that has waited longest among those that may begin or go on. Those that the caller `works_on` are no
    /// candidates, though their leases seem to have run out: as after a clock was set forward.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn claim_run(
        &self,
        now: Timestamp,
        works_on: &[RunId],
    ) -> Result<Option<ClaimedRun>, StoreError> {
        let token = Uuid::new_v4().to_string();
        let mut tx = self.write().await?;
        attempts::close_lost(&mut tx, Some(now), works_on).await?;
        let mut sql = QueryBuilder::<Sqlite>::new("UPDATE runs SET state = 'running', lease_token = ");
        sql.push_bind(&token)
            .push(", lease_until = ")
            .push_bind((now + LEASE).as_millis());
        sql.push(", attempts = attempts + 1, fruitless = fruitless + 1, started_at = coalesce(started_at, ");
        sql.push_bind(now.as_millis());
        // One that never began waits for nothing, and no pause is longer than the longest: a time beyond that is of a clock
        // that was set back since.
        sql.push(
            ") WHERE id = (SELECT id FROM runs WHERE state IN ('queued', 'running') AND (state = 'queued' OR resume_at NOT BETWEEN ",
        );
        sql.push_bind(now.as_millis() + 1)
            .push(" AND ")
            .push_bind((now + LONGEST_PAUSE).as_millis());
        sql.push(") AND (lease_until IS NULL OR lease_until < ");
        sql.push_bind(now.as_millis()).push(")");
        for run in works_on {
            sql.push(" AND id <> ").push_bind(run.to_string());
        }
        sql.push(" ORDER BY queued_at, id LIMIT 1) RETURNING *");
        let row = sql.build().fetch_optional(&mut *tx).await?;
        let Some(row) = row else { return Ok(None) };
        let mut claimed = claimed(&row, token)?;
        claimed.record.attempt_log =
            attempts::begin(&mut tx, claimed.id(), claimed.record.attempts, now).await?;
        tx.commit().await?;
        Ok(Some(claimed))
    }

    /// When the next run may be claimed, if none may now.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn next_claim_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let at: Option<i64> = sqlx::query_scalar(
            "SELECT min(max(resume_at, coalesce(lease_until + 1, 0))) FROM runs WHERE state IN ('queued', 'running')",
        )
        .fetch_one(&self.readers)
        .await?;
        Ok(at.map(Timestamp::from_millis))
    }

    /// Begins an attempt: notes which settings it reads and that a real start was made, makes the run dry where there is
    /// no Fusion account to push to, and full when as many successes as `full_push_every` have passed.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn begin_attempt(
        &self,
        run: &ClaimedRun,
        tag: SettingsTag,
        has_account: bool,
        full_push_every: u32,
        now: Timestamp,
    ) -> Result<Orders, StoreError> {
        let mut tx = self.write().await?;
        // A dry run that a person asked for does not put off the schedule; one for want of an account does.
        if !touch(&mut tx, run, now).await?.dry_run {
            note_real_start(&mut tx, run, now).await?;
        }
        sqlx::query(
            "UPDATE runs SET settings_tag = $2, dry_run = max(dry_run, $3), failure = NULL, \
             full = max(full, $5 AND (SELECT successes + 1 >= $4 FROM integrations WHERE id = integration_id)) WHERE id = $1",
        )
        .bind(run.id().to_string())
        .bind(tag.0)
        .bind(!has_account)
        .bind(full_push_every)
        .bind(run.record.trigger.fetches_report())
        .execute(&mut *tx)
        .await?;
        let orders = touch(&mut tx, run, now).await?;
        tx.commit().await?;
        Ok(orders)
    }

    /// A sign of life: extends the lease.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn extend_lease(&self, run: &ClaimedRun, now: Timestamp) -> Result<Orders, StoreError> {
        let mut tx = self.write().await?;
        let orders = touch(&mut tx, run, now).await?;
        tx.commit().await?;
        Ok(orders)
    }

    /// Gives a run back unfinished, to go on at a time.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn end_attempt(
        &self,
        run: &ClaimedRun,
        end: &AttemptEnd,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        touch(&mut tx, run, now).await?;
        let failure = end.failure.as_ref();
        let outcome = failure.map_or(AttemptOutcome::Interrupted, |_| AttemptOutcome::Failed);
        let at = now;
        attempts::close(&mut tx, run.id(), &attempts::End { outcome, failure, at }).await?;
        let detail = failure.map(|_| format!("waits until {} for the next attempt", end.resume_at));
        rest_progress(&mut tx, run.id(), detail).await?;
        sqlx::query(
            "UPDATE runs SET lease_token = NULL, lease_until = NULL, resume_at = $2, failure = $3, \
             fruitless = CASE WHEN $4 THEN 0 WHEN $3 IS NULL THEN max(fruitless - 1, 0) ELSE fruitless END WHERE id = $1",
        )
        .bind(run.id().to_string())
        .bind(end.resume_at.as_millis())
        .bind(end.failure.as_ref().map(json_text))
        .bind(end.progressed)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends a run as succeeded, or as held where its plan kept something back, with its audit record, when what was done is
    /// what its orders still ask for.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn complete_run(
        &self,
        run: &ClaimedRun,
        done: &Orders,
        now: Timestamp,
    ) -> Result<Completion, StoreError> {
        let mut tx = self.write().await?;
        let orders = touch(&mut tx, run, now).await?;
        if (orders.dry_run, orders.full) != (done.dry_run, done.full) {
            return Ok(Completion::MoreAsked(orders));
        }
        let held = run.checkpoint.held && !orders.dry_run;
        let ending = Ending {
            state: if held { RunState::Held } else { RunState::Succeeded },
            failure: None,
        };
        let record = end(&mut tx, run, &orders, &ending, now).await?;
        tx.commit().await?;
        Ok(Completion::Ended(Box::new(record)))
    }

    /// Ends a run that did not succeed, with its audit record.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn finish_run(
        &self,
        run: &ClaimedRun,
        ending: &Ending,
        now: Timestamp,
    ) -> Result<RunRecord, StoreError> {
        let mut tx = self.write().await?;
        let orders = touch(&mut tx, run, now).await?;
        let record = end(&mut tx, run, &orders, ending, now).await?;
        tx.commit().await?;
        Ok(record)
    }
}

/// Ends a run and records it.
async fn end(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    orders: &Orders,
    ending: &Ending,
    now: Timestamp,
) -> Result<RunRecord, StoreError> {
    let attempt = attempts::End {
        outcome: AttemptOutcome::of_last(ending.state),
        failure: ending.failure.as_ref(),
        at: now,
    };
    attempts::close(&mut *tx, run.id(), &attempt).await?;
    rest_progress(&mut *tx, run.id(), None).await?;
    let row = sqlx::query(
        "UPDATE runs SET state = $2, failure = $3, finished_at = $4, lease_token = NULL, lease_until = NULL \
         WHERE id = $1 RETURNING *",
    )
    .bind(run.id().to_string())
    .bind(ending.state.as_str())
    .bind(ending.failure.as_ref().map(json_text))
    .bind(now.as_millis())
    .fetch_one(&mut *tx)
    .await?;
    let record = runs::record(&row)?;
    if ending.state == RunState::Succeeded && !record.dry_run && record.trigger.fetches_report() {
        sqlx::query(
            "UPDATE integrations SET successes = CASE WHEN $2 THEN 0 ELSE successes + 1 END WHERE id = $1",
        )
        .bind(record.integration.to_string())
        .bind(row.try_get::<bool, _>("full")?)
        .execute(&mut *tx)
        .await?;
    }
    let actor = match orders
        .cancel
        .as_ref()
        .filter(|_| ending.state == RunState::Cancelled)
    {
        Some(order) => order.actor(),
        None => Actor::of_run(&row)?,
    };
    runs::append_run_end(tx, &record, actor, now).await?;
    if ending.state == RunState::Succeeded && record.trigger == Trigger::Approval {
        // Those that somebody else wants by now, at the value that they have.
        holds::release(tx, record.integration, None).await?;
    }
    if ending.state == RunState::Succeeded && record.trigger == Trigger::Removal {
        let deletion = run.checkpoint.deletes.clone();
        let deletion = deletion.ok_or_else(|| StoreError::corrupt("runs.checkpoint"))?;
        removal::complete(tx, &record, deletion, now).await?;
    }
    Ok(record)
}

impl ClaimedRun {
    /// The run's id.
    pub const fn id(&self) -> RunId {
        self.record.id
    }
}

/// Begins a write of an owner that brings its run further: [`StoreError::RunEnding`] once the run was told to end, for what
/// it works on may have changed or be gone.
pub(super) async fn write_on(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    now: Timestamp,
) -> Result<Orders, StoreError> {
    let orders = touch(tx, run, now).await?;
    match orders.cancel {
        Some(_) => Err(StoreError::RunEnding(run.id())),
        None => Ok(orders),
    }
}

/// Extends the lease of a run that is still its owner's; every write of an owner begins so, those that bring it further by
/// [`write_on`].
pub(super) async fn touch(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    now: Timestamp,
) -> Result<Orders, StoreError> {
    let row = sqlx::query(
        "UPDATE runs SET lease_until = $3 WHERE id = $1 AND lease_token = $2 AND state = 'running' \
         RETURNING dry_run, full, report_choice, cancel",
    )
    .bind(run.id().to_string())
    .bind(&run.token)
    .bind((now + LEASE).as_millis())
    .fetch_optional(tx)
    .await?
    .ok_or(StoreError::LeaseLost)?;
    Ok(Orders {
        dry_run: row.try_get("dry_run")?,
        full: row.try_get("full")?,
        report: report_choice(&row)?,
        cancel: optional_json(&row, "cancel")?,
    })
}

pub(super) async fn note_real_start(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !run.record.trigger.fetches_report() {
        return Ok(());
    }
    sqlx::query("UPDATE integrations SET last_started_at = $2 WHERE id = $1")
        .bind(run.record.integration.to_string())
        .bind(run.record.started_at.unwrap_or(now).as_millis())
        .execute(tx)
        .await?;
    Ok(())
}

/// Begins the count of fruitless attempts anew: something was done that need not be done again.
pub(super) async fn note_advance(tx: &mut SqliteConnection, run: &ClaimedRun) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET fruitless = 0 WHERE id = $1")
        .bind(run.id().to_string())
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn write_checkpoint(tx: &mut SqliteConnection, run: &ClaimedRun) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET checkpoint = $2 WHERE id = $1")
        .bind(run.id().to_string())
        .bind(json_text(&run.checkpoint))
        .execute(tx)
        .await?;
    Ok(())
}

/// Remembers what the audit log is to tell of the integration that a removal deletes.
pub(super) async fn note_deletion(
    tx: &mut SqliteConnection,
    run: RunId,
    entry: &AuditEntry,
) -> Result<(), StoreError> {
    let checkpoint = Checkpoint {
        deletes: Some(Deletion::new(entry)),
        ..Checkpoint::default()
    };
    sqlx::query("UPDATE runs SET checkpoint = $2 WHERE id = $1")
        .bind(run.to_string())
        .bind(json_text(&checkpoint))
        .execute(tx)
        .await?;
    Ok(())
}

fn claimed(row: &SqliteRow, token: String) -> Result<ClaimedRun, StoreError> {
    Ok(ClaimedRun {
        record: runs::record(row)?,
        full: row.try_get("full")?,
        checkpoint: json(row, "checkpoint")?,
        approves: row
            .try_get::<Option<&str>, _>("approves")?
            .map(|run| run.parse().map_err(|_| StoreError::corrupt("runs.approves")))
            .transpose()?,
        fruitless: row.try_get("fruitless")?,
        token,
    })
}
