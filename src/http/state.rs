//! What handlers work with.

use std::num::NonZeroU32;
use std::sync::Arc;

use aws_lc_rs::digest;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::idempotency::UnderWay;
use super::notes::Notes;
use crate::clock::Clock;
use crate::domain::{AllowedHosts, Origin};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::store::{AccountId, Store};
use crate::worker::{Checker, Desk};

/// What handlers work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppState {
    /// The database.
    pub store: Store,
    /// The way to the workers.
    pub desk: Desk,
    /// What checks the connections of integrations.
    pub checker: Checker,
    /// The time.
    pub clock: Clock,
    /// The figures for Prometheus.
    pub metrics: Metrics,
    /// Tells that the service comes to its end: whoever waits for something answers now.
    pub ending: CancellationToken,
    /// What starts tasks that outlive their requests.
    pub tasks: Shutdown,
    /// What is written down of requests beside their work.
    pub notes: Notes,
    /// The calls with an `Idempotency-Key` that are under way.
    pub under_way: UnderWay,
    /// The turn to look through the whole audit log.
    pub audit_checks: Arc<Semaphore>,
    /// What stays the same while the service runs.
    pub settings: Arc<ApiSettings>,
}

/// What stays the same while the service runs.
#[derive(Debug)]
pub struct ApiSettings {
    /// The key of the settings, which may do everything.
    pub admin_key: Option<AdminKey>,
    /// Hosts beside Wiz's that an integration may point to.
    pub allowed_hosts: AllowedHosts,
    /// The Fusion account, if one is set.
    pub account: Option<AccountId>,
    /// Whether `/docs` is served.
    pub docs: bool,
    /// How many requests each caller may make a second; none is no limit.
    pub requests_per_second: Option<NonZeroU32>,
    /// Origins whose web pages may call.
    pub cors_origins: Vec<Origin>,
}

/// The hash of the admin API key.
pub struct AdminKey(digest::Digest);

impl AdminKey {
    /// The hash of a key.
    pub fn new(key: &str) -> Self {
        Self(digest::digest(&digest::SHA256, key.as_bytes()))
    }

    /// Whether a key is this one, in a time that does not tell how much of it is right.
    pub(super) fn is(&self, key: &str) -> bool {
        let other = digest::digest(&digest::SHA256, key.as_bytes());
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_ref(), other.as_ref()).is_ok()
    }
}

impl std::fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminKey(…)")
    }
}
