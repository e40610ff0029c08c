//! How long runs stay in their phases.

use std::time::Duration;

use crate::clock::Clock;
use crate::domain::Phase;
use crate::metrics::Metrics;

/// Measures the phases of an attempt, the last one until it is dropped.
#[derive(Debug)]
pub(super) struct PhaseTimer {
    metrics: Metrics,
    clock: Clock,
    present: Option<(Phase, Duration)>,
}

impl PhaseTimer {
    pub(super) const fn new(metrics: Metrics, clock: Clock) -> Self {
        Self {
            metrics,
            clock,
            present: None,
        }
    }

    /// The attempt is in this phase now, perhaps since before.
    pub(super) fn enter(&mut self, phase: Phase) {
        if self.present.is_none_or(|(present, _)| present != phase) {
            self.leave();
            self.present = Some((phase, self.clock.passed()));
        }
    }

    /// The phase is over; the next may be the same one again.
    pub(super) fn leave(&mut self) {
        if let Some((phase, since)) = self.present.take() {
            let took = self.clock.passed().saturating_sub(since);
            self.metrics.phase_left(phase, took);
        }
    }
}

impl Drop for PhaseTimer {
    fn drop(&mut self) {
        self.leave();
    }
}
