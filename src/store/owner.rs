//! The owner of a run: what it knows of it, and the fence before each of its writes.
//!
//! A claim gives the owner a token; each of its writes carries the token and fails once another has claimed the run.
//! That is a parameter, not a promise: those calls want a [`ClaimedRun`], and only [`Store::claim_run`](super::Store::claim_run)
//! makes one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::removal::Deletion;
use super::runs::{self, json, json_text, optional_json, report_choice};
use super::{AccountId, AuditEntry, CancelOrder, FactSetId, StoreError, Verified};
use crate::domain::{ReportChoice, ReportId, ReportRunId, RunId, RunRecord, Timestamp};

/// How long a run stays its owner's without a sign of life.
pub(super) const LEASE: Duration = Duration::from_mins(2);

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
    /// The time of the report, where it only confirmed facts that are in force already.
    pub confirmed_at: Option<Timestamp>,
    /// The Fusion account that was planned for.
    pub account: Option<AccountId>,
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

/// The run of a row that was just claimed with a token.
pub(super) fn claimed(row: &SqliteRow, token: String) -> Result<ClaimedRun, StoreError> {
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
