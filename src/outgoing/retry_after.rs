//! `Retry-After`, in seconds or as a date.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::domain::Timestamp;

/// The longest pause that a neighbour is granted. Who means more is asked again after this, and can say so again.
const LONGEST: Duration = Duration::from_hours(1);

/// How long an answer asks to wait; a date that is past asks for nothing.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    read_seconds(text).or_else(|| {
        let date = jiff::fmt::rfc2822::DateTimeParser::new()
            .parse_timestamp(text)
            .ok()?;
        Some(
            Timestamp::from_millis(date.as_millisecond())
                .since(now)
                .min(LONGEST),
        )
    })
}

/// A number of seconds, with or without a fraction.
pub(crate) fn read_seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    if seconds.is_nan() || seconds < 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds).map_or(LONGEST, |duration| duration.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers, "2026-11-24T04:00:00Z".parse().unwrap())
    }

    #[test]
    fn retry_after_comes_in_seconds_or_as_a_date() {
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(
            read("Tue, 24 Nov 2026 04:01:30 GMT"),
            Some(Duration::from_secs(90))
        );
        assert_eq!(read("Tue, 24 Nov 2026 03:01:30 GMT"), Some(Duration::ZERO));
        assert_eq!(read("1e300"), Some(LONGEST));
        for value in ["", "soon", "-1", "NaN", "2026-11-24"] {
            assert_eq!(read(value), None, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::from_millis(0)), None);
    }
}
