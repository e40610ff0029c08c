//! What the storage of a report file answers, and how to go on from it.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue};

use super::error::Problem;

/// What is known of a file that is being read.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// The bytes already read.
    pub(super) received: u64,
    /// The size of the whole file, where the storage tells.
    pub(super) total: Option<u64>,
    /// The version of the file.
    pub(super) etag: Option<HeaderValue>,
}

/// What to do with an answer.
#[derive(Debug)]
pub(super) enum Head {
    /// Its body goes on from the position, after this many bytes that are known already.
    Body { known: u64 },
    /// There is nothing after the position.
    End,
    /// The URL is not good any more: ask for a fresh one.
    Stale,
    /// Not now: go on after a pause.
    Later(Problem),
    /// It is not the file that was begun, or not to be had.
    Fail(Problem),
}

impl Position {
    /// The version for `If-Range`, which takes no weak ones.
    pub(super) fn strong_etag(&self) -> Option<&HeaderValue> {
        self.etag
            .as_ref()
            .filter(|etag| !etag.as_bytes().starts_with(b"W/"))
    }

    /// Whether the end of a body is the end of the file.
    pub(super) fn is_at_end(&self) -> bool {
        self.total.is_none_or(|total| self.received >= total)
    }

    /// Judges an answer, and takes over what the first one tells of the file.
    pub(super) fn judge(&mut self, status: StatusCode, headers: &HeaderMap) -> Head {
        match status.as_u16() {
            200 if self.received == 0 => {
                self.total = length(headers);
                self.etag = headers.get(ETAG).cloned();
                Head::Body { known: 0 }
            }
            // The storage does not do ranges. Only the same version may be read over.
            200 if self.etag.is_some() && self.etag.as_ref() == headers.get(ETAG) => {
                Head::Body { known: self.received }
            }
            206 if self.received > 0 && self.goes_on_with(headers) => Head::Body { known: 0 },
            416 if self.total.is_none() && range(headers) == Some((None, Some(self.received))) => Head::End,
            200 | 206 | 416 => Head::Fail(Problem::FileChanged),
            // Storages say 403 of an expired signature, some of them 400; 404 and 410 of a file that was moved.
            400 | 401 | 403 | 404 | 410 => Head::Stale,
            status @ (408 | 429 | 500..=599) => Head::Later(Problem::Unavailable(status)),
            status => Head::Fail(Problem::FileRefused(status)),
        }
    }

    fn goes_on_with(&self, headers: &HeaderMap) -> bool {
        let same_etag = match (&self.etag, headers.get(ETAG)) {
            (Some(before), Some(now)) => before == now,
            _ => true,
        };
        let Some((Some(start), total)) = range(headers) else {
            return false;
        };
        let same_total = match (self.total, total) {
            (Some(before), Some(now)) => before == now,
            _ => true,
        };
        same_etag && same_total && start == self.received
    }
}

/// How long the storage asks to wait, and never for longer than a minute: the run has its own patience.
pub(super) fn pause(asked: Option<Duration>, own: Duration) -> Duration {
    asked.map_or(own, |asked| asked.clamp(own, Duration::from_mins(1).max(own)))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Reads `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`: where it starts, and how much there is.
fn range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let start = match range.split_once('-') {
        Some((start, _)) => Some(start.trim().parse().ok()?),
        None => None,
    };
    Some((start, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let parsed = |(name, value): &(&'static str, &str)| {
            (
                reqwest::header::HeaderName::from_static(name),
                value.parse().unwrap(),
            )
        };
        pairs.iter().map(parsed).collect()
    }

    fn judge(status: u16, pairs: &[(&'static str, &str)]) -> String {
        let mut position = Position {
            received: 5,
            total: Some(10),
            etag: Some(HeaderValue::from_static("\"v1\"")),
        };
        format!(
            "{:?}",
            position.judge(StatusCode::from_u16(status).unwrap(), &headers(pairs))
        )
    }

    #[test]
    fn the_first_answer_tells_size_and_version() {
        let mut position = Position::default();
        let head = position.judge(
            StatusCode::OK,
            &headers(&[("content-length", "10"), ("etag", "W/\"a\"")]),
        );
        assert!(matches!(head, Head::Body { known: 0 }));
        assert!(position.total == Some(10) && position.etag.is_some() && position.strong_etag().is_none());
        assert!(!position.is_at_end());
    }

    #[test]
    fn a_resume_goes_on_only_with_the_same_file_at_the_same_place() {
        let goes_on = "Body { known: 0 }";
        let changed = "Fail(FileChanged)";
        for (pairs, expected) in [
            (
                &[("content-range", "bytes 5-9/10"), ("etag", "\"v1\"")][..],
                goes_on,
            ),
            (&[("content-range", "bytes 5-9/10")], goes_on),
            (&[("content-range", "bytes 5-9/*")], goes_on),
            (&[("content-range", "bytes 4-9/10")], changed),
            (&[("content-range", "bytes 5-10/11")], changed),
            (&[("content-range", "bytes 5-9/10"), ("etag", "\"v2\"")], changed),
            (&[], changed),
        ] {
            assert_eq!(judge(206, pairs), expected, "{pairs:?}");
        }
        assert_eq!(judge(200, &[("etag", "\"v1\"")]), "Body { known: 5 }");
        assert_eq!(judge(200, &[("etag", "\"v2\"")]), changed);
        assert_eq!(judge(200, &[]), changed);
        assert_eq!(judge(416, &[("content-range", "bytes */5")]), changed);
    }

    #[test]
    fn refusals_lead_to_a_fresh_url_a_pause_or_the_end() {
        assert_eq!(judge(403, &[]), "Stale");
        assert_eq!(judge(503, &[]), "Later(Unavailable(503))");
        assert_eq!(judge(405, &[]), "Fail(FileRefused(405))");
        let mut unsized_file = Position {
            received: 5,
            ..Position::default()
        };
        let head = unsized_file.judge(
            StatusCode::RANGE_NOT_SATISFIABLE,
            &headers(&[("content-range", "bytes */5")]),
        );
        assert!(matches!(head, Head::End));
    }

    #[test]
    fn pauses_are_neither_shorter_than_ours_nor_endless() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(None, second), second);
        assert_eq!(pause(Some(Duration::ZERO), second), second);
        assert_eq!(
            pause(Some(Duration::from_hours(1)), second),
            Duration::from_mins(1)
        );
    }
}
