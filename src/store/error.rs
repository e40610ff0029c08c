//! What can go wrong with the database.

use crate::domain::{RunId, RunState, Trigger};

/// Why a call on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused or could not.
    #[error("database error")]
    Database(#[from] sqlx::Error),
    /// The migrations do not fit the database.
    #[error("the database cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// SQLite is older than the first version that is safe with a WAL.
    #[error("SQLite {0} can corrupt a database in WAL mode; at least 3.51.3 is needed")]
    SqliteTooOld(String),
    /// A stored value is not one this version writes.
    #[error("the column {column} holds a value that this version does not know")]
    Corrupt {
        /// Table and column.
        column: &'static str,
    },
    /// There is no such row.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// Another integration has the name.
    #[error("the name is taken")]
    NameTaken,
    /// The settings changed since they were read.
    #[error("the settings changed meanwhile")]
    StaleTag,
    /// Another owner works on the run, or nobody does: what this one does no longer counts.
    #[error("the run's lease was lost")]
    LeaseLost,
    /// The run under way was told to end, so that no start can join it.
    #[error("the run {0} is coming to its end")]
    RunEnding(RunId),
    /// A run under way does something else than what was asked for.
    #[error("the run {0} is under way")]
    RunUnderWay(RunId, Trigger),
    /// The run holds nothing back: a later one judged afresh, or what it kept was applied.
    #[error("the run holds nothing back")]
    NothingHeld,
    /// Without the key nobody could make keys.
    #[error("it is the last key that may do everything")]
    LastAdminKey,
    /// The run has ended already.
    #[error("the run has ended already")]
    RunEnded(RunState),
    /// The facts in force changed while a plan was read from them.
    #[error("the facts in force changed meanwhile")]
    FactsChanged,
    /// A sealed value cannot be opened.
    #[error("a sealed value cannot be opened with the keys at hand")]
    Seal(#[from] super::KeyringError),
}

impl StoreError {
    /// An error for a value that this version does not know.
    pub(super) const fn corrupt(column: &'static str) -> Self {
        Self::Corrupt { column }
    }

    /// Whether a unique index refused the write.
    pub(super) fn is_unique_violation(error: &sqlx::Error) -> bool {
        error
            .as_database_error()
            .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    }
}
