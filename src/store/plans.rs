//! What is written when a run's plan is made: facts come into force, removals are kept back.

use sqlx::SqliteConnection;

use super::owner::{note_real_start, write_checkpoint, write_on};
use super::run_notes::write_counts;
use super::{AccountId, Actor, ClaimedRun, FactSetId, Orders, Store, StoreError, arrears, marks, runs};
use crate::domain::{Counts, Timestamp, Trigger};

/// What a plan keeps back until a person approves it. The steps that it may keep back were written as
/// [`Change::Hold`](crate::domain::Change::Hold).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// Nothing: those steps are removals.
    #[default]
    Nothing,
    /// These removals.
    Removals,
    /// Everything, these removals among it: the facts stay as they were.
    Everything,
}

impl Hold {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Removals => "removals",
            Self::Everything => "everything",
        }
    }
}

/// A plan that was made and is to be written down.
#[derive(Clone, Debug, Default)]
pub struct Planning {
    /// The facts that it comes from; `None`: those in force.
    pub set: Option<FactSetId>,
    /// The Fusion account; without one the run is dry.
    pub account: Option<AccountId>,
    /// What it comes to.
    pub counts: Counts,
    /// The pairs that the integration wants.
    pub pairs: u64,
    /// What is kept back.
    pub hold: Hold,
}

impl Store {
    /// Puts a plan whose steps are written in force, in one short transaction: its counts, what it keeps back, and its facts,
    /// which come into force; what was kept back before was judged afresh. The run's checkpoint remembers that. The ledger's
    /// marks follow by [`Store::work_off_arrears`]. A run that is dry by now keeps its facts apart instead, and changes
    /// nothing else: the answer's orders say so.
    ///
    /// An approval leaves the marks of what it applies until each pair is removed, and a removal also the facts, so that
    /// either may be cancelled: what is left is then held, or wanted, as it was.
    ///
    /// # Errors
    /// [`StoreError::FactsChanged`] when the ledger is behind what was decided since the pages were read, [`StoreError::LeaseLost`],
    /// [`StoreError::RunEnding`], or when the database cannot.
    pub async fn plan_facts(
        &self,
        run: &mut ClaimedRun,
        planning: &Planning,
        now: Timestamp,
    ) -> Result<Orders, StoreError> {
        let mut tx = self.write().await?;
        // A start that joined may have asked for more than can be done without a Fusion account.
        sqlx::query("UPDATE runs SET dry_run = max(dry_run, $2) WHERE id = $1")
            .bind(run.id().to_string())
            .bind(planning.account.is_none())
            .execute(&mut *tx)
            .await?;
        let orders = write_on(&mut tx, run, now).await?;
        // What was decided since the pages were read is not in them, such as that an integration wants nothing any more.
        if planning.account.is_some() && arrears::are_any(&mut tx).await? {
            return Err(StoreError::FactsChanged);
        }
        write_counts(&mut tx, run, &planning.counts).await?;
        sqlx::query("UPDATE runs SET hold = $2 WHERE id = $1")
            .bind(run.id().to_string())
            .bind(planning.hold.as_str())
            .execute(&mut *tx)
            .await?;
        let before = run.checkpoint.clone();
        if !orders.dry_run {
            run.checkpoint.account = planning.account;
            run.checkpoint.held = planning.hold != Hold::Nothing;
            run.checkpoint.planned = planning.hold != Hold::Everything;
        }
        let written = write_plan(&mut tx, run, planning, &orders, now).await;
        let committed = match written {
            Ok(()) => tx.commit().await.map_err(StoreError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = committed {
            run.checkpoint = before;
            return Err(error);
        }
        Ok(orders)
    }
}

async fn write_plan(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    planning: &Planning,
    orders: &Orders,
    now: Timestamp,
) -> Result<(), StoreError> {
    match run.record.trigger {
        _ if orders.dry_run => move_facts(tx, run, planning, "dry").await?,
        Trigger::Removal => {}
        Trigger::Approval => move_facts(tx, run, planning, "in_force").await?,
        _ => {
            keep_back(tx, run, planning, now).await?;
            // A report without findings waits with its run; it may have been a dry run's until now.
            let state = if run.checkpoint.planned {
                "in_force"
            } else {
                "staged"
            };
            move_facts(tx, run, planning, state).await?;
        }
    }
    if !orders.dry_run {
        note_real_start(tx, run, now).await?;
    }
    write_checkpoint(tx, run).await?;
    keep_plan(tx, run, orders).await
}

/// Notes that the ledger's marks are to become those of this plan, and puts what is kept back on record.
async fn keep_back(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    planning: &Planning,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(account) = planning.account else {
        return Ok(());
    };
    marks::note(tx, run, account, planning.hold).await?;
    if planning.hold == Hold::Nothing {
        return Ok(());
    }
    let row = runs::row_of(tx, run.id()).await?;
    let actor = Actor::of_run(&row)?;
    runs::append_run_hold(tx, &runs::record(&row)?, actor, now).await
}

/// Moves the plan's facts to a state that one set of the integration has.
async fn move_facts(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    planning: &Planning,
    state: &str,
) -> Result<(), StoreError> {
    let Some(set) = planning.set else {
        return Ok(());
    };
    // Before the other, so that the index of one set in force is never hurt. A report without findings that an earlier run
    // kept back can be approved no more once facts come into force.
    sqlx::query(
        "UPDATE fact_sets SET state = 'stale' WHERE integration_id = $1 AND id <> $3 \
         AND (state = $2 OR (state = 'staged' AND $2 = 'in_force'))",
    )
    .bind(run.record.integration.to_string())
    .bind(state)
    .bind(set.0)
    .execute(&mut *tx)
    .await?;
    // Facts that a report only confirmed are in force already, by the report before; a dry run leaves them so.
    let confirmed = run.checkpoint.confirmed_at;
    if confirmed.is_some() && state != "in_force" {
        return Ok(());
    }
    let moved = sqlx::query(
        "UPDATE fact_sets SET state = $2, pairs = $3, report_run_at = coalesce($4, report_run_at), \
             run_id = CASE WHEN $4 IS NULL THEN run_id ELSE $5 END \
         WHERE id = $1 AND (state IN ('staged', 'dry') OR (state = 'in_force' AND $4 IS NOT NULL)) \
         AND EXISTS (SELECT 1 FROM runs WHERE certificate IS NOT NULL \
             AND runs.id = CASE WHEN $4 IS NULL THEN fact_sets.run_id ELSE $5 END)",
    )
    .bind(set.0)
    .bind(state)
    .bind(i64::try_from(planning.pairs).unwrap_or(i64::MAX))
    .bind(confirmed.map(Timestamp::as_millis))
    .bind(run.id().to_string())
    .execute(&mut *tx)
    .await?;
    if moved.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::NotFound("staged set of facts with a certificate"))
    }
}

/// Keeps this run's plan, and of the others the newest of each kind: real, dry and held. Verifications have theirs apart.
async fn keep_plan(tx: &mut SqliteConnection, run: &ClaimedRun, orders: &Orders) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE runs SET plan = 'dropped' WHERE integration_id = $1 AND plan = 'kept' AND id <> $2 AND dry_run = $3 \
         AND trigger <> 'verify' AND ($4 OR state <> 'held')",
    )
    .bind(run.record.integration.to_string())
    .bind(run.id().to_string())
    .bind(orders.dry_run)
    .bind(run.checkpoint.held && !orders.dry_run)
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE runs SET plan = 'kept' WHERE id = $1")
        .bind(run.id().to_string())
        .execute(&mut *tx)
        .await?;
    Ok(())
}
