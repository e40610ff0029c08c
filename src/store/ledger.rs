//! The tables `fusion_accounts` and `ledger`: per account and pair what Fusion last acknowledged, and what was sent since
//! without an answer.
//!
//! Before a batch goes out its pairs are marked in doubt; Fusion's answer settles them. A crash in between leaves the
//! doubt in the ledger, and the next plan sends those pairs again or deletes them.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::facts::ROWS_PER_STATEMENT;
use super::owner::{note_advance, touch, write_on};
use super::plan_pages::{Range, address};
use super::run_notes::count_pushed;
use super::{ClaimedRun, PlanPage, PlanQuery, Store, StoreError};
use crate::domain::{Address, Context, IntegrationId, LabelRecord, Labels, LedgerEntry, Pair, Timestamp};

/// A Fusion account that the ledger knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub(super) i64);

/// Which of an integration's label records are wanted, by pair.
#[derive(Clone, Debug, Default)]
pub struct LedgerQuery {
    /// Of this address only.
    pub ip: Option<Address>,
    /// Of this context only.
    pub context: Option<Context>,
    /// After this pair: the cursor of the page before.
    pub after: Option<Pair>,
    /// At most so many.
    pub limit: u32,
}

impl Store {
    /// The ledger's number for a Fusion account.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn fusion_account(&self, host: &str, shortname: &str) -> Result<AccountId, StoreError> {
        let mut tx = self.write().await?;
        let id = sqlx::query_scalar(
            "INSERT INTO fusion_accounts (host, shortname) VALUES ($1, $2) \
             ON CONFLICT (host, shortname) DO UPDATE SET host = excluded.host RETURNING id",
        )
        .bind(host)
        .bind(shortname)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(AccountId(id))
    }

    /// Marks what is about to be written as in doubt.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn doubt_puts(
        &self,
        run: &ClaimedRun,
        account: AccountId,
        records: &[LabelRecord],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        write_on(&mut tx, run, now).await?;
        for chunk in records.chunks(ROWS_PER_STATEMENT) {
            let mut sql =
                QueryBuilder::<Sqlite>::new("INSERT INTO ledger (account, ip, context, sent, run_id) ");
            sql.push_values(chunk, |mut row, record| {
                row.push_bind(account.0)
                    .push_bind(record.pair.ip.to_stored())
                    .push_bind(record.pair.context.as_str());
                row.push_bind(record.labels.as_lines())
                    .push_bind(run.id().to_string());
            });
            sql.push(
                " ON CONFLICT (account, ip, context) DO UPDATE SET doubted_before = sent IS NOT NULL, \
                 sent = excluded.sent, run_id = excluded.run_id",
            );
            sql.build().execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Marks what is about to be deleted as in doubt.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn doubt_deletes(
        &self,
        run: &ClaimedRun,
        account: AccountId,
        pairs: &[Pair],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        write_on(&mut tx, run, now).await?;
        for chunk in pairs.chunks(ROWS_PER_STATEMENT) {
            let mut sql = QueryBuilder::<Sqlite>::new(
                "UPDATE ledger SET doubted_before = sent IS NOT NULL, sent = '', run_id = ",
            );
            sql.push_bind(run.id().to_string());
            push_pairs(&mut sql, account, chunk);
            sql.build().execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Settles pairs that Fusion acknowledged: they hold what was sent, or nothing any more.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn settle(
        &self,
        run: &ClaimedRun,
        account: AccountId,
        pairs: &[Pair],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        touch(&mut tx, run, now).await?;
        for chunk in pairs.chunks(ROWS_PER_STATEMENT) {
            let mut delete = QueryBuilder::<Sqlite>::new("DELETE FROM ledger");
            push_sent_pairs(&mut delete, run, account, chunk);
            delete.push(" AND sent = ''").build().execute(&mut *tx).await?;
            let mut put = QueryBuilder::<Sqlite>::new(
                "UPDATE ledger SET acknowledged = coalesce(sent, acknowledged), sent = NULL, held_by = NULL, held_for = NULL, \
                 changed_by = CASE WHEN sent = acknowledged THEN changed_by ELSE run_id END, changed_at = CASE WHEN sent = acknowledged THEN changed_at ELSE ",
            );
            put.push_bind(now.as_millis()).push(" END, acknowledged_at = ");
            put.push_bind(now.as_millis());
            push_sent_pairs(&mut put, run, account, chunk);
            put.build().execute(&mut *tx).await?;
        }
        // An acknowledged batch is progress, whatever comes after it.
        note_advance(&mut tx, run).await?;
        count_pushed(&mut tx, run, pairs.len() as u64).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Settles pairs that Fusion refused: they hold what they held before. Where that was in doubt, it still is.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn settle_refused(
        &self,
        run: &ClaimedRun,
        account: AccountId,
        pairs: &[Pair],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        touch(&mut tx, run, now).await?;
        for chunk in pairs.chunks(ROWS_PER_STATEMENT) {
            let mut unknown = QueryBuilder::<Sqlite>::new("DELETE FROM ledger");
            push_sent_pairs(&mut unknown, run, account, chunk);
            unknown
                .push(" AND acknowledged IS NULL AND doubted_before = 0")
                .build()
                .execute(&mut *tx)
                .await?;
            let mut known = QueryBuilder::<Sqlite>::new("UPDATE ledger SET sent = NULL");
            push_sent_pairs(&mut known, run, account, chunk);
            known.push(" AND doubted_before = 0");
            known.build().execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The label records that Fusion acknowledged at the addresses of an integration's facts in force, and those that are held
    /// for it, by pair.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn labels(
        &self,
        integration: IntegrationId,
        account: AccountId,
        query: &LedgerQuery,
    ) -> Result<Vec<LabelRecord>, StoreError> {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT l.ip, l.context, l.acknowledged, l.sent FROM ledger l WHERE l.acknowledged IS NOT NULL AND l.account = ",
        );
        sql.push_bind(account.0);
        sql.push(
            " AND (EXISTS (SELECT 1 FROM fact_addresses a JOIN fact_sets s ON s.id = a.fact_set \
             WHERE a.ip = l.ip AND s.state = 'in_force' AND s.integration_id = ",
        );
        sql.push_bind(integration.to_string()).push(") OR l.held_for = ");
        sql.push_bind(integration.to_string()).push(")");
        if let Some(ip) = query.ip {
            sql.push(" AND l.ip = ").push_bind(ip.to_stored());
        }
        if let Some(context) = query.context {
            sql.push(" AND l.context = ").push_bind(context.as_str());
        }
        if let Some(after) = query.after {
            sql.push(" AND (l.ip, l.context) > (")
                .push_bind(after.ip.to_stored());
            sql.push(", ").push_bind(after.context.as_str()).push(")");
        }
        sql.push(" ORDER BY l.ip, l.context LIMIT ")
            .push_bind(query.limit);
        let rows = sql.build().fetch_all(&self.readers).await?;
        let entries = rows.iter().map(|row| entry(row, false));
        let record = |entry: LedgerEntry| {
            Some(LabelRecord {
                pair: entry.pair,
                labels: entry.acknowledged?,
            })
        };
        entries
            .filter_map(|entry| entry.map(record).transpose())
            .collect()
    }
}

/// Reads what the ledger knows of the addresses from `start` on. Returns the address that the limit cut off, if any.
pub(super) async fn read_range(
    tx: &mut SqliteConnection,
    query: &PlanQuery,
    account: AccountId,
    range: Range,
    page: &mut PlanPage,
) -> Result<Option<Address>, StoreError> {
    let rows = sqlx::query(
        "SELECT ip, context, acknowledged, sent, $5 IS NOT NULL AND run_id <> $5 AS unconfirmed, \
         held_for IS NOT NULL AS held, coalesce(held_for = $6, FALSE) AS judged FROM ledger \
         WHERE account = $1 AND ip >= $2 AND ip < $3 ORDER BY ip, context LIMIT $4",
    )
    .bind(account.0)
    .bind(range.from())
    .bind(range.to())
    .bind(range.limit())
    .bind(query.confirmed_by.map(|run| run.to_string()))
    .bind(query.judges_for.map(|integration| integration.to_string()))
    .fetch_all(tx)
    .await?;
    for row in &rows {
        let judged: bool = row.try_get("judged")?;
        let mut entry = entry(row, row.try_get("unconfirmed")?)?;
        entry.held = !judged && row.try_get("held")?;
        if judged {
            page.had_part.push(entry.pair);
        }
        page.ledger.push(entry);
    }
    range.cut(&rows, "ledger.ip")
}

/// Pairs as a run sent them. An answer may be late: what left the ledger since with its integration, and came back by an
/// adoption, is not what it answers to.
fn push_sent_pairs(sql: &mut QueryBuilder<Sqlite>, run: &ClaimedRun, account: AccountId, pairs: &[Pair]) {
    push_pairs(sql, account, pairs);
    sql.push(" AND run_id = ").push_bind(run.id().to_string());
}

fn push_pairs(sql: &mut QueryBuilder<Sqlite>, account: AccountId, pairs: &[Pair]) {
    sql.push(" WHERE account = ")
        .push_bind(account.0)
        .push(" AND (ip, context) IN (");
    sql.push_values(pairs, |mut row, pair| {
        row.push_bind(pair.ip.to_stored())
            .push_bind(pair.context.as_str());
    });
    sql.push(")");
}

fn entry(row: &SqliteRow, unconfirmed: bool) -> Result<LedgerEntry, StoreError> {
    let ip = address(row, "ledger.ip")?;
    let context =
        Context::read(row.try_get("context")?).ok_or_else(|| StoreError::corrupt("ledger.context"))?;
    let acknowledged: Option<String> = row.try_get("acknowledged")?;
    let acknowledged = acknowledged.map(Labels::from_lines).transpose();
    let sent: Option<&str> = row.try_get("sent")?;
    Ok(LedgerEntry {
        pair: Pair { ip, context },
        acknowledged: acknowledged.map_err(|_| StoreError::corrupt("ledger.acknowledged"))?,
        in_doubt: sent.is_some() || unconfirmed,
        held: false,
    })
}
