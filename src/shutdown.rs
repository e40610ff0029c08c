//! Tasks and their end: everything that runs beside the caller is started here, and shutdown waits for it.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// How long what is under way may take once the end is asked for. Container engines kill after ten seconds, and the database
/// wants a moment to close.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// Starts tasks and ends them: first softly (a token that every task watches), then by dropping what is left.
/// Cheap to clone; clones share the tasks.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    hard: CancellationToken,
    tracker: TaskTracker,
    /// Where tasks run; `None`: on the runtime of who starts them.
    runtime: Option<Handle>,
    /// Where tasks run that others go before.
    behind: Option<Handle>,
    lost: Arc<OnceLock<&'static str>>,
}

/// Brings the service to its end when a vital task ends, even by a panic, and remembers which one it was.
struct Vital {
    name: &'static str,
    shutdown: Shutdown,
}

impl Drop for Vital {
    fn drop(&mut self) {
        if !self.shutdown.token.is_cancelled() {
            tracing::error!(task = self.name, "a vital task ended; shutting down");
            // Only the first one is the cause.
            let _ = self.shutdown.lost.set(self.name);
            self.shutdown.token.cancel();
        }
    }
}

impl Shutdown {
    /// A group without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// A group without tasks that has a runtime of its own for those that go [behind](Shutdown::behind) others.
    pub fn with_background(runtime: &Handle) -> Self {
        Self {
            behind: Some(runtime.clone()),
            ..Self::default()
        }
    }

    /// Whether there is a runtime for tasks that go behind others.
    pub(crate) const fn has_background(&self) -> bool {
        self.behind.is_some()
    }

    /// Carries out what belongs to the tasks that go behind others: the threads that it starts do so too.
    ///
    /// # Errors
    /// When it panics.
    pub(crate) async fn run_behind<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        match &self.behind {
            Some(runtime) => runtime.spawn(work.in_current_span()).await,
            None => Ok(work.await),
        }
    }

    /// The same group, for tasks that compute much and may wait: where there is a runtime for them, they run there.
    #[must_use]
    pub fn behind(&self) -> Self {
        Self {
            runtime: self.behind.clone(),
            ..self.clone()
        }
    }

    /// The token that tells tasks to come to an end.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts a task in the present span. It is dropped where it stands when it outlives the time of [`Shutdown::finish`].
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let hard = self.hard.clone();
        let task = async move { hard.run_until_cancelled_owned(task).await.unwrap_or_default() };
        let task = task.in_current_span();
        match &self.runtime {
            Some(runtime) => self.tracker.spawn_on(task, runtime),
            None => self.tracker.spawn(task),
        };
    }

    /// Starts a task that the service cannot do without: when it ends, the service comes to an end too.
    pub fn spawn_vital(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.clone();
        self.spawn(async move {
            let _vital = Vital { name, shutdown };
            task.await;
        });
    }

    /// The vital task whose end brought the others down, if that is why they end.
    pub fn lost_task(&self) -> Option<&'static str> {
        self.lost.get().copied()
    }

    /// Begins the end when the process is asked to stop: SIGTERM, or ctrl-c.
    ///
    /// # Errors
    /// When the system gives no signals.
    pub fn watch_signals(&self) -> std::io::Result<()> {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let token = self.token();
        self.spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = token.cancelled() => {}
            }
            token.cancel();
        });
        Ok(())
    }

    /// Asks all tasks to come to an end.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Asks all tasks to come to an end and waits for them; after `patience` drops those that are left.
    /// Returns whether all ended by themselves.
    pub async fn finish(&self, patience: Duration) -> bool {
        self.begin();
        self.tracker.close();
        let in_time = tokio::time::timeout(patience, self.tracker.wait()).await.is_ok();
        if !in_time {
            self.hard.cancel();
            self.tracker.wait().await;
        }
        in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_that_listen_end_softly_and_the_others_are_dropped() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        shutdown.spawn(async move { token.cancelled().await });
        assert!(shutdown.finish(Duration::from_mins(1)).await);

        let shutdown = Shutdown::new();
        shutdown.spawn(std::future::pending());
        assert!(!shutdown.finish(Duration::ZERO).await);
    }

    #[tokio::test]
    async fn a_vital_task_that_ends_or_panics_takes_the_others_down() {
        for panics in [false, true] {
            let shutdown = Shutdown::new();
            shutdown.spawn_vital("test", async move { assert!(!panics, "as planned") });
            shutdown.token().cancelled().await;
            assert!(shutdown.finish(Duration::from_mins(1)).await);
            assert_eq!(shutdown.lost_task(), Some("test"));
        }
    }

    #[tokio::test]
    async fn a_vital_task_that_ends_when_asked_is_not_lost() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        shutdown.spawn_vital("test", async move { token.cancelled().await });
        assert!(shutdown.finish(Duration::from_mins(1)).await);
        assert_eq!(shutdown.lost_task(), None);
    }
}
