//! The tables `fact_sets`, `facts` and `fact_addresses`: what each report says, and which of them are in force.
//!
//! A run stages its facts under a set of its own. They come into force by one change of the set's state, in the
//! transaction that also notes the plan's counts; until then nothing else sees them.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::queue::{note_real_start, touch, write_checkpoint, write_counts};
use super::{AccountId, ClaimedRun, Orders, Store, StoreError, ledger};
use crate::domain::{
    Address, AssetFacts, Counts, IntegrationId, LedgerEntry, RankedCve, Rating, RunId, Score, Timestamp,
};

/// Rows in one statement: past this a longer one gains nothing.
pub(super) const ROWS_PER_STATEMENT: usize = 250;

/// Rows that are deleted in one transaction, so that other writers get their turn in between.
const SWEEP_ROWS: i64 = 10_000;

/// Rows that each query of a plan's page aims at.
const PAGE_ROWS: u32 = 2_000;

/// A set of facts: what one report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactSetId(i64);

/// A set that is being written.
#[derive(Debug)]
pub struct StagingFacts {
    set: FactSetId,
    assets: u32,
    /// Which asset carries which address, sorted before it is written so that the index grows at its end.
    addresses: Vec<(Address, u32)>,
}

/// The facts that labels follow from: one set per integration.
#[derive(Clone, Debug)]
pub struct FactView {
    sets: Vec<FactSetId>,
    own: Option<FactSetId>,
    /// Per set the assets that a newer report of another integration also has.
    superseded: HashMap<FactSetId, HashSet<i64>>,
}

/// An asset's part in an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// The address.
    pub ip: Address,
    /// Whether the asset is one of the integration that the view was made for.
    pub own: bool,
    /// How many of its findings count.
    pub findings: u64,
    /// Their highest score.
    pub score: Option<Score>,
    /// Their highest rating.
    pub rating: Option<Rating>,
    /// Its CVEs.
    pub cves: Vec<RankedCve>,
}

/// All that is known of a range of addresses, in the state of one moment.
#[derive(Clone, Debug, Default)]
pub struct PlanPage {
    /// Which assets carry them, by address.
    pub carriers: Vec<Carrier>,
    /// What the ledger knows of them, by pair.
    pub ledger: Vec<LedgerEntry>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<Address>,
}

