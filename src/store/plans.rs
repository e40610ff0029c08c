//! The table `plan_steps`, and what is written when a run's plan is made: facts come into force, removals are kept back.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::facts::ROWS_PER_STATEMENT;
use super::owner::{note_real_start, write_checkpoint, write_on};
use super::plan_pages::address;
use super::run_notes::write_counts;
use super::{AccountId, Actor, ClaimedRun, FactSetId, Orders, Store, StoreError, arrears, holds, runs};
use crate::domain::{Change, Context, Counts, LabelRecord, Labels, Pair, RunId, Timestamp, Trigger};

/// Steps that are deleted in one transaction, so that other writers get their turn in between.
const SWEEP_ROWS: i64 = 10_000;

/// What a plan keeps back until a person approves it. The steps that it may keep back were written as
/// [`Change::Hold`].
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

/// Whether a run's steps are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanRecord {
    /// No plan was made, or not yet.
    None,
    /// They are.
    Kept,
    /// They were.
    Dropped,
}

impl Store {
    /// Begins to write the steps of a run's plan; those of an earlier try go.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::RunEnding`], or when the database cannot.
    pub async fn begin_plan(&self, run: &ClaimedRun, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        write_on(&mut tx, run, now).await?;
        sqlx::query("UPDATE runs SET plan = NULL, hold = NULL WHERE id = $1")
            .bind(run.id().to_string())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.delete_steps(&run.id().to_string()).await
    }

    /// Adds steps to a run's plan, in the order of their pairs.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::RunEnding`], or when the database cannot.
    pub async fn append_plan(
        &self,
        run: &ClaimedRun,
        steps: &[Change],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if steps.is_empty() {
            return Ok(());
        }
        let mut tx = self.write().await?;
        write_on(&mut tx, run, now).await?;
        insert_steps(&mut tx, run, steps).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Puts a plan whose steps are written in force, in one short transaction: its counts, what it keeps back, and its facts,
    /// which come into force; what was kept back before was judged afresh. The run's checkpoint remembers that. The
    /// ledger's marks follow by [`Store::work_off_arrears`]. A run that is dry by now keeps its facts
    /// apart instead, and changes nothing else: the answer's orders say so.
    ///
    /// An approval leaves the marks of what it applies until each pair is removed, and a removal also the facts, so that
    /// either may be cancelled: what is left is then held, or wanted, as it was.
    ///
    /// # Errors
    /// [`StoreError::FactsChanged`] when an integration was deleted since the pages were read, [`StoreError::LeaseLost`],
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
        // What a deleted integration wanted was compared as wanted still.
        if planning.account.is_some() && arrears::is_anybody_departing(&mut tx).await? {
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

    /// The steps of a run's plan after the pair `after`, by pair, at most `limit`; nothing where none are kept.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn plan_steps(
        &self,
        run: RunId,
        after: Option<Pair>,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError> {
        let mut tx = self.read().await?;
        let hold = sqlx::query_scalar("SELECT hold FROM runs WHERE id = $1");
        let hold: Option<String> = hold
            .bind(run.to_string())
            .fetch_optional(&mut *tx)
            .await?
            .flatten();
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT ip, context, ");
        // What a plan may keep back was written as kept back, before that was decided.
        sql.push(match hold.as_deref() {
            Some("nothing") => "CASE change WHEN 'hold' THEN 'remove' ELSE change END AS change",
            _ => "change",
        });
        sql.push(", before, after FROM plan_steps WHERE run_id = ")
            .push_bind(run.to_string());
        if hold.as_deref() == Some("everything") {
            sql.push(" AND change = 'hold'");
        }
        if let Some(after) = after {
            sql.push(" AND (ip, context) > (").push_bind(after.ip.to_stored());
            sql.push(", ").push_bind(after.context.as_str()).push(")");
        }
        sql.push(" ORDER BY ip, context LIMIT ").push_bind(limit);
        let rows = sql.build().fetch_all(&mut *tx).await?;
        rows.iter().map(step).collect()
    }

    /// Whether the steps of a run's plan are kept.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot.
    pub async fn plan_record(&self, run: RunId) -> Result<PlanRecord, StoreError> {
        let row = sqlx::query("SELECT plan FROM runs WHERE id = $1")
            .bind(run.to_string())
            .fetch_optional(&self.readers)
            .await?
            .ok_or(StoreError::NotFound("run"))?;
        match row.try_get::<Option<&str>, _>("plan")? {
            None => Ok(PlanRecord::None),
            Some("kept") => Ok(PlanRecord::Kept),
            Some("dropped") => Ok(PlanRecord::Dropped),
            Some(_) => Err(StoreError::corrupt("runs.plan")),
        }
    }

    /// Deletes the steps of plans that are not kept, some thousand at a time.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn sweep_plans(&self) -> Result<(), StoreError> {
        let runs: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM runs WHERE plan IS NOT 'kept' AND marks IS NULL AND finished_at IS NOT NULL \
             AND EXISTS (SELECT 1 FROM plan_steps WHERE run_id = runs.id)",
        )
        .fetch_all(&self.readers)
        .await?;
        for run in runs {
            self.delete_steps(&run).await?;
        }
        Ok(())
    }

