//! What the owner of a run notes on its record while it works: progress, checkpoints, what the report said, warnings.

use sqlx::SqliteConnection;

use super::owner::{touch, write_checkpoint, write_on};
use super::runs::{json, json_text};
use super::{ClaimedRun, Orders, Store, StoreError};
use crate::domain::{Certificate, Counts, Phase, Progress, RunId, Timestamp, Warning};

/// What a report that proved to be whole said, beside its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The proof.
    pub certificate: Certificate,
    /// What was counted.
    pub counts: Counts,
}

impl Store {
    /// Shows what the run is doing and how far it has come.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn save_progress(
        &self,
        run: &ClaimedRun,
        phase: Phase,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<Orders, StoreError> {
        let mut tx = self.write().await?;
        let orders = write_on(&mut tx, run, now).await?;
        sqlx::query("UPDATE runs SET phase = $2, progress = $3 WHERE id = $1")
            .bind(run.id().to_string())
            .bind(phase.as_str())
            .bind(json_text(progress))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(orders)
    }

    /// Keeps how far the run came, also when it was told to end.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn keep_progress(
        &self,
        run: &ClaimedRun,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        touch(&mut tx, run, now).await?;
        write_progress(&mut tx, run.id(), progress).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Says what the run waits for, or with `None` that it waits no longer. Waiting is no progress: the time of the last one
    /// stays.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn save_detail(
        &self,
        run: &ClaimedRun,
        detail: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        touch(&mut tx, run, now).await?;
        let progress = read_progress(&mut tx, run.id()).await?;
        let detail = detail.map(str::to_owned);
        write_progress(&mut tx, run.id(), &Progress { detail, ..progress }).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Remembers what need not be done again, and tells the orders as they are at that moment.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn save_checkpoint(&self, run: &ClaimedRun, now: Timestamp) -> Result<Orders, StoreError> {
        let mut tx = self.write().await?;
        let orders = write_on(&mut tx, run, now).await?;
        write_checkpoint(&mut tx, run).await?;
        tx.commit().await?;
        Ok(orders)
    }

    /// Adds a warning to the run, once each.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn add_warning(
        &self,
        run: &ClaimedRun,
        warning: &Warning,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        touch(&mut tx, run, now).await?;
        let row = sqlx::query("SELECT warnings FROM runs WHERE id = $1").bind(run.id().to_string());
        let mut warnings: Vec<Warning> = json(&row.fetch_one(&mut *tx).await?, "warnings")?;
        if !warnings.iter().any(|known| known.code == warning.code) {
            warnings.push(warning.clone());
            sqlx::query("UPDATE runs SET warnings = $2 WHERE id = $1")
                .bind(run.id().to_string())
                .bind(json_text(&warnings))
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Notes how many pairs Fusion refused in the push. An attempt that goes on with it meets them again, so its number is
    /// the run's.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database cannot.
    pub async fn count_rejected(
        &self,
        run: &ClaimedRun,
        rejected: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        touch(&mut tx, run, now).await?;
        let mut counts = read_counts(&mut tx, run).await?;
        counts.rejected = rejected;
        write_counts(&mut tx, run, &counts).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Notes what the report said on the run's record.
pub(super) async fn write_reading(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    reading: &Reading,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET certificate = $2, skipped = $3, counts = $4 WHERE id = $1")
        .bind(run.id().to_string())
        .bind(json_text(&reading.certificate))
        .bind(json_text(&reading.certificate.skipped))
        .bind(json_text(&reading.counts))
        .execute(tx)
        .await?;
    Ok(())
}

/// Counts pairs that Fusion acknowledged.
pub(super) async fn count_pushed(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    pairs: u64,
) -> Result<(), StoreError> {
    let mut counts = read_counts(tx, run).await?;
    counts.pushed += pairs;
    write_counts(tx, run, &counts).await
}

/// Lets the progress of a run rest that nobody works on any more: nothing moves, and `detail` says why.
pub(super) async fn rest_progress(
    tx: &mut SqliteConnection,
    run: RunId,
    detail: Option<String>,
) -> Result<(), StoreError> {
    let progress = read_progress(tx, run).await?;
    let resting = Progress {
        detail,
        rows_per_s: None,
        eta_s: None,
        ..progress
    };
    write_progress(tx, run, &resting).await
}

async fn read_progress(tx: &mut SqliteConnection, run: RunId) -> Result<Progress, StoreError> {
    let row = sqlx::query("SELECT progress FROM runs WHERE id = $1").bind(run.to_string());
    json(&row.fetch_one(tx).await?, "progress")
}

async fn write_progress(
    tx: &mut SqliteConnection,
    run: RunId,
    progress: &Progress,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET progress = $2 WHERE id = $1")
        .bind(run.to_string())
        .bind(json_text(progress))
        .execute(tx)
        .await?;
    Ok(())
}

async fn read_counts(tx: &mut SqliteConnection, run: &ClaimedRun) -> Result<Counts, StoreError> {
    let row = sqlx::query("SELECT counts FROM runs WHERE id = $1").bind(run.id().to_string());
    json(&row.fetch_one(tx).await?, "counts")
}

pub(super) async fn write_counts(
    tx: &mut SqliteConnection,
    run: &ClaimedRun,
    counts: &Counts,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET counts = $2 WHERE id = $1")
        .bind(run.id().to_string())
        .bind(json_text(counts))
        .execute(tx)
        .await?;
    Ok(())
}
