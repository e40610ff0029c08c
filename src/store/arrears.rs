//! Arrears: what was decided in a short transaction, and is still to be written in the ledger, some thousand pairs at a
//! time. Who has the turn to plan does all of it first, so that no plan is made without it.
//!
//! - A plan that keeps removals back, or no longer: the marks of its integration become those of its steps.
//! - A deleted integration: its pairs that no other wants leave the ledger.
//!
//! Each transaction looks first whether its work is still to be done, and does nothing twice: two may work side by side,
//! and one that was cut off is gone on with.

use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::write::Write;
use super::{Store, StoreError};
use crate::domain::IntegrationId;

/// Pairs that are written in one transaction: some tenths of a second, so that other writers get their turn in between.
const PAIRS_PER_WRITE: i64 = 20_000;

/// A run whose marks are to be written.
struct Marks {
    run: String,
    integration: String,
    account: i64,
}

/// A place in an order of pairs: address and context, as they are stored.
type Place = (Vec<u8>, String);

impl Store {
    /// Does what is left to do in the ledger before anybody may plan.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn work_off_arrears(&self) -> Result<(), StoreError> {
        while !self.forget_departed().await? {
            self.renew_marks().await?;
        }
        Ok(())
    }

    /// Makes the marks in the ledger those of the last plans.
    async fn renew_marks(&self) -> Result<(), StoreError> {
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
            if row.try_get::<Option<&str>, _>("hold")? != Some("nothing") {
                self.mark(&marks).await?;
            }
            self.unmark(&marks).await?;
        }
        Ok(())
    }

    /// Takes what only deleted integrations wanted out of the ledger; `false` when marks are to be written before, for what
    /// is kept back for others stays.
    async fn forget_departed(&self) -> Result<bool, StoreError> {
        let mut tx = self.read().await?;
        let departed: Vec<(String, Option<i64>)> =
            sqlx::query_as("SELECT integration_id, fact_set FROM departures")
                .fetch_all(&mut *tx)
                .await?;
        if are_marks_pending(&mut tx).await? {
            return Ok(false);
        }
        drop(tx);
        for (integration, set) in departed {
            if !self.forget(integration, set).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Marks the pairs that a run's plan keeps back.
    async fn mark(&self, marks: &Marks) -> Result<(), StoreError> {
        let mut from: Place = Default::default();
        loop {
            let Some(mut tx) = self.write_marks(marks).await? else {
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

    /// Takes away what earlier runs of the integration marked, and notes that this is done.
    async fn unmark(&self, marks: &Marks) -> Result<(), StoreError> {
        // Two ranges of the index, for `<>` would read all that this run marked each time.
        let mut others = ["<", ">"].into_iter().peekable();
        while let Some(other) = others.peek() {
            let Some(mut tx) = self.write_marks(marks).await? else {
                return Ok(());
            };
            let unmark = format!(
                "UPDATE ledger SET held_by = NULL, held_for = NULL WHERE (account, ip, context) IN ( \
                 SELECT account, ip, context FROM ledger WHERE held_for = $2 AND held_by {other} $1 AND account = $3 LIMIT $4)"
            );
            let unmarked = sqlx::query(AssertSqlSafe(unmark))
                .bind(&marks.run)
                .bind(&marks.integration)
                .bind(marks.account)
                .bind(PAIRS_PER_WRITE)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            if unmarked.rows_affected() == 0 {
                others.next();
            }
        }
        let mut tx = self.write().await?;
        sqlx::query("UPDATE runs SET marks = NULL WHERE id = $1")
            .bind(&marks.run)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Begins to write marks; `None` when another has written them all.
    async fn write_marks(&self, marks: &Marks) -> Result<Option<Write>, StoreError> {
        let mut tx = self.write().await?;
        let pending =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs WHERE id = $1 AND marks IS NOT NULL)");
        let pending: bool = pending.bind(&marks.run).fetch_one(&mut *tx).await?;
        Ok(pending.then_some(tx))
    }

    /// Takes the pairs out of the ledger, in all accounts, that only a deleted integration wanted; those that it kept back
    /// and others want are no longer kept back. `false` when marks are to be written before.
    async fn forget(&self, integration: String, set: Option<i64>) -> Result<bool, StoreError> {
        let accounts: Vec<i64> = sqlx::query_scalar("SELECT id FROM fusion_accounts")
            .fetch_all(&self.readers)
            .await?;
        for account in accounts {
            let mut from = Some(Vec::<u8>::new());
            while let Some(start) = from {
                let mut tx = self.write().await?;
                if !is_departing(&mut tx, &integration).await? {
                    return Ok(true);
                }
                if are_marks_pending(&mut tx).await? {
                    return Ok(false);
                }
                // Up to the address before which this transaction ends.
                from = sqlx::query_scalar(
                    "SELECT ip FROM ledger WHERE account = $1 AND ip >= $2 ORDER BY ip LIMIT 1 OFFSET $3",
                )
                .bind(account)
                .bind(&start)
                .bind(PAIRS_PER_WRITE)
                .fetch_optional(&mut *tx)
                .await?;
                for statement in [FORGET, RELEASE] {
                    sqlx::query(statement)
                        .bind(&integration)
                        .bind(account)
                        .bind(&start)
                        .bind(from.as_ref())
                        .bind(set)
                        .execute(&mut *tx)
                        .await?;
                }
                tx.commit().await?;
            }
        }
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM departures WHERE integration_id = $1")
            .bind(&integration)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }
}

const MARK: &str = "UPDATE ledger SET held_by = $1, held_for = $2 WHERE account = $3 AND (ip, context) IN ( \
     SELECT ip, context FROM plan_steps WHERE run_id = $1 AND change = 'hold' AND (ip, context) >= ($4, $5) \
     ORDER BY ip, context LIMIT $6)";

/// `CROSS JOIN` keeps the order: the few sets first, whose addresses are then looked up. The other way round all addresses
/// would be read for each pair.
const FORGET: &str = "DELETE FROM ledger WHERE account = $2 AND ip >= $3 AND ($4 IS NULL OR ip < $4) \
     AND (held_for = $1 OR held_for IS NULL AND EXISTS (SELECT 1 FROM fact_addresses own WHERE own.fact_set = $5 AND own.ip = ledger.ip)) \
     AND NOT EXISTS (SELECT 1 FROM fact_sets s CROSS JOIN fact_addresses a CROSS JOIN facts f \
         WHERE a.fact_set = s.id AND a.ip = ledger.ip AND f.fact_set = a.fact_set AND f.asset_no = a.asset_no \
         AND s.state = 'in_force' AND s.integration_id <> $1 \
         AND CASE ledger.context WHEN 'vuln_count' THEN TRUE WHEN 'cvss_rating' THEN f.rating IS NOT NULL \
             WHEN 'cvss_score' THEN f.score IS NOT NULL ELSE length(f.cves) > 0 END)";

const RELEASE: &str = "UPDATE ledger SET held_by = NULL, held_for = NULL \
     WHERE account = $2 AND ip >= $3 AND ($4 IS NULL OR ip < $4) AND held_for = $1 AND ($5 IS NULL OR TRUE)";

/// Notes that an integration, which is being deleted, is still to leave the ledger.
pub(super) async fn depart(tx: &mut SqliteConnection, id: IntegrationId) -> Result<(), StoreError> {
    // What its last plan was to keep back it keeps back no longer, like all that is its own.
    sqlx::query("UPDATE runs SET marks = NULL WHERE integration_id = $1 AND marks IS NOT NULL")
        .bind(id.to_string())
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO departures (integration_id, fact_set) SELECT $1, \
             (SELECT id FROM fact_sets WHERE integration_id = $1 AND state = 'in_force') \
         WHERE EXISTS (SELECT 1 FROM fact_sets WHERE integration_id = $1 AND state = 'in_force') \
            OR EXISTS (SELECT 1 FROM ledger WHERE held_for = $1)",
    )
    .bind(id.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether marks of an integration are still to be written.
pub(super) async fn has_marks_to_write(
    tx: &mut SqliteConnection,
    id: IntegrationId,
) -> Result<bool, StoreError> {
    let any = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM runs WHERE integration_id = $1 AND marks IS NOT NULL)",
    );
    Ok(any.bind(id.to_string()).fetch_one(tx).await?)
}

async fn are_marks_pending(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs WHERE marks IS NOT NULL)")
            .fetch_one(connection)
            .await?,
    )
}

/// Whether any deleted integration is still to leave the ledger.
pub(super) async fn is_anybody_departing(tx: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM departures)")
        .fetch_one(tx)
        .await?)
}