    async fn delete_steps(&self, run: &str) -> Result<(), StoreError> {
        loop {
            let mut tx = self.write().await?;
            let deleted = sqlx::query(
                "DELETE FROM plan_steps WHERE run_id = $1 AND (ip, context) IN \
                 (SELECT ip, context FROM plan_steps WHERE run_id = $1 ORDER BY ip, context LIMIT $2)",
            )
            .bind(run)
            .bind(SWEEP_ROWS)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            if deleted.rows_affected() == 0 {
                return Ok(());
            }
        }
    }
}

/// Adds steps to a run's plan.
pub(super) async fn insert_steps(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    steps: &[Change],
) -> Result<(), StoreError> {
    let run = run.id().to_string();
    for chunk in steps.chunks(ROWS_PER_STATEMENT) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO plan_steps (run_id, ip, context, change, before, after) SELECT ",
        );
        sql.push_bind(&run)
            .push(", column1, column2, column3, column4, column5 FROM (");
        sql.push_values(chunk, |mut row, step| {
            let (word, before, after) = parts(step);
            row.push_bind(step.pair().ip.to_stored())
                .push_bind(step.pair().context.as_str());
            row.push_bind(word)
                .push_bind(before.map(Labels::as_lines))
                .push_bind(after.map(Labels::as_lines));
        });
        sql.push(")").build().execute(&mut *tx).await?;
    }
    Ok(())
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
    holds::note_marks(tx, run, account, planning.hold).await?;
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

fn parts(step: &Change) -> (&'static str, Option<&Labels>, Option<&Labels>) {
    match step {
        Change::Add(record) => ("add", None, Some(&record.labels)),
        Change::Change { record, before } => ("change", before.as_ref(), Some(&record.labels)),
        Change::Remove { before, .. } => ("remove", before.as_ref(), None),
        Change::Hold { before, .. } => ("hold", before.as_ref(), None),
    }
}

fn step(row: &SqliteRow) -> Result<Change, StoreError> {
    let corrupt = StoreError::corrupt;
    let context = Context::read(row.try_get("context")?).ok_or_else(|| corrupt("plan_steps.context"))?;
    let pair = Pair {
        ip: address(row, "plan_steps.ip")?,
        context,
    };
    let labels = |column: &str| -> Result<Option<Labels>, StoreError> {
        let lines: Option<String> = row.try_get(column)?;
        let labels = lines.map(Labels::from_lines).transpose();
        labels.map_err(|_| corrupt("plan_steps.before"))
    };
    let before = labels("before")?;
    let record = |labels: Option<Labels>| {
        labels
            .map(|labels| LabelRecord { pair, labels })
            .ok_or_else(|| corrupt("plan_steps.after"))
    };
    Ok(match row.try_get::<&str, _>("change")? {
        "add" => Change::Add(record(labels("after")?)?),
        "change" => Change::Change {
            record: record(labels("after")?)?,
            before,
        },
        "remove" => Change::Remove { pair, before },
        "hold" => Change::Hold { pair, before },
        _ => return Err(corrupt("plan_steps.change")),
    })
}
