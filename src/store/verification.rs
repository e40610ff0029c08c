//! Verifications: runs that compare the ledger with Fusion. What differs is a step of the run's plan, and in doubt.

use serde::{Deserialize, Serialize};
use sqlx::{Row, SqliteConnection};

use super::owner::{note_advance, touch, write_checkpoint, write_on};
use super::plan_steps::insert_steps;
use super::run_notes::write_counts;
use super::{AccountId, Actor, ClaimedRun, RunStart, StartedRun, Store, StoreError, run_start};
use crate::domain::{Address, Change, Counts, IntegrationId, Pair, RunFlags, Timestamp, Trigger};

/// How far a verification has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The address that comes next; `None` at the beginning.
    pub next: Option<Address>,
    /// Addresses that were compared.
    pub addresses: u64,
    /// Their pairs that are as the ledger says.
    pub agreeing: u64,
    /// Pairs that Fusion holds in this service's contexts though the ledger does not know them and nothing wants them.
    pub unknown: u64,
}

impl Store {
    /// Starts a verification, which without `repair` is a dry run; joins the one under way.
    ///
    /// # Errors
    /// Those of [`Store::start_run`].
    pub async fn start_verification(
        &self,
        integration: IntegrationId,
        repair: bool,
        actor: Actor,
        now: Timestamp,
    ) -> Result<StartedRun, StoreError> {
        let flags = RunFlags {
            dry_run: !repair,
            ..RunFlags::default()
        };
        let start = RunStart::new(actor, Trigger::Verify, flags);
        let mut tx = self.write().await?;
        let started = run_start::start(&mut tx, integration, &start, None, now).await?;
        tx.commit().await?;
        Ok(started)
    }

    /// How many addresses a verification of an integration compares: those with pairs in the ledger that are its own, or
    /// nobody's.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn addresses_to_verify(
        &self,
        integration: IntegrationId,
        account: AccountId,
    ) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT DISTINCT ip FROM ledger WHERE account = $1) known \
             WHERE EXISTS (SELECT 1 FROM fact_sets s CROSS JOIN fact_addresses a \
                 WHERE s.state = 'in_force' AND s.integration_id = $2 AND a.fact_set = s.id AND a.ip = known.ip) \
             OR NOT EXISTS (SELECT 1 FROM fact_sets s CROSS JOIN fact_addresses a \
                 WHERE s.state = 'in_force' AND a.fact_set = s.id AND a.ip = known.ip)",
        )
        .bind(account.0)
        .bind(integration.to_string())
        .fetch_one(&self.readers)
        .await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Writes down what differs at the addresses that were compared last: as steps of the run's plan, and in the ledger,
    /// where these pairs are in doubt from now on. Held ones stay held. With `resumes` the run goes on behind them after a
    /// crash.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::RunEnding`], or when the database cannot.
    pub async fn append_verified(
        &self,
        run: &mut ClaimedRun,
        account: AccountId,
        differences: &[Change],
        resumes: Option<Verified>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        write_on(&mut tx, run, now).await?;
        insert_steps(&mut tx, run, differences).await?;
        for change in differences {
            doubt(&mut tx, run, account, change.pair()).await?;
        }
        if resumes.is_some() {
            let before = std::mem::replace(&mut run.checkpoint.verified, resumes);
            let written = async {
                write_checkpoint(&mut tx, run).await?;
                note_advance(&mut tx, run).await?;
                tx.commit().await?;
                Ok(())
            };
            let written = written.await;
            if written.is_err() {
                run.checkpoint.verified = before;
            }
            return written;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Concludes the comparison, in one transaction: the run's counts, its plan, which is kept in place of that of an
    /// earlier verification, and its checkpoint, by which a repair begins.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::RunEnding`], or when the database cannot.
    pub async fn conclude_verification(
        &self,
        run: &mut ClaimedRun,
        verified: &Verified,
        now: Timestamp,
    ) -> Result<Counts, StoreError> {
        let mut tx = self.write().await?;
        write_on(&mut tx, run, now).await?;
        let counts = counts(&mut tx, run, verified).await?;
        write_counts(&mut tx, run, &counts).await?;
        for keep in [
            "UPDATE runs SET plan = 'dropped' WHERE integration_id = $1 AND plan = 'kept' AND trigger = 'verify' AND id <> $2",
            "UPDATE runs SET plan = 'kept' WHERE integration_id = $1 AND id = $2",
        ] {
            sqlx::query(keep)
                .bind(run.record.integration.to_string())
                .bind(run.id().to_string())
                .execute(&mut *tx)
                .await?;
        }
        let mut checkpoint = run.checkpoint.clone();
        (checkpoint.planned, checkpoint.verified) = (true, None);
        let before = std::mem::replace(&mut run.checkpoint, checkpoint);
        let written = async {
            write_checkpoint(&mut tx, run).await?;
            note_advance(&mut tx, run).await?;
            touch(&mut tx, run, now).await?;
            tx.commit().await?;
            Ok(counts)
        };
        let written = written.await;
        if written.is_err() {
            run.checkpoint = before;
        }
        written
    }
}

/// Marks a pair in doubt: Fusion holds what it acknowledged, or something else that was seen. A refusal does not settle
/// that.
async fn doubt(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    account: AccountId,
    pair: Pair,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE ledger SET sent = '', doubted_before = 1, run_id = $4 \
         WHERE account = $1 AND ip = $2 AND context = $3 AND sent IS NULL",
    )
    .bind(account.0)
    .bind(pair.ip.to_stored())
    .bind(pair.context.as_str())
    .bind(run.id().to_string())
    .execute(tx)
    .await?;
    Ok(())
}

async fn counts(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    verified: &Verified,
) -> Result<Counts, StoreError> {
    let rows =
        sqlx::query("SELECT change, count(*) AS number FROM plan_steps WHERE run_id = $1 GROUP BY change")
            .bind(run.id().to_string())
            .fetch_all(tx)
            .await?;
    let mut counts = Counts {
        addresses: verified.addresses,
        unchanged: verified.agreeing,
        ..Counts::default()
    };
    for row in &rows {
        let number = u64::try_from(row.try_get::<i64, _>("number")?).unwrap_or_default();
        *match row.try_get::<&str, _>("change")? {
            "add" => &mut counts.added,
            "change" => &mut counts.changed,
            "remove" => &mut counts.removed,
            "hold" => &mut counts.held,
            _ => return Err(StoreError::corrupt("plan_steps.change")),
        } = number;
    }
    Ok(counts)
}
