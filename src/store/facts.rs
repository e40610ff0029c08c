//! The tables `fact_sets`, `facts` and `fact_addresses`: what each report says, and which of them are in force.
//!
//! A run stages its facts under a set of its own. They come into force by one change of the set's state, in the
//! transaction that also notes the plan's counts; until then nothing else sees them.

use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::owner::{note_advance, write_checkpoint, write_on};
use super::run_notes::write_reading;
use super::{ClaimedRun, FactsDigest, Reading, Store, StoreError};
use crate::domain::{Address, AssetFacts, RankedCve, Rating, RunId, Score, Timestamp};

/// Rows in one statement: past this a longer one gains nothing.
pub(super) const ROWS_PER_STATEMENT: usize = 250;

/// Rows that are deleted in one transaction, so that other writers get their turn in between.
const SWEEP_ROWS: i64 = 10_000;

/// A set of facts: what one report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactSetId(pub(super) i64);

/// Addresses in one transaction: some ten milliseconds of writing, so that other writers get their turn.
const ADDRESSES_PER_WRITE: usize = 20_000;

/// A set that is being written.
#[derive(Debug)]
pub struct StagingFacts {
    set: FactSetId,
    report_run_at: Timestamp,
    /// The integration's facts in force: they know since when an asset is there.
    before: Option<(i64, Timestamp)>,
    digest: FactsDigest,
    assets: u32,
    /// Which asset carries which address, sorted before it is written so that the index grows at its end.
    addresses: Vec<(Address, u32)>,
}

