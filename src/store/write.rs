//! A transaction that writes. It has the database's only writer, for which everybody else waits: heartbeats, API calls,
//! other runs. So the log tells when one kept it for long.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use sqlx::{Sqlite, SqliteConnection, Transaction};

/// What is worth a line for who looks for it.
const NOTEWORTHY: Duration = Duration::from_millis(100);

/// What no transaction should take: a slow disk, or work that belongs into several transactions.
const LONG: Duration = Duration::from_secs(5);

/// A transaction that writes; undone unless it is committed.
pub(super) struct Write {
    tx: Transaction<'static, Sqlite>,
    held: Held,
}

/// Since when the writer is held.
struct Held(Instant);

impl Write {
    /// Takes a transaction that just began.
    pub(super) fn new(tx: Transaction<'static, Sqlite>) -> Self {
        let held = Held(Instant::now());
        Self { tx, held }
    }

    /// Makes it last.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        let Self { tx, held } = self;
        let committed = tx.commit().await;
        drop(held);
        committed
    }
}

impl Deref for Write {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.tx
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = self.0.elapsed();
        let held_ms = u64::try_from(held.as_millis()).unwrap_or(u64::MAX);
        if held >= LONG {
            tracing::warn!(held_ms, "a transaction held the database's writer for long");
        } else if held >= NOTEWORTHY {
            tracing::debug!(held_ms, "a transaction held the database's writer");
        }
    }
}
