//! The desk: how the API reaches the workers in the same process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::domain::{IntegrationId, RunId};

/// How many ends of runs a slow listener may lag behind; it looks into the store when it does.
const ENDED_BACKLOG: usize = 64;

/// Likewise of moves of runs.
const MOVED_BACKLOG: usize = 256;

/// Wakes the workers, ends runs under way, and tells when one ended. Cheap to clone; clones share one desk.
///
/// The store knows everything that matters; the desk only spares waiting for the next look into it.
#[derive(Clone, Debug)]
pub struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Notify,
    schedule: Notify,
    ended: broadcast::Sender<RunId>,
    moved: broadcast::Sender<Option<RunId>>,
    active: Mutex<HashMap<RunId, (IntegrationId, CancellationToken)>>,
}

impl Desk {
    /// A desk without runs.
    pub fn new() -> Self {
        let (ended, _) = broadcast::channel(ENDED_BACKLOG);
        let (moved, _) = broadcast::channel(MOVED_BACKLOG);
        Self(Arc::new(Inner {
            queue: Notify::new(),
            schedule: Notify::new(),
            ended,
            moved,
            active: Mutex::new(HashMap::new()),
        }))
    }

    /// Tells the workers that a run may be waiting.
    pub fn run_queued(&self) {
        self.0.queue.notify_one();
    }

    /// Tells the schedule that an integration was made, changed or started.
    pub fn schedule_changed(&self) {
        self.0.schedule.notify_one();
    }

    /// Ends the work on an integration's run, if there is any: its cancellation is in the store already. One that nobody
    /// works on has ended there.
    pub fn cancel_work_of(&self, integration: IntegrationId) {
        drop(self.0.moved.send(None));
        for (of, token) in self.lock().values() {
            if *of == integration {
                token.cancel();
            }
        }
    }

    /// Ends the work on a run, if there is any: its cancellation is in the store already.
    pub fn cancel_work(&self, run: RunId) {
        if let Some((_, token)) = self.lock().get(&run) {
            token.cancel();
        }
    }

    /// Tells of each run that ends from now on.
    pub fn ended_runs(&self) -> broadcast::Receiver<RunId> {
        self.0.ended.subscribe()
    }

    /// Tells that a run ended, or was ended without a worker. The schedule may have waited for that.
    pub fn run_ended(&self, run: RunId) {
        self.schedule_changed();
        // Nobody listening is no failure.
        drop(self.0.ended.send(run));
        self.run_moved(run);
    }

    /// Tells of each run whose record changes from now on; with `None` of one whose id is not at hand.
    pub fn moved_runs(&self) -> broadcast::Receiver<Option<RunId>> {
        self.0.moved.subscribe()
    }

    /// Tells that the record of a run changed. Waits for nobody: who lags behind looks into the store.
    pub fn run_moved(&self, run: RunId) {
        drop(self.0.moved.send(Some(run)));
    }

    /// Waits until a run may be waiting.
    pub async fn queue_changed(&self) {
        self.0.queue.notified().await;
    }

    /// Waits until the schedule may have changed.
    pub async fn until_schedule_changed(&self) {
        self.0.schedule.notified().await;
    }

    /// Tells that the work on a run begins.
    pub(super) fn begin_work(&self, run: RunId, integration: IntegrationId) -> Work {
        let told_to_end = CancellationToken::new();
        self.lock().insert(run, (integration, told_to_end.clone()));
        Work {
            desk: self.clone(),
            run,
            told_to_end,
        }
    }

    /// The runs that are worked on.
    pub(super) fn runs_worked_on(&self) -> Vec<RunId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, (IntegrationId, CancellationToken)>> {
        // The map is changed by single calls only, so a panic elsewhere leaves it whole.
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The work on a run, from its claim until it is settled.
#[derive(Debug)]
pub(super) struct Work {
    desk: Desk,
    run: RunId,
    /// Cancelled when the run is to end.
    pub(super) told_to_end: CancellationToken,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.run);
        // A run that was given back may be due already.
        self.desk.run_queued();
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}
