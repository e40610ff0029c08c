//! Arrears: what was decided in a short transaction, and is still to be written in the ledger, some thousand pairs at a
//! time. Who has the turn to plan does all of it first, so that no plan is made without it.
//!
//! - A plan that keeps removals back, or no longer: the marks of its integration become those of its steps.
//! - A deleted integration: its pairs that no other wants leave the ledger.
//!
//! One writes at a time; whoever was cut off is gone on with. The marks come first, for what is kept back for others stays
//! when an integration leaves.

use sqlx::{Row, SqliteConnection};

use super::write::Write;
use super::{Store, StoreError};
use crate::domain::IntegrationId;

/// Pairs that are written in one transaction: some tenths of a second, so that other writers get their turn in between.
const PAIRS_PER_WRITE: i64 = 20_000;

/// Addresses whose pairs are written in one transaction: four to an address.
const ADDRESSES_PER_WRITE: i64 = PAIRS_PER_WRITE / 4;

/// What all addresses order before, as they are stored.
const PAST_ALL_ADDRESSES: &[u8] = &[7];

/// A run whose marks are to be written.
struct Marks {
    run: String,
    integration: String,
    account: i64,
}

/// A place in an order of pairs: address and context, as they are stored.
type Place = (Vec<u8>, String);

/// A deleted integration that is still to leave the ledger.
struct Departure {
    integration: String,
    /// Its last facts, which tell what it wanted.
    fact_set: Option<i64>,
}

/// What came of a try.
#[derive(PartialEq, Eq)]
enum Forgot {
    All,
    /// Nothing more, for there are marks to be written before.
    MarksComeFirst,
}

/// The facts that want a pair of the ledger. `CROSS JOIN` keeps the order: the few sets first, whose addresses are then
/// looked up. The other way round all addresses would be read for each pair.
macro_rules! wanted_by {
    ($sets:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM fact_sets s CROSS JOIN fact_addresses a CROSS JOIN facts f WHERE ",
            $sets,
            " AND a.fact_set = s.id AND a.ip = ledger.ip AND f.fact_set = a.fact_set AND f.asset_no = a.asset_no \
             AND CASE ledger.context WHEN 'vuln_count' THEN TRUE WHEN 'cvss_rating' THEN f.rating IS NOT NULL \
                 WHEN 'cvss_score' THEN f.score IS NOT NULL ELSE length(f.cves) > 0 END)"
        )
    };
}

macro_rules! wanted_by_others {
    () => {
        wanted_by!("s.state = 'in_force' AND s.integration_id <> $1")
    };
}

macro_rules! unmark {
    ($others:literal) => {
        concat!(
            "UPDATE ledger SET held_by = NULL, held_for = NULL WHERE (account, ip, context) IN ( \
                 SELECT account, ip, context FROM ledger WHERE held_for = $2 AND held_by ",
            $others,
            " $1 AND account = $3 LIMIT $4)"
        )
    };
}

macro_rules! first_held {
    () => {
        "(account, ip, context) IN (SELECT account, ip, context FROM ledger WHERE held_for = $1 AND account = $2 LIMIT $3)"
    };
}

const MARK: &str = "UPDATE ledger SET held_by = $1, held_for = $2 WHERE account = $3 AND (ip, context) IN ( \
     SELECT ip, context FROM plan_steps WHERE run_id = $1 AND change = 'hold' AND (ip, context) >= ($4, $5) \
     ORDER BY ip, context LIMIT $6)";

/// Two ranges of the index, for `<>` would read all that the run marked each time.
const UNMARK: [&str; 2] = [unmark!("<"), unmark!(">")];

/// Of the pairs at some of its addresses.
const FORGET: &str = concat!(
    "DELETE FROM ledger WHERE account = $2 AND ip IN ( \
         SELECT ip FROM fact_addresses WHERE fact_set = $3 AND ip >= $4 AND ip < $5) AND held_for IS NULL AND ",
    wanted_by!("s.id = $3"),
    " AND NOT ",
    wanted_by_others!()
);

/// Of some of the pairs that are kept back for it: those that others want stay.
const RELEASE: &str = concat!(
    "UPDATE ledger SET held_by = NULL, held_for = NULL WHERE ",
    first_held!(),
    " AND ",
    wanted_by_others!()
);
const FORGET_HELD: &str = concat!(
    "DELETE FROM ledger WHERE ",
    first_held!(),
    " AND NOT ",
    wanted_by_others!()
);

