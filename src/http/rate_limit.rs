//! How often each caller may ask: the generic cell rate algorithm, with a burst of ten seconds' worth.
//!
//! Callers are told by `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers) how much is left, and by 429
//! with `Retry-After` when nothing is. A caller is whom the API key names. Requests without a valid key count by address,
//! and only they: who holds a key is never kept out by what others on the same address, or behind the same proxy, tried.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::{Problem, ProblemName};
use crate::clock::Clock;
use crate::store::Actor;

/// How long a caller that was silent may ask as fast as it can, as a multiple of what the rate allows.
const BURST_S: u32 = 10;

/// How many callers are remembered. When more come, those who have all of their burst again are forgotten first.
const MOST_CALLERS: usize = 10_000;

/// The limits of the callers. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub(super) struct RateLimits {
    clock: Clock,
    /// Requests a second; `None` is no limit.
    per_second: Option<NonZeroU32>,
    /// Per caller, when it has all of its burst again: microseconds, as [`Clock::passed`] counts.
    full_again_us: Arc<Mutex<BTreeMap<Caller, u64>>>,
}

/// Whose requests count together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Caller {
    Key(String),
    /// Without a valid key. An IPv6 network of 64 bits counts as one address, for whoever has one has all.
    Address(Option<IpAddr>),
}

/// What a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It may pass; so many more may at once, and all of the burst may after so many seconds.
    Passes { remaining: u64, full_after_s: u64 },
    /// It may be tried again after so many seconds.
    Refused { after_s: u64 },
}

impl Caller {
    /// The key that a request came with. That of the settings has a name only.
    fn of(actor: &Actor) -> Self {
        let id = actor.key_id.map(|id| id.to_string());
        Self::Key(id.unwrap_or_else(|| actor.user.clone()))
    }
}

impl RateLimits {
    pub(super) fn new(clock: Clock, per_second: Option<NonZeroU32>) -> Self {
        Self {
            clock,
            per_second,
            full_again_us: Arc::default(),
        }
    }

    fn take(&self, caller: Caller, per_second: NonZeroU32) -> Verdict {
        let interval_us = 1_000_000 / u64::from(per_second.get());
        let burst_us = interval_us * u64::from(per_second.get()) * u64::from(BURST_S);
        let now_us = u64::try_from(self.clock.passed().as_micros()).unwrap_or(u64::MAX);
        let mut callers = self.full_again_us.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MOST_CALLERS && !callers.contains_key(&caller) {
            callers.retain(|_, full_again_us| *full_again_us > now_us);
            if callers.len() >= MOST_CALLERS {
                // Addresses come last in the order: however many guess keys, a key's count is not forgotten.
                callers.pop_last();
            }
        }
        let full_again_us = callers.entry(caller).or_insert(now_us);
        let next_us = (*full_again_us).max(now_us).saturating_add(interval_us);
        let used_us = next_us - now_us;
        if used_us > burst_us {
            return Verdict::Refused {
                after_s: (used_us - burst_us).div_ceil(1_000_000).max(1),
            };
        }
        *full_again_us = next_us;
        Verdict::Passes {
            remaining: (burst_us - used_us) / interval_us,
            full_after_s: used_us.div_ceil(1_000_000),
        }
    }
}

/// Lets callers with a valid key pass within their limit. Comes after the key was looked at.
pub(super) async fn by_key(State(limits): State<RateLimits>, request: Request, next: Next) -> Response {
    let (Some(per_second), Some(actor)) = (limits.per_second, request.extensions().get::<Actor>()) else {
        return next.run(request).await;
    };
    match limits.take(Caller::of(actor), per_second) {
        Verdict::Passes {
            remaining,
            full_after_s,
        } => {
            let mut response = next.run(request).await;
            tell(response.headers_mut(), per_second, remaining, full_after_s);
            response
        }
        Verdict::Refused { after_s } => refused(per_second, after_s),
    }
}

