//! Departures: deleted integrations whose pairs are still to leave the ledger, but for those that others want.

use sqlx::SqliteConnection;

use super::arrears::{PAIRS_PER_WRITE, some_held};
use super::{Store, StoreError, marks};
use crate::domain::IntegrationId;

/// Addresses whose pairs are written in one transaction: four to an address.
const ADDRESSES_PER_WRITE: i64 = PAIRS_PER_WRITE / 4;

/// What all addresses order before, as they are stored.
const PAST_ALL_ADDRESSES: &[u8] = &[7];

/// A deleted integration that is still to leave the ledger.
struct Departure {
    integration: String,
    /// Its last facts, which tell what it wanted.
    fact_set: Option<i64>,
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
    some_held!(),
    " AND ",
    wanted_by_others!()
);
const FORGET_HELD: &str = concat!(
    "DELETE FROM ledger WHERE ",
    some_held!(),
    " AND NOT ",
    wanted_by_others!()
);

impl Store {
    /// Takes what only deleted integrations wanted out of the ledger; `false` when marks came up that are to be written before
    /// it is gone on with, as of what follows.
    pub(super) async fn forget_departed(&self) -> Result<bool, StoreError> {
        let departures: Vec<(String, Option<i64>)> =
            sqlx::query_as("SELECT integration_id, fact_set FROM departures")
                .fetch_all(&self.readers)
                .await?;
        for (integration, fact_set) in departures {
            let departure = Departure {
                integration,
                fact_set,
            };
            if !self.forget(&departure).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the pairs out of the ledger, in all accounts, that only a deleted integration wanted; those that it kept back
    /// and others want are no longer kept back.
    async fn forget(&self, departure: &Departure) -> Result<bool, StoreError> {
        let accounts: Vec<i64> = sqlx::query_scalar("SELECT id FROM fusion_accounts")
            .fetch_all(&self.readers)
            .await?;
        for account in accounts {
            if !self.forget_wanted(departure, account).await? || !self.forget_held(departure, account).await?
            {
                return Ok(false);
            }
        }
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM departures WHERE integration_id = $1")
            .bind(&departure.integration)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn forget_wanted(&self, departure: &Departure, account: i64) -> Result<bool, StoreError> {
        let mut from = Some(Vec::<u8>::new());
        while let Some(start) = from {
            let mut tx = self.write().await?;
            if marks::are_pending(&mut tx).await? {
                return Ok(false);
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
        Ok(true)
    }

    async fn forget_held(&self, departure: &Departure, account: i64) -> Result<bool, StoreError> {
        loop {
            let mut tx = self.write().await?;
            if marks::are_pending(&mut tx).await? {
                return Ok(false);
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
                return Ok(true);
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

/// Whether any are still to be made.
pub(super) async fn are_pending(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM departures)")
        .fetch_one(connection)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::super::database::tests::{assert_looked_up, store};
    use super::super::{AccountId, PlanQuery};
    use super::*;

    #[tokio::test]
    async fn pairs_and_facts_are_looked_up() {
        let (store, _folder) = store().await;
        for statement in [FORGET, RELEASE, FORGET_HELD] {
            assert_looked_up(&store, statement).await;
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
}
