//! How often progress is written down, and how long the rest will take.

use std::time::Duration;

use crate::clock::Clock;
use crate::domain::Timestamp;

/// The time between two notes of progress: often enough for a person who watches, rare enough for the database.
const INTERVAL: Duration = Duration::from_secs(2);

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

    /// Seconds until the whole is done, when a part took the time until now. `None` while nothing is done.
    pub(super) fn seconds_left(&self, part: u64, whole: u64) -> Option<u64> {
        let took_ms = self.clock.now().since(self.began).as_millis();
        let left_ms = (took_ms * u128::from(whole.saturating_sub(part))).checked_div(u128::from(part))?;
        u64::try_from(left_ms.div_ceil(1000)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_the_part_before_it_did() {
        let clock = Clock::test(Timestamp::from_millis(0), 1);
        let mut pace = Pace::new(clock.clone());
        assert!(pace.is_due() && !pace.is_due());
        assert_eq!(pace.seconds_left(0, 10), None);
        clock.advance(Duration::from_mins(10));
        assert!(pace.is_due());
        let left = pace.seconds_left(1, 3).unwrap();
        assert!((1200..1300).contains(&left), "{left}");
        assert_eq!(pace.seconds_left(3, 3), Some(0));
    }
}
