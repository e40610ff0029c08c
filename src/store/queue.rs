//! The table `runs` as a queue: whose turn it is, and how the work on a run begins, pauses and ends.

use std::time::Duration;

use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::owner::{ClaimedRun, LEASE, Orders, claimed, note_real_start, touch};
use super::run_notes::rest_progress;
use super::runs::{self, json_text};
use super::{Actor, Store, StoreError, attempts, marks, removal};
use crate::domain::{AttemptOutcome, Failure, RunId, RunRecord, RunState, SettingsTag, Timestamp, Trigger};

/// No attempt is put off for longer than this.
pub const LONGEST_PAUSE: Duration = Duration::from_hours(1);

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
        marks::note_release(tx, run).await?;
    }
    if ending.state == RunState::Succeeded && record.trigger == Trigger::Removal {
        let deletion = run.checkpoint.deletes.clone();
        let deletion = deletion.ok_or_else(|| StoreError::corrupt("runs.checkpoint"))?;
        removal::complete(tx, &record, deletion, now).await?;
    }
    Ok(record)
}
