//! The column `runs.attempt_log`: each attempt at a run, when and how it ended. Written in the transactions that begin and
//! end attempts.

use sqlx::{Row, SqliteConnection};

use super::StoreError;
use super::owner::LEASE;
use super::runs::{json, json_text};
use crate::domain::{AttemptOutcome, AttemptRecord, Failure, Phase, RunId, Timestamp};

/// How many attempts are kept of a run, the newest. The count of all is `attempts`.
const KEPT: usize = 50;

/// How an attempt ended.
pub(super) struct End<'a> {
    pub(super) outcome: AttemptOutcome,
    pub(super) failure: Option<&'a Failure>,
    pub(super) at: Timestamp,
}

/// Notes that an attempt begins; gives the attempts with it.
pub(super) async fn begin(
    tx: &mut SqliteConnection,
    run: RunId,
    number: u32,
    now: Timestamp,
) -> Result<Vec<AttemptRecord>, StoreError> {
    let (mut log, _) = read(tx, run).await?;
    log.push(AttemptRecord {
        number,
        began_at: now,
        ended_at: None,
        phase: None,
        outcome: None,
        failure: None,
    });
    log.drain(..log.len().saturating_sub(KEPT));
    write(tx, run, &log).await?;
    Ok(log)
}

/// Notes how the attempt under way ended.
pub(super) async fn close(tx: &mut SqliteConnection, run: RunId, end: &End<'_>) -> Result<(), StoreError> {
    let (mut log, phase) = read(tx, run).await?;
    // A run that an older version worked on has no entry of that attempt.
    let Some(last) = log.last_mut() else { return Ok(()) };
    last.ended_at = Some(end.at);
    last.phase = phase;
    last.outcome = Some(end.outcome);
    last.failure = end.failure.cloned();
    write(tx, run, &log).await
}

/// Notes as lost the attempts whose leases ran out before a time, or all leased ones; not those at the runs that the
/// caller `works_on`.
pub(super) async fn close_lost(
    tx: &mut SqliteConnection,
    before: Option<Timestamp>,
    works_on: &[RunId],
) -> Result<(), StoreError> {
    let leased = sqlx::query(
        "SELECT id, lease_until FROM runs \
         WHERE state = 'running' AND lease_until IS NOT NULL AND ($1 IS NULL OR lease_until < $1)",
    );
    let leased = leased
        .bind(before.map(Timestamp::as_millis))
        .fetch_all(&mut *tx)
        .await?;
    for row in leased {
        let id: &str = row.try_get("id")?;
        let run = id.parse().map_err(|_| StoreError::corrupt("runs.id"))?;
        if works_on.contains(&run) {
            continue;
        }
        let lease_until: i64 = row.try_get("lease_until")?;
        let lease_ms = i64::try_from(LEASE.as_millis()).expect("a lease is minutes");
        let end = End {
            outcome: AttemptOutcome::Lost,
            failure: None,
            // Each sign of life set the lease anew.
            at: Timestamp::from_millis(lease_until.saturating_sub(lease_ms)),
        };
        close(tx, run, &end).await?;
    }
    Ok(())
}

async fn read(
    tx: &mut SqliteConnection,
    run: RunId,
) -> Result<(Vec<AttemptRecord>, Option<Phase>), StoreError> {
    let row = sqlx::query("SELECT attempt_log, phase FROM runs WHERE id = $1").bind(run.to_string());
    let row = row.fetch_one(tx).await?;
    let phase: Option<&str> = row.try_get("phase")?;
    Ok((json(&row, "attempt_log")?, phase.and_then(Phase::read)))
}

async fn write(tx: &mut SqliteConnection, run: RunId, log: &[AttemptRecord]) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET attempt_log = $2 WHERE id = $1")
        .bind(run.to_string())
        .bind(json_text(&log))
        .execute(tx)
        .await?;
    Ok(())
}
