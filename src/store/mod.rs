//! The service's memory: one SQLite database. SQL lives nowhere else.
//!
//! One file per table, in the dialect that SQLite and PostgreSQL both read. Reads go through a pool of readers, writes
//! through a single connection, each in a short transaction that never spans the network. What belongs together (a run
//! and its audit record, facts coming into force and the plan's counts) is written in one transaction.

mod adoption;
mod api_keys;
mod arrears;
mod attempts;
mod audit;
mod audit_chain;
mod canonical;
mod database;
mod departures;
mod error;
mod facts;
mod facts_digest;
mod figures;
mod history;
mod holds;
mod installation;
mod integrations;
mod kept_answers;
mod ledger;
mod lock;
mod marks;
mod overviews;
mod owner;
mod plan_pages;
mod plan_steps;
mod plans;
mod queue;
mod reasons;
mod removal;
mod run_notes;
mod run_start;
mod runs;
mod seal;
mod sealing;
mod verification;
mod write;

pub use adoption::Adopted;
pub use api_keys::{ApiKeyProof, NewApiKey};
pub use audit::{Actor, AuditAction, AuditEntry, AuditQuery, AuditRecord};
pub use audit_chain::AuditVerdict;
pub use database::Store;
pub use error::StoreError;
pub use facts::{FactSetId, StagingFacts};
pub use facts_digest::FactsDigest;
pub use integrations::{NewIntegration, StoredReport};
pub use kept_answers::{ANSWERS_KEPT_FOR, AnswerKey, KeptAnswer, RequestHash};
pub use ledger::{AccountId, LedgerQuery};
pub use lock::{DatabaseLock, LockError};
pub use overviews::IntegrationOverview;
pub use owner::{Checkpoint, ClaimedRun, Orders, Rerun};
pub use plan_pages::{Carrier, FactView, PlanPage, PlanQuery};
pub use plan_steps::PlanRecord;
pub use plans::{Hold, Planning};
pub use queue::{AttemptEnd, Completion, Ending, LONGEST_PAUSE};
pub use reasons::{AddressReasons, AssetReason, PairReason};
pub use removal::{Deletion, StartedRemoval};
pub use run_notes::Reading;
pub use run_start::{RunStart, StartedRun};
pub use runs::{CancelOrder, RunsQuery};
pub use seal::{Keyring, KeyringError};
pub use sealing::{LockedOut, Rotation, SealingState};
pub use verification::Verified;