impl Store {
    /// Begins a set of facts for a run, and notes the reading that it is of on the run's record: there are no facts without
    /// a certificate. What an earlier attempt of the run left half written goes stale.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn begin_facts(
        &self,
        run: &ClaimedRun,
        reading: &Reading,
        now: Timestamp,
    ) -> Result<StagingFacts, StoreError> {
        let mut tx = self.write().await?;
        write_on(&mut tx, run, now).await?;
        write_reading(&mut tx, run, reading).await?;
        let staging = begin_set(&mut tx, run, reading.certificate.report_run_at, now).await?;
        tx.commit().await?;
        Ok(staging)
    }

    /// Notes that a report says again what the integration's facts in force say, by their digest: then these are the run's
    /// facts, and no row of them is written. `None` when it says anything else, and for a dry run, whose facts stand apart.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::RunEnding`], or when the database cannot.
    pub async fn confirm_facts(
        &self,
        run: &mut ClaimedRun,
        reading: &Reading,
        digest: FactsDigest,
        now: Timestamp,
    ) -> Result<Option<FactSetId>, StoreError> {
        let mut tx = self.write().await?;
        let orders = write_on(&mut tx, run, now).await?;
        let same: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM fact_sets WHERE integration_id = $1 AND state = 'in_force' AND digest = $2",
        )
        .bind(run.record.integration.to_string())
        .bind(digest.finish())
        .fetch_optional(&mut *tx)
        .await?;
        let Some(set) = same.map(FactSetId).filter(|_| !orders.dry_run) else {
            return Ok(None);
        };
        write_reading(&mut tx, run, reading).await?;
        drop_unfinished(&mut tx, run).await?;
        let before = run.checkpoint.clone();
        run.checkpoint.facts = Some(set);
        run.checkpoint.confirmed_at = Some(reading.certificate.report_run_at);
        let written = async {
            write_checkpoint(&mut tx, run).await?;
            note_advance(&mut tx, run).await?;
            tx.commit().await?;
            Ok(())
        };
        if let Err(error) = written.await {
            run.checkpoint = before;
            return Err(error);
        }
        Ok(Some(set))
    }

    /// Stages a set of no facts for a run that is to take an integration's labels away: it needs no certificate to want
    /// nothing, and its set never comes into force.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn stage_nothing(&self, run: &mut ClaimedRun, now: Timestamp) -> Result<FactSetId, StoreError> {
        let mut tx = self.write().await?;
        write_on(&mut tx, run, now).await?;
        let nothing = begin_set(&mut tx, run, now, now).await?;
        tx.commit().await?;
        self.complete_facts(run, nothing, now).await
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
        write_on(&mut tx, run, now).await?;
        for chunk in assets.chunks(ROWS_PER_STATEMENT) {
            insert_assets(&mut tx, staging, chunk).await?;
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
        for part in staging.addresses.chunks(ADDRESSES_PER_WRITE) {
            let mut tx = self.write().await?;
            write_on(&mut tx, run, now).await?;
            for chunk in part.chunks(ROWS_PER_STATEMENT) {
                insert_addresses(&mut tx, staging.set, chunk).await?;
            }
            tx.commit().await?;
        }
        let mut tx = self.write().await?;
        write_on(&mut tx, run, now).await?;
        sqlx::query("UPDATE fact_sets SET state = 'staged', addresses = $2, digest = $3 WHERE id = $1")
            .bind(staging.set.0)
            .bind(addresses)
            .bind(staging.digest.finish())
            .execute(&mut *tx)
            .await?;
        (run.checkpoint.facts, run.checkpoint.confirmed_at) = (Some(staging.set), None);
        write_checkpoint(&mut tx, run).await?;
        note_advance(&mut tx, run).await?;
        tx.commit().await?;
        Ok(staging.set)
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

    /// Deletes facts that nothing uses any more, some thousand rows at a time.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn sweep_facts(&self) -> Result<(), StoreError> {
        let stale: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM fact_sets WHERE (state = 'stale' OR (state IN ('staging', 'staged') AND run_id IN \
             (SELECT id FROM runs WHERE finished_at IS NOT NULL AND state <> 'held'))) \
             AND NOT EXISTS (SELECT 1 FROM departures WHERE departures.fact_set = fact_sets.id)",
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

/// Begins a set of facts; what an earlier attempt of the run left half written goes stale.
async fn begin_set(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    report_run_at: Timestamp,
    now: Timestamp,
) -> Result<StagingFacts, StoreError> {
    drop_unfinished(tx, run).await?;
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
    let before: Option<(i64, i64)> = sqlx::query_as(
        "SELECT id, report_run_at FROM fact_sets WHERE integration_id = $1 AND state = 'in_force'",
    )
    .bind(run.record.integration.to_string())
    .fetch_optional(tx)
    .await?;
    Ok(StagingFacts {
        set: FactSetId(set),
        report_run_at,
        before: before.map(|(set, at)| (set, Timestamp::from_millis(at))),
        digest: FactsDigest::new(),
        assets: 0,
        addresses: Vec::new(),
    })
}

/// Lets go of what an earlier attempt of the run left half written.
async fn drop_unfinished(tx: &mut SqliteConnection, run: &ClaimedRun) -> Result<(), StoreError> {
    sqlx::query("UPDATE fact_sets SET state = 'stale' WHERE run_id = $1 AND state IN ('staging', 'staged')")
        .bind(run.id().to_string())
        .execute(tx)
        .await?;
    Ok(())
}

/// Adds assets to a set. One is there without a gap since its record in force says so, else since this report.
async fn insert_assets(
    tx: &mut SqliteConnection,
    staging: &mut StagingFacts,
    assets: &[AssetFacts],
) -> Result<(), StoreError> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "INSERT INTO facts (fact_set, asset_no, asset_key, name, findings, score, rating, cves, first_seen_at) SELECT ",
    );
    sql.push_bind(staging.set.0)
        .push(", column1, column2, column3, column4, column5, column6, column7, ");
    if let Some((set, at)) = staging.before {
        sql.push("coalesce((SELECT coalesce(first_seen_at, ")
            .push_bind(at.as_millis())
            .push(") FROM facts WHERE fact_set = ")
            .push_bind(set)
            .push(" AND asset_key = column2), ")
            .push_bind(staging.report_run_at.as_millis())
            .push(")");
    } else {
        sql.push_bind(staging.report_run_at.as_millis());
    }
    sql.push(" FROM (");
    sql.push_values(assets, |mut row, asset| {
        let number = staging.assets;
        staging.assets += 1;
        staging.digest.add(asset);
        let carried = asset.addresses.iter().map(|ip| (*ip, number));
        staging.addresses.extend(carried);
        row.push_bind(number)
            .push_bind(asset.key.to_stored())
            .push_bind(asset.name.to_string())
            .push_bind(stored_number(asset.findings))
            .push_bind(asset.score.map(Score::tenths))
            .push_bind(asset.rating.map(Rating::level))
            .push_bind(stored_cves(&asset.cves));
    });
    sql.push(")").build().execute(tx).await?;
    Ok(())
}

async fn insert_addresses(
    tx: &mut SqliteConnection,
    set: FactSetId,
    addresses: &[(Address, u32)],
) -> Result<(), StoreError> {
    let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO fact_addresses (fact_set, ip, asset_no) SELECT ");
    sql.push_bind(set.0).push(", column1, column2 FROM (");
    sql.push_values(addresses, |mut row, (ip, number)| {
        row.push_bind(ip.to_stored()).push_bind(*number);
    });
    sql.push(")").build().execute(tx).await?;
    Ok(())
}

pub(super) fn stored_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn stored_cves(cves: &[RankedCve]) -> Vec<u8> {
    cves.iter().flat_map(|cve| cve.to_stored()).collect()
}

/// How many addresses there are in a sorted list.
fn distinct(addresses: &[(Address, u32)]) -> u32 {
    u32::try_from(addresses.chunk_by(|one, other| one.0 == other.0).count()).unwrap_or(u32::MAX)
}
