//! The marks of what is held, in the ledger: by each plan of an integration they are taken away and written anew.

use sqlx::{Row, SqliteConnection};

use super::arrears::{PAIRS_PER_WRITE, some_held};
use super::write::Write;
use super::{AccountId, ClaimedRun, Hold, Store, StoreError};

/// A run whose marks are to be written.
struct Marks {
    run: String,
    integration: String,
    account: i64,
}

/// A place in an order of pairs: address and context, as they are stored.
type Place = (Vec<u8>, String);

const UNMARK: &str = concat!(
    "UPDATE ledger SET held_by = NULL, held_for = NULL WHERE ",
    some_held!()
);

const MARK: &str = "UPDATE ledger SET held_by = $1, held_for = $2 WHERE account = $3 AND (ip, context) IN ( \
     SELECT ip, context FROM plan_steps WHERE run_id = $1 AND change = 'hold' AND (ip, context) >= ($4, $5) \
     ORDER BY ip, context LIMIT $6)";

impl Store {
    /// Makes the marks in the ledger those of the last plans.
    pub(super) async fn write_marks(&self) -> Result<(), StoreError> {
        let marks = sqlx::query(
            "SELECT id, integration_id, marks, hold FROM runs WHERE marks IS NOT NULL ORDER BY id",
        )
        .fetch_all(&self.readers)
        .await?;
        for row in marks {
            let marks = Marks {
                run: row.try_get("id")?,
                integration: row.try_get("integration_id")?,
                account: row.try_get("marks")?,
            };
            self.unmark(&marks).await?;
            if row.try_get::<Option<&str>, _>("hold")? != Some("nothing") {
                self.mark(&marks).await?;
            }
            let mut tx = self.write().await?;
            sqlx::query("UPDATE runs SET marks = NULL WHERE id = $1")
                .bind(&marks.run)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Takes away what the integration's plans marked up to now.
    async fn unmark(&self, marks: &Marks) -> Result<(), StoreError> {
        while let Some(mut tx) = self.begin_marks(marks).await? {
            let unmarked = sqlx::query(UNMARK)
                .bind(&marks.integration)
                .bind(marks.account)
                .bind(PAIRS_PER_WRITE)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            if unmarked.rows_affected() == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Marks the pairs that a run's plan keeps back.
    async fn mark(&self, marks: &Marks) -> Result<(), StoreError> {
        let mut from: Place = Default::default();
        loop {
            let Some(mut tx) = self.begin_marks(marks).await? else {
                return Ok(());
            };
            // The first that this transaction leaves to the next.
            let next: Option<Place> = sqlx::query_as(
                "SELECT ip, context FROM plan_steps WHERE run_id = $1 AND change = 'hold' AND (ip, context) >= ($2, $3) \
                 ORDER BY ip, context LIMIT 1 OFFSET $4",
            )
            .bind(&marks.run)
            .bind(&from.0)
            .bind(&from.1)
            .bind(PAIRS_PER_WRITE)
            .fetch_optional(&mut *tx)
            .await?;
            sqlx::query(MARK)
                .bind(&marks.run)
                .bind(&marks.integration)
                .bind(marks.account)
                .bind(&from.0)
                .bind(&from.1)
                .bind(PAIRS_PER_WRITE)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Begins to write marks; `None` when there are none to write any more, for the integration was deleted.
    async fn begin_marks(&self, marks: &Marks) -> Result<Option<Write>, StoreError> {
        let mut tx = self.write().await?;
        let pending =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs WHERE id = $1 AND marks IS NOT NULL)");
        let pending: bool = pending.bind(&marks.run).fetch_one(&mut *tx).await?;
        Ok(pending.then_some(tx))
    }
}

/// Notes that the marks of a run's integration are to become those of its plan: new ones, or none where there are some.
/// [`Store::work_off_arrears`] makes them so.
pub(super) async fn note(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    account: AccountId,
    hold: Hold,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE runs SET marks = CASE WHEN $2 OR EXISTS ( \
             SELECT 1 FROM ledger WHERE held_for = $3 AND account = $4) THEN $4 END WHERE id = $1",
    )
    .bind(run.id().to_string())
    .bind(hold != Hold::Nothing)
    .bind(run.record.integration.to_string())
    .bind(account.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes that the marks of an approval's integration are to go from its account, as nothing is kept back there any more.
/// [`Store::work_off_arrears`] takes them away.
pub(super) async fn note_release(tx: &mut SqliteConnection, run: &ClaimedRun) -> Result<(), StoreError> {
    match run.checkpoint.account {
        Some(account) => note(tx, run, account, Hold::Nothing).await,
        None => Ok(()),
    }
}

/// Whether any are still to be written.
pub(super) async fn are_pending(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs WHERE marks IS NOT NULL)")
            .fetch_one(connection)
            .await?,
    )
}

#[cfg(test)]
mod tests {
    use super::super::database::tests::{assert_looked_up, store};
    use super::*;

    #[tokio::test]
    async fn pairs_are_looked_up() {
        let (store, _folder) = store().await;
        for statement in [MARK, UNMARK] {
            assert_looked_up(&store, statement).await;
        }
    }

    /// A run whose plan keeps one pair back, after an earlier one kept back another; it ended before any mark was written.
    const KEPT_BACK: &str = "
        INSERT INTO fusion_accounts VALUES (1, 'api.netography.com', 'acme');
        INSERT INTO runs (id, integration_id, state, trigger, requested_by, dry_run, full, resume_at, queued_at, finished_at,
            plan, hold, marks) VALUES ('new', 'i', 'cancelled', 'manual', 'admin', 0, 0, 1, 1, 2, 'dropped', 'removals', 1);
        INSERT INTO plan_steps VALUES ('new', x'040a000001', 'vuln_count', 'hold', '1', NULL),
            ('new', x'040a000002', 'vuln_count', 'remove', '2', NULL);
        INSERT INTO ledger (account, ip, context, acknowledged, run_id, held_for, held_by) VALUES
            (1, x'040a000001', 'vuln_count', '1', 'r', NULL, NULL),
            (1, x'040a000002', 'vuln_count', '2', 'r', 'i', 'earlier'),
            (1, x'040a000003', 'vuln_count', '3', 'r', 'i', 'older'),
            (1, x'040a000004', 'vuln_count', '4', 'r', 'j', 'others');";

    #[tokio::test]
    async fn marks_of_a_run_that_was_cut_off_are_written_by_whoever_comes_next() {
        let (store, _folder) = store().await;
        let mut tx = store.write().await.unwrap();
        sqlx::raw_sql(KEPT_BACK).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        // Its plan is kept no longer, but its steps tell what is to be marked: they stay until then.
        store.sweep_plans().await.unwrap();
        for _ in 0..2 {
            store.work_off_arrears().await.unwrap();
            let marks: Vec<Option<String>> = sqlx::query_scalar("SELECT held_by FROM ledger ORDER BY ip")
                .fetch_all(&store.readers)
                .await
                .unwrap();
            let marks: Vec<_> = marks.iter().map(Option::as_deref).collect();
            assert_eq!(marks, [Some("new"), None, None, Some("others")]);
        }
        store.sweep_plans().await.unwrap();
        let steps: i64 = sqlx::query_scalar("SELECT count(*) FROM plan_steps")
            .fetch_one(&store.readers)
            .await
            .unwrap();
        assert_eq!(steps, 0);
    }
}