async fn is_departing(tx: &mut SqliteConnection, integration: &str) -> Result<bool, StoreError> {
    let departing = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM departures WHERE integration_id = $1)");
    Ok(departing.bind(integration).fetch_one(tx).await?)
}

#[cfg(test)]
mod tests {
    use super::super::database::tests::store;
    use super::*;

    /// How SQLite carries a statement out.
    async fn explained(store: &Store, statement: &str) -> Vec<String> {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explain).fetch_all(&store.readers).await.unwrap();
        rows.iter().map(|row| row.get("detail")).collect()
    }

    #[tokio::test]
    async fn pairs_and_facts_are_looked_up_and_not_read_as_a_whole() {
        let (store, _folder) = store().await;
        for statement in [MARK, FORGET, RELEASE] {
            let steps = explained(&store, statement).await;
            let scans = steps.iter().filter(|step| step.starts_with("SCAN "));
            // The few sets of facts may be read as a whole.
            let of_rows: Vec<_> = scans.filter(|step| !step.starts_with("SCAN s")).collect();
            assert!(of_rows.is_empty(), "{steps:#?}");
        }
        let steps = explained(&store, MARK).await;
        assert!(
            steps
                .iter()
                .any(|step| step.contains("ledger") && step.contains("ip=? AND context=?")),
            "{steps:#?}"
        );
    }

    /// A deleted integration that is still to leave the ledger, and one that wants one of its two pairs.
    const DELETED: &str = "
        INSERT INTO fusion_accounts VALUES (1, 'api.netography.com', 'acme');
        INSERT INTO fact_sets (id, integration_id, run_id, state, report_run_at, created_at) VALUES
            (1, 'deleted', 'r', 'stale', 1, 1), (2, 'other', 'r', 'in_force', 1, 1);
        INSERT INTO facts VALUES (1, 0, x'01', 'vm', 1, NULL, NULL, x'', 1), (2, 0, x'02', 'vm', 1, NULL, NULL, x'', 1);
        INSERT INTO fact_addresses VALUES (1, x'040a000001', 0), (1, x'040a000002', 0), (2, x'040a000002', 0);
        INSERT INTO ledger (account, ip, context, acknowledged, run_id, held_for, held_by) VALUES
            (1, x'040a000001', 'vuln_count', '1', 'r', NULL, NULL),
            (1, x'040a000002', 'vuln_count', '2', 'r', 'deleted', 'r'),
            (1, x'040a000003', 'vuln_count', '3', 'r', 'deleted', 'r'),
            (1, x'040a000004', 'vuln_count', '4', 'r', NULL, NULL);
        INSERT INTO departures VALUES ('deleted', 1);";

    #[tokio::test]
    async fn nobody_plans_before_a_deleted_integration_has_left_the_ledger() {
        use super::super::{AccountId, PlanQuery};

        let (store, _folder) = store().await;
        let mut tx = store.write().await.unwrap();
        sqlx::raw_sql(DELETED).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        // Its facts are stale, but they tell what is to leave: they stay until then.
        store.sweep_facts().await.unwrap();
        let id = "01a20d2a-3996-73a0-af57-c27859874f3e".parse().unwrap();
        let view = store.fact_view(id, None, None).await.unwrap();
        let query = PlanQuery {
            account: Some(AccountId(1)),
            ..PlanQuery::default()
        };
        let early = store.plan_page(&view, &query, None).await;
        assert!(matches!(early, Err(StoreError::FactsChanged)), "{early:?}");

        store.work_off_arrears().await.unwrap();
        let page = store.plan_page(&view, &query, None).await.unwrap();
        let left: Vec<_> = page
            .ledger
            .iter()
            .map(|entry| (entry.pair.ip.to_string(), entry.held))
            .collect();
        let expected = [("10.0.0.2".to_owned(), false), ("10.0.0.4".to_owned(), false)];
        assert_eq!(left, expected);
        store.sweep_facts().await.unwrap();
        let sets: i64 = sqlx::query_scalar("SELECT count(*) FROM fact_sets")
            .fetch_one(&store.readers)
            .await
            .unwrap();
        assert_eq!(sets, 1);
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
