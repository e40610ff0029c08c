//! A runtime that is driven in turns, and tells when it has nothing to do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use wiz_context::store::Store;

use crate::watch::Watch;

/// How long a runtime waits for its database before it is looked at again.
const LOOK: Duration = Duration::from_millis(20);

/// For a runtime in which nothing is to happen between two polls.
pub(crate) const ANY_POLLS: u32 = 61;

/// A runtime that tells when it has nothing to do.
pub(crate) struct Turns {
    runtime: Runtime,
    parking: Arc<Parking>,
}

#[derive(Default)]
struct Parking {
    parked: AtomicU64,
    waker: AtomicWaker,
    /// The database that its tasks use.
    store: Mutex<Option<Store>>,
}

impl Turns {
    pub(crate) fn new(polls_until_look: u32) -> Self {
        let parking = Arc::new(Parking::default());
        let told = Arc::clone(&parking);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(polls_until_look)
            .on_thread_park(move || {
                if told.store.lock().unwrap().as_ref().is_none_or(Store::is_idle) {
                    told.parked.fetch_add(1, Ordering::SeqCst);
                    told.waker.wake();
                }
            })
            .build()
            .unwrap();
        Self { runtime, parking }
    }

    /// Lets all tasks go as far as they can by themselves, or until the watch interrupts. Whether they came so far: their
    /// database may still be at work.
    pub(crate) fn take(&self, watch: &Watch) -> bool {
        let before = self.parking.parked.load(Ordering::SeqCst);
        let done = std::future::poll_fn(|context| {
            self.parking.waker.register(context.waker());
            // Twice: the sockets are looked at in between.
            let parked = self.parking.parked.load(Ordering::SeqCst) - before;
            if watch.interrupts() || parked >= 2 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let done = self
            .runtime
            .block_on(async { tokio::time::timeout(LOOK, done).await.is_ok() });
        // It would keep the runtime, which keeps it.
        drop(self.parking.waker.take());
        done
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(work)
    }

    /// It has something to do for as long as this database is in use.
    pub(crate) fn uses(&self, store: Store) {
        *self.parking.store.lock().unwrap() = Some(store);
    }

    /// It is ended without its database: whoever leaves a waker behind keeps the runtime's settings, and with them this.
    pub(crate) fn lets_go(&self) {
        drop(self.parking.store.lock().unwrap().take());
    }

    /// Drops all tasks where they stand.
    pub(crate) fn end(self) {
        self.runtime.shutdown_background();
    }
}
