//! A limit on how often a neighbour is asked.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::Timestamp;

/// Spaces requests evenly: the generic cell rate algorithm without a burst, since what a neighbour counts as one second
/// is not known. Shared by all who use one account.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    clock: Clock,
    interval_us: i64,
    state: Mutex<State>,
}

/// Times in microseconds since 1970.
#[derive(Debug)]
struct State {
    /// When the next request may go.
    next: i64,
    /// Until when nobody has a turn, since the neighbour asked for it.
    paused_until: i64,
}

impl RateLimiter {
    /// A limiter of so many requests per second.
    pub(crate) fn new(clock: Clock, per_second: NonZeroU32) -> Self {
        Self {
            clock,
            interval_us: 1_000_000 / i64::from(per_second.get()),
            state: Mutex::new(State {
                next: i64::MIN,
                paused_until: i64::MIN,
            }),
        }
    }

    /// Waits for the caller's turn. Who stops waiting leaves its turn unused.
    pub(crate) async fn turn(&self) {
        let mine_us = {
            let mut state = self.lock();
            let mine_us = self.now_us().max(state.next);
            state.next = mine_us.saturating_add(self.interval_us);
            mine_us
        };
        self.clock.sleep_until(not_before(mine_us)).await;
    }

    /// Lets nobody have a turn for a while: the neighbour asked for it.
    pub(crate) fn pause(&self, duration: Duration) {
        let until_us = self
            .now_us()
            .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX));
        let mut state = self.lock();
        state.next = until_us.max(state.next);
        state.paused_until = until_us.max(state.paused_until);
    }

    /// Until when nobody has a turn, since the neighbour asked for it; `None` when it did not, or that is over.
    pub(crate) fn paused_until(&self) -> Option<Timestamp> {
        let until_us = self.lock().paused_until;
        (until_us > self.now_us()).then(|| not_before(until_us))
    }

    fn now_us(&self) -> i64 {
        self.clock.now().as_millis().saturating_mul(1000)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }
}

/// Rounded up: a request a fraction of a millisecond early would be one too many.
fn not_before(us: i64) -> Timestamp {
    Timestamp::from_millis(us.saturating_add(999) / 1000)
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    /// One request per second, so that a test has to leap for every turn.
    fn limiter() -> (Clock, RateLimiter) {
        let clock = Clock::test(Timestamp::from_millis(1_000_000), 1);
        (clock.clone(), RateLimiter::new(clock, NonZeroU32::MIN))
    }

    #[tokio::test]
    async fn turns_are_an_interval_apart() {
        let (clock, limiter) = limiter();
        limiter.turn().await;
        let second = limiter.turn();
        let third = limiter.turn();
        tokio::pin!(second, third);
        assert!(poll!(second.as_mut()).is_pending());
        assert!(poll!(third.as_mut()).is_pending());
        let before = clock.now();
        clock.advance(Duration::from_secs(1));
        second.await;
        clock.advance(Duration::from_secs(1));
        third.await;
        assert!(clock.now().since(before) >= Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_pause_holds_everybody_back() {
        let (clock, limiter) = limiter();
        assert_eq!(limiter.paused_until(), None);
        limiter.pause(Duration::from_hours(1));
        limiter.pause(Duration::from_secs(1));
        let left = limiter.paused_until().unwrap().since(clock.now());
        assert!(left > Duration::from_mins(59), "the longer pause holds: {left:?}");
        let turn = limiter.turn();
        tokio::pin!(turn);
        assert!(poll!(turn.as_mut()).is_pending());
        clock.advance(Duration::from_mins(30));
        assert!(poll!(turn.as_mut()).is_pending());
        clock.advance(Duration::from_mins(30));
        turn.await;
        assert_eq!(limiter.paused_until(), None);
    }
}
