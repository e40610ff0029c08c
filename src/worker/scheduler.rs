//! The keeper of the schedule: starts the runs that are due.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::interruption::log;
use super::schedule::due_at;
use super::workers::Workers;
use crate::domain::{IntegrationName, RunFlags, Timestamp, Trigger};
use crate::store::{Actor, IntegrationOverview, RunStart, StoreError};

/// The longest time between two looks at the schedule: a clock that is set forward is noticed by then.
const LOOK: Duration = Duration::from_mins(5);

/// Integrations that are looked at together.
const PAGE: u32 = 200;

/// Starts runs as they come due, until shutdown begins.
pub(super) async fn keep_schedule(workers: Workers, stopping: CancellationToken) {
    while !stopping.is_cancelled() {
        let now = workers.clock.now();
        let next = match start_due_runs(&workers, now).await {
            Ok(next) => next.map_or(now + LOOK, |next| next.min(now + LOOK)),
            Err(error) => {
                log(&error);
                now + LOOK
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = workers.desk.until_schedule_changed() => {}
            () = workers.clock.sleep_until(next) => {}
        }
    }
}

/// Starts what is due, and tells when the next is. An integration with a run under way is looked at again when that ends.
async fn start_due_runs(workers: &Workers, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let mut next: Option<Timestamp> = None;
    let mut after: Option<IntegrationName> = None;
    loop {
        let page = workers
            .store
            .integrations(after.as_ref().map(IntegrationName::as_str), PAGE)
            .await?;
        after = page
            .last()
            .map(|overview| overview.integration.settings.name.clone());
        for overview in &page {
            if overview.last_started_at > Some(now) {
                // The clock was set back. Left as it is, the start would put the next run off until the clock is there again.
                workers
                    .store
                    .forget_future_start(overview.integration.id, now)
                    .await?;
            }
            if overview.active_run.is_some() {
                continue;
            }
            match due_at(&overview.integration, overview.last_started_at, now) {
                Some(due) if due <= now => start(workers, overview, now).await?,
                due => next = [next, due].into_iter().flatten().min(),
            }
        }
        if after.is_none() {
            return Ok(next);
        }
    }
}

async fn start(workers: &Workers, overview: &IntegrationOverview, now: Timestamp) -> Result<(), StoreError> {
    let start = RunStart::new(Actor::scheduler(), Trigger::Schedule, RunFlags::default());
    match workers
        .store
        .start_run(overview.integration.id, &start, now)
        .await
    {
        Ok(started) => {
            tracing::info!(run.id = %started.record.id, instance.id = %started.record.integration, "a run is due");
            workers.desk.run_queued();
            Ok(())
        }
        // Deleted, or about to be, since it was read.
        Err(StoreError::NotFound(_) | StoreError::RunEnding(_) | StoreError::RunUnderWay(..)) => Ok(()),
        Err(error) => Err(error),
    }
}
