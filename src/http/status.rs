//! Where an integration stands.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::state::AppState;
use crate::domain::{Phase, RunRecord, RunState, Timestamp};
use crate::store::IntegrationOverview;
use crate::worker::next_run_at;

/// What an integration is doing.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Activity {
    /// Nothing.
    Idle,
    /// A run waits for a worker.
    Queued,
    /// A run is under way.
    Running,
}

/// Whether there is a Fusion account to push to.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Fusion {
    /// An account is set.
    Ok,
    /// None is set: every run is a dry run.
    NotConfigured,
}

/// Where an integration stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Status {
    state: Activity,
    /// What the run under way is doing.
    phase: Option<Phase>,
    /// The run under way.
    active_run: Option<RunRecord>,
    /// The run that ended last.
    last_run: Option<RunRecord>,
    /// The real run that succeeded last.
    last_success: Option<RunRecord>,
    /// When the schedule starts the next run, by what is known now; null while auto update is off, and while the labels are
    /// being removed.
    next_run_at: Option<Timestamp>,
    /// Addresses with labels by the facts in force.
    addresses: u64,
    /// Pairs (ip, context) that these facts want.
    pairs: u64,
    /// Pairs whose removal is kept back.
    held: u64,
    /// Seconds since Wiz made the report that the labels follow from; null before the first success.
    label_age_s: Option<u64>,
    fusion: Fusion,
}

impl Status {
    pub(super) fn new(overview: &IntegrationOverview, app: &AppState) -> Self {
        let now = app.clock.now();
        let active = overview.active_run.clone();
        let age = |made: Timestamp| Duration::as_secs(&now.since(made));
        Self {
            state: match active.as_ref().map(|run| run.state) {
                None => Activity::Idle,
                Some(RunState::Queued) => Activity::Queued,
                Some(_) => Activity::Running,
            },
            phase: active.as_ref().and_then(|run| run.phase),
            last_run: overview.last_run.clone(),
            last_success: overview.last_success.clone(),
            next_run_at: next_run_at(overview, now),
            addresses: overview.addresses,
            pairs: overview.pairs,
            held: overview.held,
            label_age_s: overview
                .last_success
                .as_ref()
                .and_then(|run| run.certificate.as_ref())
                .map(|certificate| age(certificate.report_run_at)),
            fusion: if app.settings.account.is_some() {
                Fusion::Ok
            } else {
                Fusion::NotConfigured
            },
            active_run: active,
        }
    }
}
