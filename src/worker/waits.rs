//! Waits that Wiz asks for, told on the run's record while they last.

use std::sync::Arc;

use futures_util::FutureExt as _;

use super::interruption::log;
use super::workers::Workers;
use crate::domain::Timestamp;
use crate::store::ClaimedRun;
use crate::wiz::WaitListener;

/// Shows on a run's record what its client waits for.
pub(super) fn tell_of_waits(workers: &Workers, run: &ClaimedRun) -> WaitListener {
    let known = Arc::new((workers.clone(), run.clone()));
    Arc::new(move |until| {
        let known = Arc::clone(&known);
        async move { tell(&known.0, &known.1, until).await }.boxed()
    })
}

async fn tell(workers: &Workers, run: &ClaimedRun, until: Option<Timestamp>) {
    let now = workers.clock.now();
    let detail = until.map(|until| {
        let seconds = until.since(now).as_millis().div_ceil(1000);
        format!("waits {seconds} s, until {until}: Wiz asked to slow down")
    });
    if let Some(detail) = &detail {
        tracing::info!("{detail}");
    }
    match workers.store.save_detail(run, detail.as_deref(), now).await {
        Ok(()) => workers.desk.run_moved(run.id()),
        // Who has lost the lease hears it from the heartbeat.
        Err(error) => log(&error),
    }
}
