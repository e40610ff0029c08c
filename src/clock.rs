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
    moved: Notify,
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock for tests that begins at `epoch` and runs `factor` times as fast as the real one.
    pub fn test(epoch: Timestamp, factor: u32) -> Self {
        let (started, offset_ms, moved) = (Instant::now(), AtomicI64::new(0), Notify::new());
        Self(Source::Test(Arc::new(TestTime {
            epoch,
            started,
            factor,
            offset_ms,
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
                let ran = time.epoch + time.started.elapsed() * time.factor;
                Timestamp::from_millis(ran.as_millis() + time.offset_ms.load(Ordering::SeqCst))
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
                let wake_at = self.now() + duration;
                loop {
                    let moved = time.moved.notified();
                    tokio::pin!(moved);
                    moved.as_mut().enable();
                    let left = wake_at.since(self.now());
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

    /// Moves a test's clock on and wakes whoever sleeps.
    ///
    /// # Panics
    /// When this is the system's clock.
    pub fn advance(&self, duration: Duration) {
        let Source::Test(time) = &self.0 else {
            panic!("only a test's clock can be moved")
        };
        let milliseconds = i64::try_from(duration.as_millis()).expect("a test's leap fits");
        time.offset_ms.fetch_add(milliseconds, Ordering::SeqCst);
        time.moved.notify_waiters();
    }
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
}
