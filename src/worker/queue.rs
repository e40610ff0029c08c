//! The queue's worker: claims runs as they come due, and works on several at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::attempt::Turn;
use super::execution::Execution;
use super::interruption::log;
use super::workers::Workers;
use crate::shutdown::Shutdown;
use crate::store::{ClaimedRun, StoreError};

/// The longest time between two looks at the queue, in case that nobody tells of a run.
const LOOK: Duration = Duration::from_secs(30);

/// The least time between two looks that nobody asked for: a run may seem due that cannot be claimed.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// Claims runs and works on them until shutdown begins.
pub(super) async fn work_off(workers: Workers, shutdown: Shutdown) {
    let slots = Arc::new(Semaphore::new(workers.settings.max_concurrent));
    let (turn, stopping) = (Turn::default(), shutdown.token());
    if let Err(error) = workers.store.release_all_runs(workers.clock.now()).await {
        log(&error);
    }
    // What a run left that was cancelled between two attempts.
    if let Err(error) = workers.store.sweep_facts().await {
        log(&error);
    }
    while let Some(slot) = stopping
        .run_until_cancelled(Arc::clone(&slots).acquire_owned())
        .await
    {
        let slot = slot.expect("nobody closes the semaphore");
        match next_run(&workers, &stopping).await {
            Ok(Some(run)) => {
                let span = tracing::info_span!(
                    "run",
                    run.id = %run.id(),
                    instance.id = %run.record.integration,
                    run.attempt = run.record.attempts
                );
                let execution = Execution::new(workers.clone(), run);
                let (turn, stopping) = (Turn::clone(&turn), stopping.clone());
                shutdown.spawn(
                    async move {
                        execution.work(turn, stopping).await;
                        drop(slot);
                    }
                    .instrument(span),
                );
            }
            Ok(None) => return,
            Err(error) => {
                log(&error);
                drop(slot);
                let pause = workers.clock.sleep(LOOK);
                stopping.run_until_cancelled(pause).await;
            }
        }
    }
}

/// Waits for a run that is due; `None` when shutdown begins.
async fn next_run(workers: &Workers, stopping: &CancellationToken) -> Result<Option<ClaimedRun>, StoreError> {
    loop {
        if stopping.is_cancelled() {
            return Ok(None);
        }
        let now = workers.clock.now();
        if let Some(run) = workers
            .store
            .claim_run(now, &workers.desk.runs_worked_on())
            .await?
        {
            return Ok(Some(run));
        }
        let due = workers.store.next_claim_at().await?;
        let until = due.map_or(now + LOOK, |due| due.clamp(now + LEAST_PAUSE, now + LOOK));
        tokio::select! {
            () = stopping.cancelled() => {}
            () = workers.desk.queue_changed() => {}
            () = workers.clock.sleep(until.since(now)) => {}
        }
    }
}
