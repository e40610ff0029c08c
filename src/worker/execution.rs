//! A run in the hands of this process: its attempt, watched over by a heartbeat, and what follows from how that ends.
//!
//! ```text
//! claimed ─▶ attempt ─┬─ ended ───────────────────────────────▶ its end is on the record
//!    │                ├─ failed, may pass ──▶ back to the queue, after a pause
//!    └─ heartbeat ────┼─ told to end, or out of time ─────────▶ cancelled, failed
//!                     ├─ the service stops ─▶ back to the queue, at once
//!                     └─ the lease is lost ─▶ nothing: another owner has it
//! ```

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, Turn};
use super::desk::Work;
use super::interruption::{Interruption, broke_down, log};
use super::workers::Workers;
use crate::domain::{Failure, FailureKind, RunRecord, RunState, Timestamp};
use crate::store::{AttemptEnd, ClaimedRun, Ending, LONGEST_PAUSE, Orders, StoreError};

/// The time between two signs of life: several fit into the lease.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// How long without a sign of life in the database the work goes on: it ends before the lease does.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(90);

/// How long Fusion may take to answer what is under way when the work is to stop.
const LAST_ANSWERS: Duration = Duration::from_secs(4);

/// The pause after the first of several failures; it doubles, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LAST_PAUSE: Duration = Duration::from_mins(5);

/// Attempts in a row without progress that a run has.
const MAX_FRUITLESS: u32 = 8;

/// How the work on a run ended.
enum Outcome {
    Ended(Box<RunRecord>),
    Interrupted(Interruption),
    ToldToEnd,
    OutOfTime,
    ServiceStops,
}

impl Outcome {
    /// How an attempt ended that was not cut off; the outer error is a panic.
    fn of(done: std::thread::Result<Result<Option<RunRecord>, Interruption>>) -> Self {
        match done {
            Ok(Ok(Some(record))) => Self::Ended(Box::new(record)),
            Ok(Ok(None) | Err(Interruption::ToldToEnd)) => Self::ToldToEnd,
            Ok(Err(interruption)) => Self::Interrupted(interruption),
            Err(_) => Self::Interrupted(broke_down().into()),
        }
    }
}

/// A run in the hands of this process.
pub(super) struct Execution {
    workers: Workers,
    run: ClaimedRun,
    work: Work,
    /// Whether the attempt did something that need not be done again.
    advanced: bool,
}

impl Execution {
    pub(super) fn new(workers: Workers, run: ClaimedRun) -> Self {
        let work = workers.desk.begin_work(run.id(), run.record.integration);
        workers.desk.run_moved(run.id());
        Self {
            workers,
            run,
            work,
            advanced: false,
        }
    }

    /// Works on the run until it ends, goes back to the queue, or is another's.
    pub(super) async fn work(mut self, turn: Turn, stopping: CancellationToken) {
        let outcome = self.attempt(turn, &stopping).await;
        match self.settle(outcome).await {
            Ok(Some(record)) => self.announce(&record).await,
            Ok(None) => {}
            Err(StoreError::LeaseLost) => tracing::warn!("another owner has the run"),
            Err(error) => log(&error),
        }
    }

    async fn attempt(&mut self, turn: Turn, stopping: &CancellationToken) -> Outcome {
        if self.run.fruitless > MAX_FRUITLESS {
            return Outcome::Interrupted(poisonous().into());
        }
        let deadline = self.deadline();
        let (workers, run, clock) = (self.workers.clone(), self.run.clone(), self.workers.clock.clone());
        let (advanced, stop) = (&mut self.advanced, CancellationToken::new());
        let work = AssertUnwindSafe(async {
            let mut attempt = Attempt::begin(workers, run, turn).await?;
            if attempt.orders.cancel.is_some() {
                return Ok(None);
            }
            let done = attempt.carry_out(&stop).await;
            *advanced = attempt.advanced;
            done.map(Some)
        });
        let mut work = Box::pin(work.catch_unwind());
        let outcome = tokio::select! {
            biased;
            () = stopping.cancelled() => Outcome::ServiceStops,
            () = self.work.told_to_end.cancelled() => Outcome::ToldToEnd,
            () = clock.sleep_until(deadline) => Outcome::OutOfTime,
            outcome = watch_over(&self.workers, &self.run) => outcome,
            done = &mut work => return Outcome::of(done),
        };
        stop.cancel();
        tokio::select! {
            done = work => match Outcome::of(done) {
                Outcome::Ended(record) => Outcome::Ended(record),
                _ => outcome,
            },
            () = clock.sleep(LAST_ANSWERS) => outcome,
        }
    }