impl Store {
    /// Does what is left to do in the ledger before anybody may plan.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn work_off_arrears(&self) -> Result<(), StoreError> {
        let _alone = self.arrears.lock().await;
        while self.forget_departed().await? == Forgot::MarksComeFirst {
            self.write_marks().await?;
        }
        Ok(())
    }

    /// Makes the marks in the ledger those of the last plans.
    async fn write_marks(&self) -> Result<(), StoreError> {
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

    /// Takes away what earlier runs of the integration marked, and notes that this is done.
    async fn unmark(&self, marks: &Marks) -> Result<(), StoreError> {
        for statement in UNMARK {
            loop {
                let Some(mut tx) = self.begin_marks(marks).await? else {
                    return Ok(());
                };
                let unmarked = sqlx::query(statement)
                    .bind(&marks.run)
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
        }
        let mut tx = self.write().await?;
        sqlx::query("UPDATE runs SET marks = NULL WHERE id = $1")
            .bind(&marks.run)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Begins to write marks; `None` when there are none to write any more, for the integration was deleted.
    async fn begin_marks(&self, marks: &Marks) -> Result<Option<Write>, StoreError> {
        let mut tx = self.write().await?;
        let pending =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs WHERE id = $1 AND marks IS NOT NULL)");
        let pending: bool = pending.bind(&marks.run).fetch_one(&mut *tx).await?;
        Ok(pending.then_some(tx))
    }

    /// Takes what only deleted integrations wanted out of the ledger.
    async fn forget_departed(&self) -> Result<Forgot, StoreError> {
        let mut tx = self.read().await?;
        let departures: Vec<(String, Option<i64>)> =
            sqlx::query_as("SELECT integration_id, fact_set FROM departures")
                .fetch_all(&mut *tx)
                .await?;
        if are_marks_pending(&mut tx).await? {
            return Ok(Forgot::MarksComeFirst);
        }
        drop(tx);
        for (integration, fact_set) in departures {
            let departure = Departure {
                integration,
                fact_set,
            };
            if self.forget(&departure).await? == Forgot::MarksComeFirst {
                return Ok(Forgot::MarksComeFirst);
            }
        }
        Ok(Forgot::All)
    }

    /// Takes the pairs out of the ledger, in all accounts, that only a deleted integration wanted; those that it kept back
    /// and others want are no longer kept back.
    async fn forget(&self, departure: &Departure) -> Result<Forgot, StoreError> {
        let accounts: Vec<i64> = sqlx::query_scalar("SELECT id FROM fusion_accounts")
            .fetch_all(&self.readers)
            .await?;
        for account in accounts {
            if self.forget_wanted(departure, account).await? == Forgot::MarksComeFirst
                || self.forget_held(departure, account).await? == Forgot::MarksComeFirst
            {
                return Ok(Forgot::MarksComeFirst);
            }
        }
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM departures WHERE integration_id = $1")
            .bind(&departure.integration)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Forgot::All)
    }

    async fn forget_wanted(&self, departure: &Departure, account: i64) -> Result<Forgot, StoreError> {
        let mut from = Some(Vec::<u8>::new());
        while let Some(start) = from {
            let mut tx = self.write().await?;
            if are_marks_pending(&mut tx).await? {
                return Ok(Forgot::MarksComeFirst);
            }
            // The address before which this transaction ends.
            from = sqlx::query_scalar(
                "SELECT DISTINCT ip FROM fact_addresses WHERE fact_set = $1 AND ip >= $2 ORDER BY ip LIMIT 1 OFFSET $3",
            )
            .bind(departure.fact_set)
            .bind(&start)
            .bind(ADDRESSES_PER_WRITE)
            .fetch_optional(&mut *tx)
            .await?;
            sqlx::query(FORGET)
                .bind(&departure.integration)
                .bind(account)
                .bind(departure.fact_set)
                .bind(&start)
                .bind(from.as_deref().unwrap_or(PAST_ALL_ADDRESSES))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
        }
        Ok(Forgot::All)
    }

    async fn forget_held(&self, departure: &Departure, account: i64) -> Result<Forgot, StoreError> {
        loop {
            let mut tx = self.write().await?;
            if are_marks_pending(&mut tx).await? {
                return Ok(Forgot::MarksComeFirst);
            }
            let mut rows = 0;
            for statement in [RELEASE, FORGET_HELD] {
                let written = sqlx::query(statement)
                    .bind(&departure.integration)
                    .bind(account)
                    .bind(PAIRS_PER_WRITE)
                    .execute(&mut *tx)
                    .await?;
                rows += written.rows_affected();
            }
            tx.commit().await?;
            if rows == 0 {
                return Ok(Forgot::All);
            }
        }
    }
}

/// Notes that an integration, which is being deleted, is still to leave the ledger.
pub(super) async fn depart(tx: &mut SqliteConnection, id: IntegrationId) -> Result<(), StoreError> {
    // What its last plan was to keep back it keeps back no longer, like all that is its own.
    sqlx::query("UPDATE runs SET marks = NULL WHERE integration_id = $1 AND marks IS NOT NULL")
        .bind(id.to_string())
        .execute(&mut *tx)
        .await?;
    // Once: the run that removes an integration may end after a person deleted it.
    sqlx::query(
        "INSERT INTO departures (integration_id, fact_set) SELECT $1, \
             (SELECT id FROM fact_sets WHERE integration_id = $1 AND state = 'in_force') \
         WHERE EXISTS (SELECT 1 FROM fact_sets WHERE integration_id = $1 AND state = 'in_force') \
            OR EXISTS (SELECT 1 FROM ledger WHERE held_for = $1) ON CONFLICT DO NOTHING",
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

/// Whether the ledger is behind what was decided.
pub(super) async fn are_any(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(is_anybody_departing(connection).await? || are_marks_pending(connection).await?)
}

async fn are_marks_pending(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs WHERE marks IS NOT NULL)")
            .fetch_one(connection)
            .await?,
    )
}

/// Whether any deleted integration is still to leave the ledger.
pub(super) async fn is_anybody_departing(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM departures)")
        .fetch_one(connection)
        .await?)
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

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
        for statement in [MARK, FORGET, RELEASE, FORGET_HELD].into_iter().chain(UNMARK) {
            let steps = explained(&store, statement).await;
            let scans = steps.iter().filter(|step| step.starts_with("SCAN "));
            // The few sets of facts may be read as a whole.
            let of_rows: Vec<_> = scans.filter(|step| !step.starts_with("SCAN s")).collect();
            assert!(of_rows.is_empty(), "{steps:#?}");
            // And of the ledger's rows each by its key, or those that are kept back for one.
            let of_ledger = steps.iter().filter(|step| step.starts_with("SEARCH ledger"));
            for step in of_ledger {
                let bounded = ["ip=?", "held_for=?"].iter().any(|key| step.contains(key));
                assert!(bounded, "{steps:#?}");
            }
        }
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
