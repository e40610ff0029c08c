//! The service's memory: one SQLite database. SQL lives nowhere else.
//!
//! One file per table, in the dialect that SQLite and PostgreSQL both read. Reads go through a pool of readers, writes
//! through a single connection, each in a short transaction that never spans the network. What belongs together (a run
//! and its audit record, facts coming into force and the plan's counts) is written in one transaction.

mod audit;
mod database;
mod error;
mod facts;
mod installation;
mod integrations;
mod ledger;
mod lock;
mod plan_pages;
mod queue;
mod run_notes;
mod runs;
mod seal;

pub use audit::{Actor, AuditAction, AuditEntry, AuditField, AuditQuery, AuditRecord};
pub use database::Store;
pub use error::StoreError;
pub use facts::{FactSetId, StagingFacts};
pub use integrations::{IntegrationOverview, NewIntegration, StoredReport};
pub use ledger::{AccountId, LedgerQuery};
pub use lock::{DatabaseLock, LockError};
pub use plan_pages::{Carrier, FactView, PlanPage};
pub use queue::{AttemptEnd, Checkpoint, ClaimedRun, Completion, Ending, Orders, Rerun};
pub use run_notes::Reading;
pub use runs::{CancelOrder, RunStart, RunsQuery, StartedRun};
pub use seal::{Keyring, KeyringError};