impl Store {
    /// Begins a set of facts for a run; what an earlier attempt of it left half written goes stale.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn begin_facts(
        &self,
        run: &ClaimedRun,
        report_run_at: Timestamp,
        now: Timestamp,
    ) -> Result<StagingFacts, StoreError> {
        let mut tx = self.write().await?;
        touch(&mut tx, run, now).await?;
        sqlx::query(
            "UPDATE fact_sets SET state = 'stale' WHERE run_id = $1 AND state IN ('staging', 'staged')",
        )
        .bind(run.id().to_string())
        .execute(&mut *tx)
        .await?;
        let set = sqlx::query_scalar(
            "INSERT INTO fact_sets (integration_id, run_id, state, report_run_at, created_at) \
             VALUES ($1, $2, 'staging', $3, $4) RETURNING id",
        )
        .bind(run.record.integration.to_string())
        .bind(run.id().to_string())
        .bind(report_run_at.as_millis())
        .bind(now.as_millis())
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(StagingFacts {
            set: FactSetId(set),
            assets: 0,
            addresses: Vec::new(),
        })
    }

    /// Adds assets to a set, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn append_facts(
        &self,
        run: &ClaimedRun,
        staging: &mut StagingFacts,
        assets: &[AssetFacts],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        touch(&mut tx, run, now).await?;
        for chunk in assets.chunks(ROWS_PER_STATEMENT) {
            let mut sql = QueryBuilder::<Sqlite>::new(
                "INSERT INTO facts (fact_set, asset_no, asset_key, name, findings, score, rating, cves) ",
            );
            sql.push_values(chunk, |mut row, asset| {
                let number = staging.assets;
                staging.assets += 1;
                staging
                    .addresses
                    .extend(asset.addresses.iter().map(|ip| (*ip, number)));
                row.push_bind(staging.set.0)
                    .push_bind(number)
                    .push_bind(asset.key.to_stored());
                row.push_bind(asset.name.to_string())
                    .push_bind(i64::try_from(asset.findings).unwrap_or(i64::MAX));
                row.push_bind(asset.score.map(Score::tenths))
                    .push_bind(asset.rating.map(Rating::level));
                row.push_bind(
                    asset
                        .cves
                        .iter()
                        .flat_map(|cve| cve.to_stored())
                        .collect::<Vec<u8>>(),
                );
            });
            sql.build().execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Completes a set: writes its addresses and the run's checkpoint, which is to name the set.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn complete_facts(
        &self,
        run: &mut ClaimedRun,
        mut staging: StagingFacts,
        now: Timestamp,
    ) -> Result<FactSetId, StoreError> {
        staging.addresses.sort_unstable();
        let addresses = distinct(&staging.addresses);
        let mut tx = self.write().await?;
        touch(&mut tx, run, now).await?;
        for chunk in staging.addresses.chunks(ROWS_PER_STATEMENT) {
            let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO fact_addresses (fact_set, ip, asset_no) ");
            sql.push_values(chunk, |mut row, (ip, number)| {
                row.push_bind(staging.set.0)
                    .push_bind(ip.to_stored())
                    .push_bind(*number);
            });
            sql.build().execute(&mut *tx).await?;
        }
        sqlx::query("UPDATE fact_sets SET state = 'staged', addresses = $2 WHERE id = $1")
            .bind(staging.set.0)
            .bind(addresses)
            .execute(&mut *tx)
            .await?;
        run.checkpoint.facts = Some(staging.set);
        write_checkpoint(&mut tx, run).await?;
        tx.commit().await?;
        Ok(staging.set)
    }

    /// Brings a set into force with the plan that follows from it, in one transaction, and remembers that in the run's
    /// checkpoint. A run that is dry by now keeps its set apart instead: the answer's orders say so.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn plan_facts(
        &self,
        run: &mut ClaimedRun,
        set: FactSetId,
        counts: &Counts,
        pairs: u64,
        now: Timestamp,
    ) -> Result<Orders, StoreError> {
        let integration = run.record.integration.to_string();
        let mut tx = self.write().await?;
        let orders = touch(&mut tx, run, now).await?;
        let state = if orders.dry_run { "dry" } else { "in_force" };
        // Before the other, so that the index of one set in force is never hurt.
        sqlx::query("UPDATE fact_sets SET state = 'stale' WHERE integration_id = $1 AND state = $2")
            .bind(&integration)
            .bind(state)
            .execute(&mut *tx)
            .await?;
        let moved =
            sqlx::query("UPDATE fact_sets SET state = $2, pairs = $3 WHERE id = $1 AND state = 'staged'")
                .bind(set.0)
                .bind(state)
                .bind(i64::try_from(pairs).unwrap_or(i64::MAX))
                .execute(&mut *tx)
                .await?;
        if moved.rows_affected() != 1 {
            return Err(StoreError::NotFound("staged set of facts"));
        }
        write_counts(&mut tx, run, counts).await?;
        if !orders.dry_run {
            note_real_start(&mut tx, run, now).await?;
            run.checkpoint.planned = true;
            write_checkpoint(&mut tx, run).await?;
        }
        tx.commit().await?;
        Ok(orders)
    }

    /// The facts in force of all integrations, those of `integration` replaced by `own` where given.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn fact_view(
        &self,
        integration: IntegrationId,
        own: Option<FactSetId>,
    ) -> Result<FactView, StoreError> {
        let mut tx = self.read().await?;
        let rows = sqlx::query(
            "SELECT id, integration_id = $1 AS own FROM fact_sets \
             WHERE id = $2 OR (state = 'in_force' AND NOT (integration_id = $1 AND $2 IS NOT NULL)) \
             ORDER BY report_run_at DESC, id DESC",
        )
        .bind(integration.to_string())
        .bind(own.map(|set| set.0))
        .fetch_all(&mut *tx)
        .await?;
        let mut view = FactView {
            sets: Vec::new(),
            own: None,
            superseded: HashMap::new(),
        };
        for row in &rows {
            let set = FactSetId(row.try_get("id")?);
            if row.try_get("own")? {
                view.own = Some(set);
            }
            let superseded = superseded(&mut tx, set, &view.sets).await?;
            if !superseded.is_empty() {
                view.superseded.insert(set, superseded);
            }
            view.sets.push(set);
        }
        Ok(view)
    }

    /// The set of facts that a dry run found, while it is kept.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn facts_of_dry_run(&self, run: RunId) -> Result<Option<FactSetId>, StoreError> {
        let set = sqlx::query_scalar("SELECT id FROM fact_sets WHERE run_id = $1 AND state = 'dry'");
        Ok(set
            .bind(run.to_string())
            .fetch_optional(&self.readers)
            .await?
            .map(FactSetId))
    }

    /// All that is known of the next addresses from `start` on (`None`: from the first): who carries them, and what the
    /// ledger of `account` knows, in the state of one moment. With `confirmed_by` a pair counts as in doubt unless that run
    /// sent it.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn plan_page(
        &self,
        view: &FactView,
        account: Option<AccountId>,
        start: Option<Address>,
        confirmed_by: Option<RunId>,
    ) -> Result<PlanPage, StoreError> {
        let mut tx = self.read().await?;
        let mut limit = PAGE_ROWS;
        loop {
            let mut page = PlanPage::default();
            // The first address that one of the queries may not have read to its end: the page ends before it.
            let mut cuts = Vec::new();
            for set in &view.sets {
                cuts.extend(read_carriers(&mut tx, view, *set, start, limit, &mut page.carriers).await?);
            }
            if let Some(account) = account {
                cuts.extend(
                    ledger::read_range(&mut tx, account, start, limit, confirmed_by, &mut page.ledger)
                        .await?,
                );
            }
            page.next = cuts.into_iter().min();
            if page.next.is_some() && page.next <= start {
                // One address has more rows than the page.
                limit = limit.saturating_mul(4);
                continue;
            }
            if let Some(end) = page.next {
                page.carriers.retain(|carrier| carrier.ip < end);
                page.ledger.retain(|entry| entry.pair.ip < end);
            }
            page.carriers.sort_by_key(|carrier| carrier.ip);
            return Ok(page);
        }
    }

    /// Deletes facts that nothing uses any more, some thousand rows at a time.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn sweep_facts(&self) -> Result<(), StoreError> {
        let stale: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM fact_sets WHERE state = 'stale' OR (state IN ('staging', 'staged') AND run_id IN \
             (SELECT id FROM runs WHERE finished_at IS NOT NULL))",
        )
        .fetch_all(&self.readers)
        .await?;
        for set in stale {
            for delete in [
                "DELETE FROM fact_addresses WHERE fact_set = $1 AND ip IN \
                 (SELECT ip FROM fact_addresses WHERE fact_set = $1 ORDER BY ip LIMIT $2)",
                "DELETE FROM facts WHERE fact_set = $1 AND asset_no IN \
                 (SELECT asset_no FROM facts WHERE fact_set = $1 ORDER BY asset_no LIMIT $2)",
            ] {
                loop {
                    let mut tx = self.write().await?;
                    let deleted = sqlx::query(delete)
                        .bind(set)
                        .bind(SWEEP_ROWS)
                        .execute(&mut *tx)
                        .await?;
                    tx.commit().await?;
                    if deleted.rows_affected() == 0 {
                        break;
                    }
                }
            }
            let mut tx = self.write().await?;
            sqlx::query("DELETE FROM fact_sets WHERE id = $1")
                .bind(set)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// The assets of `set` that one of the `newer` sets also has.
async fn superseded(
    tx: &mut SqliteConnection,
    set: FactSetId,
    newer: &[FactSetId],
) -> Result<HashSet<i64>, StoreError> {
    let mut superseded = HashSet::new();
    for newer in newer {
        let rows = sqlx::query_scalar::<_, i64>(
            "SELECT old.asset_no FROM facts old JOIN facts new ON new.fact_set = $2 AND new.asset_key = old.asset_key \
             WHERE old.fact_set = $1",
        );
        superseded.extend(rows.bind(set.0).bind(newer.0).fetch_all(&mut *tx).await?);
    }
    Ok(superseded)
}

/// Reads who carries the addresses from `start` on in one set. Returns the address that the limit cut off, if any.
async fn read_carriers(
    tx: &mut SqliteConnection,
    view: &FactView,
    set: FactSetId,
    start: Option<Address>,
    limit: u32,
    carriers: &mut Vec<Carrier>,
) -> Result<Option<Address>, StoreError> {
    let rows = sqlx::query(
        "SELECT a.ip, a.asset_no, f.findings, f.score, f.rating, f.cves FROM fact_addresses a \
         JOIN facts f ON f.fact_set = a.fact_set AND f.asset_no = a.asset_no \
         WHERE a.fact_set = $1 AND a.ip >= $2 ORDER BY a.ip, a.asset_no LIMIT $3",
    )
    .bind(set.0)
    .bind(start.map(Address::to_stored).unwrap_or_default())
    .bind(limit)
    .fetch_all(tx)
    .await?;
    let superseded = view.superseded.get(&set);
    for row in &rows {
        if superseded.is_some_and(|assets| {
            row.try_get("asset_no")
                .is_ok_and(|number| assets.contains(&number))
        }) {
            continue;
        }
        carriers.push(carrier(row, view.own == Some(set))?);
    }
    let cut = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    rows.last()
        .filter(|_| cut)
        .map(|row| address(row, "fact_addresses.ip"))
        .transpose()
}

/// The address of a row.
pub(super) fn address(row: &SqliteRow, column: &'static str) -> Result<Address, StoreError> {
    Address::from_stored(row.try_get("ip")?).ok_or_else(|| StoreError::corrupt(column))
}

fn carrier(row: &SqliteRow, own: bool) -> Result<Carrier, StoreError> {
    let corrupt = StoreError::corrupt;
    let (cves, rest) = row.try_get::<&[u8], _>("cves")?.as_chunks();
    if !rest.is_empty() {
        return Err(corrupt("facts.cves"));
    }
    let score: Option<u8> = row.try_get("score")?;
    let rating: Option<u8> = row.try_get("rating")?;
    Ok(Carrier {
        ip: address(row, "fact_addresses.ip")?,
        own,
        findings: u64::try_from(row.try_get::<i64, _>("findings")?).map_err(|_| corrupt("facts.findings"))?,
        score: score
            .map(|score| Score::from_tenths(score).ok_or_else(|| corrupt("facts.score")))
            .transpose()?,
        rating: rating
            .map(|rating| Rating::from_level(rating).ok_or_else(|| corrupt("facts.rating")))
            .transpose()?,
        cves: cves.iter().map(|cve| RankedCve::from_stored(*cve)).collect(),
    })
}

/// How many addresses there are in a sorted list.
fn distinct(addresses: &[(Address, u32)]) -> u32 {
    u32::try_from(addresses.chunk_by(|one, other| one.0 == other.0).count()).unwrap_or(u32::MAX)
}
