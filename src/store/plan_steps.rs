//! The table `plan_steps`: the steps of plans, as they are made and read.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::facts::ROWS_PER_STATEMENT;
use super::owner::write_on;
use super::plan_pages::address;
use super::{ClaimedRun, Store, StoreError};
use crate::domain::{Change, Context, LabelRecord, Labels, Pair, RunId, Timestamp};

/// Steps that are deleted in one transaction, so that other writers get their turn in between.
const SWEEP_ROWS: i64 = 10_000;

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
            row.push_bind(step.pair().ip.to_stored())
                .push_bind(step.pair().context.as_str());
            row.push_bind(word(step))
                .push_bind(step.before().map(Labels::as_lines))
                .push_bind(step.after().map(Labels::as_lines));
        });
        sql.push(")").build().execute(&mut *tx).await?;
    }
    Ok(())
}

const fn word(step: &Change) -> &'static str {
    match step {
        Change::Add(_) => "add",
        Change::Change { .. } => "change",
        Change::Remove { .. } => "remove",
        Change::Hold { .. } => "hold",
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