/// Counts refusals for want of a valid key or of its role, per address, and tells those who go on that they are too many. Comes before
/// the key is looked at.
pub(super) async fn by_address(State(limits): State<RateLimits>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let caller = Caller::Address(peer.map(|peer| network(peer.0.ip())));
    let response = next.run(request).await;
    match limits.per_second {
        Some(per_second)
            if matches!(
                response.status(),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
            ) =>
        {
            match limits.take(caller, per_second) {
                Verdict::Passes { .. } => response,
                Verdict::Refused { after_s } => refused(per_second, after_s),
            }
        }
        _ => response,
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

fn refused(per_second: NonZeroU32, after_s: u64) -> Response {
    let detail = format!(
        "These are too many requests: {per_second} a second are allowed, and {BURST_S} seconds' worth of them at once. Try \
         again after {after_s} s, and ask less often."
    );
    let mut response = Problem::new(ProblemName::RateLimited, detail).into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, after_s.into());
    tell(headers, per_second, 0, after_s);
    response
}

fn tell(headers: &mut HeaderMap, per_second: NonZeroU32, remaining: u64, after_s: u64) {
    let quota = u64::from(per_second.get()) * u64::from(BURST_S);
    let value =
        |text: String| HeaderValue::try_from(text).expect("digits and plain letters fit into a header");
    headers.insert(
        "ratelimit-policy",
        value(format!("\"default\";q={quota};w={BURST_S}")),
    );
    headers.insert(
        "ratelimit",
        value(format!("\"default\";r={remaining};t={after_s}")),
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Timestamp;

    fn limits(clock: &Clock) -> RateLimits {
        RateLimits::new(clock.clone(), NonZeroU32::new(2))
    }

    fn take(limits: &RateLimits, user: &str) -> Verdict {
        limits.take(Caller::Key(user.to_owned()), limits.per_second.unwrap())
    }

    #[test]
    fn a_burst_passes_then_the_rate_and_each_caller_has_its_own() {
        let clock = Clock::standing(Timestamp::from_millis(0));
        let limits = limits(&clock);
        for left in (0..20).rev() {
            let Verdict::Passes { remaining, .. } = take(&limits, "a") else {
                panic!("{left}")
            };
            assert_eq!(remaining, left);
        }
        assert_eq!(take(&limits, "a"), Verdict::Refused { after_s: 1 });
        assert_eq!(take(&limits, "a"), Verdict::Refused { after_s: 1 });
        assert!(matches!(
            take(&limits, "b"),
            Verdict::Passes { remaining: 19, .. }
        ));
        clock.advance(Duration::from_millis(500));
        let last = Verdict::Passes {
            remaining: 0,
            full_after_s: 10,
        };
        assert_eq!(take(&limits, "a"), last);
        assert_eq!(take(&limits, "a"), Verdict::Refused { after_s: 1 });
        clock.advance(Duration::from_mins(1));
        assert!(matches!(
            take(&limits, "a"),
            Verdict::Passes { remaining: 19, .. }
        ));
    }

    #[test]
    fn no_more_callers_are_remembered_than_may_be() {
        let clock = Clock::standing(Timestamp::from_millis(0));
        let limits = limits(&clock);
        for number in 0..MOST_CALLERS + 50 {
            take(&limits, &number.to_string());
        }
        let remembered = || limits.full_again_us.lock().unwrap().len();
        assert_eq!(remembered(), MOST_CALLERS);
        clock.advance(Duration::from_mins(1));
        take(&limits, "one more");
        assert_eq!(remembered(), 1);
    }

    #[test]
    fn however_many_addresses_guess_a_key_keeps_its_count() {
        let clock = Clock::standing(Timestamp::from_millis(0));
        let limits = limits(&clock);
        while take(&limits, "a") != (Verdict::Refused { after_s: 1 }) {}
        for number in 0..u32::try_from(MOST_CALLERS).unwrap() + 50 {
            let address = IpAddr::from(std::net::Ipv4Addr::from(number));
            limits.take(Caller::Address(Some(address)), limits.per_second.unwrap());
        }
        assert_eq!(take(&limits, "a"), Verdict::Refused { after_s: 1 });
    }

    #[test]
    fn an_ipv6_network_is_one_caller() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
