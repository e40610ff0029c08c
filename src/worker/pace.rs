//! How often progress is written down, how fast it goes, and how long the rest will take.

use std::time::Duration;

use crate::clock::Clock;
use crate::domain::Timestamp;

/// The time between two notes of progress: often enough for a person who watches, rare enough for the database.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long to watch before anything is said of a rate: the first pieces come in a burst, or after a wait.
const LEAST_WATCHED: Duration = Duration::from_secs(2);

/// What is further off than this is not foretold. No run may take as long.
const LONGEST_LEFT: Duration = Duration::from_hours(30 * 24);

/// The pace of a step.
pub(super) struct Pace {
    clock: Clock,
    began: Timestamp,
    next: Timestamp,
}

impl Pace {
    /// A step that begins now.
    pub(super) fn new(clock: Clock) -> Self {
        let began = clock.now();
        Self {
            clock,
            began,
            next: began,
        }
    }

    /// Whether progress is to be noted again.
    pub(super) fn is_due(&mut self) -> bool {
        let now = self.clock.now();
        let due = now >= self.next;
        if due {
            self.next = now + INTERVAL;
        }
        due
    }

    /// How much was done in a second, when a part took the time until now. `None` while that is too short to tell, and when
    /// nothing was done.
    pub(super) fn per_second(&self, part: u64) -> Option<u64> {
        let watched_ms = self.watched_ms().filter(|_| part > 0)?;
        u64::try_from((u128::from(part) * 1000 + watched_ms / 2) / watched_ms).ok()
    }

    /// Seconds until the whole is done, when a part took the time until now. `None` while that cannot be told.
    pub(super) fn seconds_left(&self, part: u64, whole: u64) -> Option<u64> {
        if part > 0 && part >= whole {
            return Some(0);
        }
        let left_ms = (self.watched_ms()? * u128::from(whole - part)).checked_div(u128::from(part))?;
        let seconds = u64::try_from(left_ms.div_ceil(1000)).ok()?;
        (seconds <= LONGEST_LEFT.as_secs()).then_some(seconds)
    }

    fn watched_ms(&self) -> Option<u128> {
        let watched = self.clock.now().since(self.began);
        (watched >= LEAST_WATCHED).then_some(watched.as_millis())
    }
}

/// A part in percent, rounded down: 100 is all of it.
pub(super) fn percent(part: u64, whole: u64) -> u8 {
    let percent = (u128::from(part) * 100)
        .checked_div(u128::from(whole))
        .unwrap_or(100);
    u8::try_from(percent.min(100)).expect("at most 100")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_the_part_before_it_did() {
        let clock = Clock::test(Timestamp::from_millis(0), 1);
        let mut pace = Pace::new(clock.clone());
        assert!(pace.is_due() && !pace.is_due());
        clock.advance(Duration::from_mins(10));
        assert!(pace.is_due());
        let left = pace.seconds_left(1, 3).unwrap();
        assert!((1200..1300).contains(&left), "{left}");
        assert_eq!(pace.seconds_left(3, 3), Some(0));
        let rate = pace.per_second(60_000).unwrap();
        assert!((90..=100).contains(&rate), "{rate}");
    }

    #[test]
    fn what_cannot_be_told_is_not_told() {
        let clock = Clock::test(Timestamp::from_millis(0), 1);
        let pace = Pace::new(clock.clone());
        assert_eq!(
            (pace.seconds_left(5, 10), pace.per_second(5)),
            (None, None),
            "too soon"
        );
        clock.advance(Duration::from_hours(1));
        assert_eq!(
            (pace.seconds_left(0, 10), pace.per_second(0)),
            (None, None),
            "nothing done"
        );
        assert_eq!(pace.seconds_left(1, u64::MAX), None, "longer than any run");
        assert_eq!(pace.seconds_left(0, 0), None);
    }

    #[test]
    fn a_part_of_nothing_is_all_of_it() {
        assert_eq!((percent(1, 3), percent(0, 0), percent(5, 4)), (33, 100, 100));
    }
}
