//! How long history is kept.

use std::time::Duration;

/// One day.
const DAY: Duration = Duration::from_hours(24);

/// How long history is kept, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Runs that ended longer ago go.
    pub age: Duration,
    /// Of each integration the newest so many runs stay at most.
    pub runs: u32,
    /// Audit records that are older go; `None` keeps them for ever.
    pub audit_age: Option<Duration>,
}

impl Retention {
    /// So many days.
    pub const fn days(days: u32) -> Duration {
        DAY.saturating_mul(days)
    }
}

impl Default for Retention {
    /// A quarter of a year and a thousand runs. The audit log is small beside what it proves, and whoever needs it needs
    /// the old records: it is kept for ever.
    fn default() -> Self {
        Self {
            age: Self::days(90),
            runs: 1_000,
            audit_age: None,
        }
    }
}
