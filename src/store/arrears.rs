//! Arrears: what was decided in a short transaction, and is still to be written in the ledger, some thousand pairs at a
//! time. Who has the turn to plan does all of it first, so that no plan is made without it.
//!
//! - `marks`: a plan keeps removals back, or no longer.
//! - `departures`: an integration was deleted.
//!
//! One writes at a time; whoever was cut off is gone on with. The marks come first, for what is kept back for others stays
//! when an integration leaves.

use sqlx::SqliteConnection;

use super::write::Write;
use super::{Store, StoreError, departures, marks};

/// Pairs that are written in one transaction: some tenths of a second, so that other writers get their turn in between.
pub(super) const PAIRS_PER_WRITE: i64 = 20_000;

/// Some of the pairs that are kept back for an integration ($1) in an account ($2).
macro_rules! some_held {
    () => {
        "(account, ip, context) IN (SELECT account, ip, context FROM ledger WHERE held_for = $1 AND account = $2 LIMIT $3)"
    };
}
pub(super) use some_held;

impl Store {
    /// Does what is left to do in the ledger before anybody may plan.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn work_off_arrears(&self) -> Result<(), StoreError> {
        let _alone = self.arrears.lock().await;
        loop {
            self.write_marks().await?;
            if self.forget_departed().await? {
                return Ok(());
            }
        }
    }

    /// Begins a transaction that writes, in which the ledger says all that was decided.
    pub(super) async fn write_without_arrears(&self) -> Result<Write, StoreError> {
        loop {
            self.work_off_arrears().await?;
            let mut tx = self.write().await?;
            if !are_any(&mut tx).await? {
                return Ok(tx);
            }
        }
    }
}

/// Whether the ledger is behind what was decided.
pub(super) async fn are_any(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(marks::are_pending(connection).await? || departures::are_pending(connection).await?)
}
