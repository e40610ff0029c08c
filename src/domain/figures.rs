//! What the figures for Prometheus say of the database.

use super::Timestamp;

/// What the database holds at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Runs that wait for a worker.
    pub queued: u64,
    /// Runs that are worked on.
    pub running: u64,
    /// The size of the database, its log apart.
    pub database_bytes: u64,
    /// The names of all integrations, and when Wiz made the report that the labels of each follow from.
    pub reports: Vec<(String, Option<Timestamp>)>,
}
