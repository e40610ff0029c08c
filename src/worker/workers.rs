//! The workers: what they work with, and how they start.

use std::sync::Arc;
use std::time::Duration;

use super::Desk;
use super::housekeeping::keep_house;
use super::queue::work_off;
use super::scheduler::keep_schedule;
use crate::clock::Clock;
use crate::domain::{AssetType, IntegrationName, Policy, Retention};
use crate::fusion::FusionClient;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::store::{AccountId, Store};
use crate::wiz::WizAccounts;

/// What stays the same for all runs while the service runs.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// The middle of the name of each report in Wiz.
    pub installation: String,
    /// What decides what a report comes to.
    pub policy: Policy,
    /// The kinds of assets that reports are asked for.
    pub asset_types: Vec<AssetType>,
    /// How many runs are worked on at a time, at least 1.
    pub max_concurrent: usize,
    /// How much of an integration's pairs a run may remove without asking, in percent.
    pub hold_removals_percent: u8,
    /// How long a run may take from its first attempt on.
    pub run_timeout: Duration,
    /// Every how many successes of an integration all wanted pairs are sent, whatever the ledger says.
    pub full_push_every: u32,
    /// How many requests to Fusion are under way at a time while labels are pushed, at least 1.
    pub push_concurrency: usize,
    /// How long history is kept.
    pub retention: Retention,
}

impl RunSettings {
    /// The name of an integration's report in Wiz.
    pub(super) fn report_name(&self, integration: &IntegrationName) -> String {
        format!("wiz-context/{}/{integration}", self.installation)
    }
}

/// The Fusion account that labels are pushed to.
#[derive(Clone, Debug)]
pub struct FusionTarget {
    /// The ledger's number for it.
    pub account: AccountId,
    /// The caller.
    pub client: FusionClient,
}

/// What the workers work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Workers {
    /// The database.
    pub store: Store,
    /// The way to the API.
    pub desk: Desk,
    /// The time.
    pub clock: Clock,
    /// The figures for Prometheus.
    pub metrics: Metrics,
    /// The Wiz accounts in use.
    pub wiz: WizAccounts,
    /// The Fusion account; without one every run is dry.
    pub fusion: Option<FusionTarget>,
    /// What stays the same for all runs.
    pub settings: Arc<RunSettings>,
}

impl Workers {
    /// Starts the workers: the schedule, the queue, which goes on with the runs that a stopped service left behind, and the
    /// housekeeping. They end when shutdown begins; a run under way then goes back to the queue.
    pub fn start(self, shutdown: &Shutdown) {
        shutdown.spawn_vital("schedule", keep_schedule(self.clone(), shutdown.token()));
        // Not vital: history that grows too long for a while is no reason to stop.
        shutdown.spawn(keep_house(self.clone(), shutdown.token()));
        shutdown.spawn_vital("queue", work_off(self, shutdown.clone()));
    }
}
