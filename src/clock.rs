//! The clock: the one source of `now` and `sleep`, so that tests can own both.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
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
    Standing(Arc<StandingTime>),
}

/// The time of a test: it runs faster than the real one, and can be moved on at once.
struct TestTime {
    epoch: Timestamp,
    started: Instant,
    factor: u32,
    offset_ms: AtomicI64,
    moved: Notify,
}

/// The time of a simulation: it stands still until it is moved.
#[derive(Default)]
struct StandingTime {
    now_ms: AtomicI64,
    asked: AtomicU64,
    /// Who sleeps, by the time to wake at, in milliseconds, and by a number.
    sleepers: Mutex<BTreeMap<(i64, u64), Waker>>,
}

impl StandingTime {
    fn sleepers(&self) -> MutexGuard<'_, BTreeMap<(i64, u64), Waker>> {
        // The map is changed by single calls only, so a panic elsewhere leaves it whole.
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on to a time, never back, and wakes whose time has come.
    fn move_to(&self, at: Timestamp) {
        let now_ms = self
            .now_ms
            .fetch_max(at.as_millis(), Ordering::SeqCst)
            .max(at.as_millis());
        let woken = {
            let mut sleepers = self.sleepers();
            let later = sleepers.split_off(&(now_ms.saturating_add(1), 0));
            std::mem::replace(&mut *sleepers, later)
        };
        woken.into_values().for_each(Waker::wake);
    }
}

/// A sleep on a clock that stands.
struct Nap {
    time: Arc<StandingTime>,
    wake_at: (i64, u64),
}

impl Future for Nap {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.time.now_ms.load(Ordering::SeqCst) >= self.wake_at.0 {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        drop(self.time.sleepers().insert(self.wake_at, waker));
        Poll::Pending
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        drop(self.time.sleepers().remove(&self.wake_at));
    }
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

    /// A clock for simulations that stands at `epoch` until [`Clock::move_to`] moves it.
    pub fn standing(epoch: Timestamp) -> Self {
        Self(Source::Standing(Arc::new(StandingTime {
            now_ms: AtomicI64::new(epoch.as_millis()),
            ..StandingTime::default()
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
            Source::Standing(time) => {
                time.asked.fetch_add(1, Ordering::SeqCst);
                Timestamp::from_millis(time.now_ms.load(Ordering::SeqCst))
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
            Source::Standing(time) => {
                let number = time.asked.fetch_add(1, Ordering::SeqCst);
                let wake_at = Timestamp::from_millis(time.now_ms.load(Ordering::SeqCst)) + duration;
                let wake_at = (wake_at.as_millis(), number);
                let time = Arc::clone(time);
                Nap { time, wake_at }.await;
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
        let time = match &self.0 {
            Source::System => panic!("only a test's clock can be moved"),
            Source::Test(time) => time,
            Source::Standing(_) => return self.move_to(self.now() + duration),
        };
        let milliseconds = i64::try_from(duration.as_millis()).expect("a test's leap fits");
        time.offset_ms.fetch_add(milliseconds, Ordering::SeqCst);
        time.moved.notify_waiters();
    }

    /// Moves a standing clock on to a time, and wakes whose time has come. It never goes back.
    ///
    /// # Panics
    /// When this is another clock.
    pub fn move_to(&self, at: Timestamp) {
        self.expect_standing().move_to(at);
    }

    /// When the first of those who sleep on a standing clock is to wake.
    ///
    /// # Panics
    /// When this is another clock.
    pub fn next_waking(&self) -> Option<Timestamp> {
        let sleepers = self.expect_standing().sleepers();
        let first = sleepers.first_key_value();
        first.map(|((at, _), _)| Timestamp::from_millis(*at))
    }

    /// How often a standing clock was asked so far: nearly all that happens asks it.
    ///
    /// # Panics
    /// When this is another clock.
    pub fn times_asked(&self) -> u64 {
        self.expect_standing().asked.load(Ordering::SeqCst)
    }

    fn expect_standing(&self) -> &StandingTime {
        let Source::Standing(time) = &self.0 else {
            panic!("only a clock that stands can be moved to a time")
        };
        time
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock::system()",
            Source::Test(_) => "Clock::test()",
            Source::Standing(_) => "Clock::standing()",
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
    async fn a_standing_clock_wakes_those_whose_time_has_come_and_no_others() {
        let clock = Clock::standing(Timestamp::from_millis(0));
        let (short, long) = (
            clock.sleep(Duration::from_secs(1)),
            clock.sleep(Duration::from_secs(2)),
        );
        tokio::pin!(short, long);
        assert!(futures_util::poll!(long.as_mut()).is_pending());
        assert!(futures_util::poll!(short.as_mut()).is_pending());
        let first = clock.next_waking().unwrap();
        assert_eq!(first, Timestamp::from_millis(1000));
        clock.move_to(first);
        assert!(futures_util::poll!(long.as_mut()).is_pending());
        short.await;
        clock.advance(Duration::from_secs(1));
        long.await;
        assert_eq!(
            (clock.now(), clock.next_waking()),
            (Timestamp::from_millis(2000), None)
        );
    }
}
