//! The tables `fact_sets`, `facts` and `fact_addresses`: what each report says, and which of them are in force.
//!
//! A run stages its facts under a set of its own. They come into force by one change of the set's state, in the
//! transaction that also notes the plan's counts; until then nothing else sees them.

use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::owner::{note_advance, write_checkpoint, write_on};
use super::run_notes::write_reading;
use super::{ClaimedRun, Reading, Store, StoreError};
use crate::domain::{Address, AssetFacts, Rating, RunId, Score, Timestamp};

/// Rows in one statement: past this a longer one gains nothing.
pub(super) const ROWS_PER_STATEMENT: usize = 250;

/// Rows that are deleted in one transaction, so that other writers get their turn in between.
const SWEEP_ROWS: i64 = 10_000;

/// A set of facts: what one report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactSetId(pub(super) i64);

/// A set that is being written.
#[derive(Debug)]
pub struct StagingFacts {
    set: FactSetId,
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
        write_on(&mut tx, run, now).await?;
        for chunk in staging.addresses.chunks(ROWS_PER_STATEMENT) {
            let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO fact_addresses (fact_set, ip, asset_no) ");
            sql.push_values(chunk, |mut row, (ip, number)| {
                row.push_bind(staging.set.0)
                    .push_bind(ip.to_stored())
                    .push_bind(*number);
            });
            sql.build().execute(&mut *tx).await?;
        }
        // Since when each asset is there without a gap: as its record in force says, else since this report.
        sqlx::query(
            "UPDATE facts SET first_seen_at = coalesce(( \
                 SELECT coalesce(f.first_seen_at, s.report_run_at) FROM fact_sets s JOIN facts f ON f.fact_set = s.id \
                 WHERE s.integration_id = $2 AND s.state = 'in_force' AND f.asset_key = facts.asset_key), \
             (SELECT report_run_at FROM fact_sets WHERE id = $1)) WHERE fact_set = $1",
        )
        .bind(staging.set.0)
        .bind(run.record.integration.to_string())
        .execute(&mut *tx)
        .await?;
        sqlx::query("UPDATE fact_sets SET state = 'staged', addresses = $2 WHERE id = $1")
            .bind(staging.set.0)
            .bind(addresses)
            .execute(&mut *tx)
            .await?;
        run.checkpoint.facts = Some(staging.set);
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
            "SELECT id FROM fact_sets WHERE state = 'stale' OR (state IN ('staging', 'staged') AND run_id IN \
             (SELECT id FROM runs WHERE finished_at IS NOT NULL AND state <> 'held'))",
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
    sqlx::query("UPDATE fact_sets SET state = 'stale' WHERE run_id = $1 AND state IN ('staging', 'staged')")
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
    .fetch_one(tx)
    .await?;
    Ok(StagingFacts {
        set: FactSetId(set),
        assets: 0,
        addresses: Vec::new(),
    })
}

/// How many addresses there are in a sorted list.
fn distinct(addresses: &[(Address, u32)]) -> u32 {
    u32::try_from(addresses.chunk_by(|one, other| one.0 == other.0).count()).unwrap_or(u32::MAX)
}
