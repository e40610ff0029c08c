//! The clock: the one source of `now` and `sleep`, so that tests can own both.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::Timestamp;

/// Tells the time and sleeps. Cheap to clone; clones share one time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Test(Arc<TestTime>),
}

/// The time of a test: it runs faster than the real one, and can be moved on at once.
struct TestTime {
    epoch: Timestamp,
    started: Instant,
    factor: u32,
    offset_ms: AtomicI64,
    /// What the clock shows beside the time that passed.
    wrong_by_ms: AtomicI64,
    moved: Notify,
}

impl TestTime {
    /// The time that passed since the beginning, in milliseconds: what sleepers go by.
    fn passed_ms(&self) -> i64 {
        let ran = self.epoch + self.started.elapsed() * self.factor;
        ran.as_millis() + self.offset_ms.load(Ordering::SeqCst)
    }
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock for tests that begins at `epoch` and runs `factor` times as fast as the real one.
    pub fn test(epoch: Timestamp, factor: u32) -> Self {
        let (started, moved) = (Instant::now(), Notify::new());
        Self(Source::Test(Arc::new(TestTime {
            epoch,
            started,
            factor,
            offset_ms: AtomicI64::new(0),
            wrong_by_ms: AtomicI64::new(0),
            moved,
        })))
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(
                clippy::disallowed_methods,
                reason = "this is the clock that everybody else asks"
            )]
            Source::System => Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()),
            Source::Test(time) => {
                Timestamp::from_millis(time.passed_ms() + time.wrong_by_ms.load(Ordering::SeqCst))
            }
        }
    }

    /// Sleeps for a duration of this clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else asks"
    )]
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System => tokio::time::sleep(duration).await,
            Source::Test(time) => {
                let wake_at = Timestamp::from_millis(time.passed_ms()) + duration;
                loop {
                    let moved = time.moved.notified();
                    tokio::pin!(moved);
                    moved.as_mut().enable();
                    let left = wake_at.since(Timestamp::from_millis(time.passed_ms()));
                    if left.is_zero() {
                        return;
                    }
                    tokio::select! {
                        () = tokio::time::sleep((left / time.factor).max(Duration::from_millis(1))) => {}
                        () = moved => {}
                    }
                }
            }
        }
    }

    /// Sleeps until a time of this clock; at once when it is past.
    pub async fn sleep_until(&self, time: Timestamp) {
        self.sleep(time.since(self.now())).await;
    }

    /// Lets time pass by a test's clock, and wakes whoever has slept enough.
    ///
    /// # Panics
    /// When this is the system's clock.
    pub fn advance(&self, duration: Duration) {
        let time = self.test_time();
        time.offset_ms.fetch_add(milliseconds(duration), Ordering::SeqCst);
        time.moved.notify_waiters();
    }

    /// Sets a test's clock back, as a person or a time server does: what it shows changes, and no sleep takes longer.
    ///
    /// # Panics
    /// When this is the system's clock.
    pub fn set_back(&self, duration: Duration) {
        let time = self.test_time();
        time.wrong_by_ms
            .fetch_sub(milliseconds(duration), Ordering::SeqCst);
    }

    fn test_time(&self) -> &TestTime {
        let Source::Test(time) = &self.0 else {
            panic!("only a test's clock can be moved")
        };
        time
    }
}

fn milliseconds(leap: Duration) -> i64 {
    i64::try_from(leap.as_millis()).expect("a test's leap fits")
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock::system()",
            Source::Test(_) => "Clock::test()",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_leap_of_the_clock_wakes_who_sleeps() {
        let clock = Clock::test(Timestamp::from_millis(0), 1);
        let sleeper = clock.sleep(Duration::from_hours(24));
        tokio::pin!(sleeper);
        assert!(futures_util::poll!(sleeper.as_mut()).is_pending());
        clock.advance(Duration::from_hours(24));
        sleeper.await;
        assert!(clock.now() >= Timestamp::from_millis(86_400_000));
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_shows_an_earlier_time_and_keeps_nobody_asleep() {
        let clock = Clock::test(Timestamp::from_millis(86_400_000), 1);
        let sleeper = clock.sleep(Duration::from_hours(2));
        tokio::pin!(sleeper);
        assert!(futures_util::poll!(sleeper.as_mut()).is_pending());
        clock.set_back(Duration::from_hours(24));
        assert!(clock.now() < Timestamp::from_millis(86_400_000));
        clock.advance(Duration::from_hours(2));
        sleeper.await;
    }
}