    /// Writes down how the work ended; the record, when that ended the run.
    async fn settle(&self, outcome: Outcome) -> Result<Option<RunRecord>, StoreError> {
        let (failure, retry_after) = match outcome {
            Outcome::Ended(record) => return Ok(Some(*record)),
            Outcome::Interrupted(Interruption::LeaseLost) => return Err(StoreError::LeaseLost),
            Outcome::ServiceStops | Outcome::Interrupted(Interruption::Stopped) => {
                tracing::info!("the service stops; the run goes on when it starts again");
                return self.give_back(None, self.now()).await;
            }
            Outcome::ToldToEnd | Outcome::Interrupted(Interruption::ToldToEnd) => {
                // What ends a run is the order in the store; the desk only wakes for it.
                return match self.orders().await?.cancel {
                    Some(_) => self.end(RunState::Cancelled, None).await,
                    None => self.give_back(None, self.now()).await,
                };
            }
            Outcome::OutOfTime => return self.end(RunState::Failed, Some(self.out_of_time())).await,
            Outcome::Interrupted(Interruption::Failed(failure, retry_after)) => (failure, retry_after),
        };
        if self.orders().await?.cancel.is_some() {
            // It failed because what it works on was changed or taken away.
            return self.end(RunState::Cancelled, None).await;
        }
        tracing::warn!(
            kind = failure.kind.as_str(),
            retryable = failure.retryable,
            "{}",
            failure.message
        );
        let fruitless = if self.advanced { 0 } else { self.run.fruitless };
        if !failure.retryable {
            return self.end(RunState::Failed, Some(failure)).await;
        }
        if fruitless >= MAX_FRUITLESS {
            return self.end(RunState::Failed, Some(exhausted(failure))).await;
        }
        let asked = retry_after.unwrap_or_default().min(LONGEST_PAUSE);
        let pause = asked.max(pause_after(fruitless));
        self.give_back(Some(failure), (self.now() + pause).min(self.deadline()))
            .await
    }

    async fn end(&self, state: RunState, failure: Option<Failure>) -> Result<Option<RunRecord>, StoreError> {
        let ending = Ending { state, failure };
        let store = &self.workers.store;
        Ok(Some(store.finish_run(&self.run, &ending, self.now()).await?))
    }

    async fn give_back(
        &self,
        failure: Option<Failure>,
        resume_at: Timestamp,
    ) -> Result<Option<RunRecord>, StoreError> {
        let end = AttemptEnd {
            failure,
            progressed: self.advanced,
            resume_at,
        };
        self.workers
            .store
            .end_attempt(&self.run, &end, self.now())
            .await?;
        self.workers.desk.run_moved(self.run.id());
        Ok(None)
    }

    /// Tells that the run ended, and clears away what it leaves behind.
    async fn announce(&self, record: &RunRecord) {
        tracing::info!(state = record.state.as_str(), "the run ended");
        self.workers.metrics.run_ended(record);
        self.workers.desk.run_ended(record.id);
        let store = &self.workers.store;
        for swept in [
            store.work_off_arrears().await,
            store.sweep_facts().await,
            store.sweep_plans().await,
        ] {
            if let Err(error) = swept {
                log(&error);
            }
        }
    }

    async fn orders(&self) -> Result<Orders, StoreError> {
        self.workers.store.extend_lease(&self.run, self.now()).await
    }

    fn deadline(&self) -> Timestamp {
        self.run.record.started_at.unwrap_or_else(|| self.now()) + self.workers.settings.run_timeout
    }

    fn out_of_time(&self) -> Failure {
        let hours = self.workers.settings.run_timeout.as_secs() / 3600;
        let failure = self.run.record.failure.as_ref();
        let last = failure.map_or_else(String::new, |failure| {
            format!(" Its last failure: {}", failure.message)
        });
        Failure::permanent(
            FailureKind::Timeout,
            format!("The run did not end within {hours} hours (WIZ_CONTEXT_RUN_TIMEOUT_HOURS).{last}"),
        )
    }

    fn now(&self) -> Timestamp {
        self.workers.clock.now()
    }
}

/// Gives signs of life; ends when the lease is lost or the run is told to end.
async fn watch_over(workers: &Workers, run: &ClaimedRun) -> Outcome {
    let mut alive_at = workers.clock.now();
    loop {
        workers.clock.sleep(HEARTBEAT).await;
        let now = workers.clock.now();
        match workers.store.extend_lease(run, now).await {
            Ok(orders) if orders.cancel.is_some() => return Outcome::ToldToEnd,
            Ok(_) => alive_at = now,
            Err(StoreError::LeaseLost) => return Outcome::Interrupted(Interruption::LeaseLost),
            Err(error) if now.since(alive_at) < HEARTBEAT_PATIENCE => log(&error),
            Err(error) => return Outcome::Interrupted(error.into()),
        }
    }
}

/// The pause after a number of failures in a row: doubled each time, and somewhere in its upper half, so that the runs of
/// an outage do not all come back at once.
fn pause_after(fruitless: u32) -> Duration {
    let doublings = fruitless.saturating_sub(1).min(16);
    let pause = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LAST_PAUSE);
    pause / 2 + (pause / 2).mul_f64(fastrand::f64())
}

fn exhausted(failure: Failure) -> Failure {
    let message = format!(
        "{} ({MAX_FRUITLESS} attempts in a row came no further.)",
        failure.message
    );
    Failure { message, ..failure }
}

fn poisonous() -> Failure {
    Failure::permanent(
        FailureKind::Internal,
        format!(
            "The service ended {MAX_FRUITLESS} times in a row while it worked on this run. Look into its log, and at the \
             memory that it may use."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_two_seconds_to_five_minutes() {
        for (fruitless, whole_s) in [
            (0, 2),
            (1, 2),
            (2, 4),
            (5, 32),
            (8, 256),
            (9, 300),
            (u32::MAX, 300),
        ] {
            let pause = pause_after(fruitless);
            let whole = Duration::from_secs(whole_s);
            assert!(pause >= whole / 2 && pause <= whole, "{fruitless}: {pause:?}");
        }
    }
}
