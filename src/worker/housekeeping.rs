//! The housekeeper: deletes what is kept no longer, at the start and once a day.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::interruption::log;
use super::workers::Workers;
use crate::store::{ANSWERS_KEPT_FOR, StoreError};

/// The time between two rounds.
const ROUND: Duration = Duration::from_hours(24);

/// Keeps house until shutdown begins. What a round leaves undone the next one does.
pub(super) async fn keep_house(workers: Workers, stopping: CancellationToken) {
    while !stopping.is_cancelled() {
        let round = async {
            if let Err(error) = tidy_up(&workers).await {
                log(&error);
            }
            workers.clock.sleep(ROUND).await;
        };
        // Each step is a short transaction, which ends undone when it is cut off.
        stopping.run_until_cancelled(round).await;
    }
}

/// One round: first what runs left behind, which would keep their records.
async fn tidy_up(workers: &Workers) -> Result<(), StoreError> {
    let (store, now) = (&workers.store, workers.clock.now());
    let retention = &workers.settings.retention;
    store.work_off_arrears().await?;
    store.sweep_facts().await?;
    store.prune_answers(now - ANSWERS_KEPT_FOR).await?;
    let runs = store.prune_runs(now - retention.age, retention.runs).await?;
    let audit_records = match retention.audit_age {
        Some(age) => store.prune_audit(now - age).await?,
        None => 0,
    };
    if runs + audit_records > 0 {
        tracing::info!(runs, audit_records, "deleted history that is kept no longer");
    }
    Ok(())
}
