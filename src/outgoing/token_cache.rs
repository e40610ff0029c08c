//! A bearer token, kept until it is about to expire.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::domain::{BearerToken, Timestamp};

/// A token is renewed this long before its end, or a quarter of its life before when that is shorter: some tenants give
/// tokens for 15 minutes only.
const MARGIN: Duration = Duration::from_mins(5);

/// A token as it was just given.
pub(crate) struct FreshToken {
    /// The token.
    pub(crate) token: BearerToken,
    /// How long it is good.
    pub(crate) life: Duration,
}

/// The token of one account. Whoever needs one while it is being fetched waits for that one.
#[derive(Debug)]
pub(crate) struct TokenCache {
    clock: Clock,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    token: BearerToken,
    renew_at: Timestamp,
    ends_at: Timestamp,
}

impl TokenCache {
    /// A cache without a token.
    pub(crate) const fn new(clock: Clock) -> Self {
        Self {
            clock,
            held: Mutex::const_new(None),
        }
    }

    /// The token, fetched when there is none, when it is about to end, or when it is the one that was `refused`.
    ///
    /// # Errors
    /// What fetching failed with, unless the token at hand is still good.
    pub(crate) async fn token<E>(
        &self,
        refused: Option<&BearerToken>,
        fetch: impl AsyncFnOnce() -> Result<FreshToken, E>,
    ) -> Result<BearerToken, E> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        if let Some(old) = held.as_ref().filter(|old| Some(&old.token) != refused) {
            if now < old.renew_at {
                return Ok(old.token.clone());
            }
        } else {
            *held = None;
        }
        match fetch().await {
            Ok(FreshToken { token, life }) => {
                // Counted from before the request: the neighbour's count began before its answer came.
                let renew_at = now + life.saturating_sub(MARGIN.min(life / 4));
                let ends_at = now + life;
                let fresh = token.clone();
                *held = Some(Held {
                    token,
                    renew_at,
                    ends_at,
                });
                Ok(fresh)
            }
            Err(error) => match held.as_ref() {
                Some(old) if self.clock.now() < old.ends_at => Ok(old.token.clone()),
                _ => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Issuer {
        clock: Clock,
        cache: TokenCache,
        issued: AtomicU32,
        life: Duration,
    }

    impl Issuer {
        fn new(life: Duration) -> Self {
            let clock = Clock::test(Timestamp::from_millis(0), 1);
            let cache = TokenCache::new(clock.clone());
            let issued = AtomicU32::new(0);
            Self {
                clock,
                cache,
                issued,
                life,
            }
        }

        async fn token(&self, refused: Option<&str>) -> String {
            let fetch = async || {
                tokio::task::yield_now().await;
                let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
                Ok::<_, ()>(FreshToken {
                    token: BearerToken::new(format!("t{number}")),
                    life: self.life,
                })
            };
            let refused = refused.map(BearerToken::new);
            let token = self.cache.token(refused.as_ref(), fetch).await.unwrap();
            token.expose().to_owned()
        }
    }

    #[tokio::test]
    async fn whoever_comes_while_a_token_is_fetched_gets_that_one() {
        let issuer = Issuer::new(Duration::from_hours(24));
        let tokens = futures_util::future::join_all((0..9).map(|_| issuer.token(None))).await;
        assert_eq!(tokens, vec!["t1"; 9]);
        // all nine are refused at once: one new token, not nine
        let tokens = futures_util::future::join_all((0..9).map(|_| issuer.token(Some("t1")))).await;
        assert_eq!(tokens, vec!["t2"; 9]);
    }

    #[tokio::test]
    async fn a_token_is_renewed_ahead_of_its_end() {
        for (life_s, renewed_s) in [(86_400, 86_100), (900, 675), (8, 6)] {
            let issuer = Issuer::new(Duration::from_secs(life_s));
            assert_eq!(issuer.token(None).await, "t1");
            issuer.clock.advance(Duration::from_secs(renewed_s - 2));
            assert_eq!(issuer.token(None).await, "t1", "{life_s}");
            issuer.clock.advance(Duration::from_secs(2));
            assert_eq!(issuer.token(None).await, "t2", "{life_s}");
        }
    }

    #[tokio::test]
    async fn a_token_that_is_still_good_outlives_a_failed_renewal() {
        let issuer = Issuer::new(Duration::from_mins(15));
        issuer.token(None).await;
        issuer.clock.advance(Duration::from_secs(700));
        let failing = async || Err::<FreshToken, _>("down");
        assert_eq!(issuer.cache.token(None, failing).await.unwrap().expose(), "t1");
        issuer.clock.advance(Duration::from_secs(200));
        assert_eq!(issuer.cache.token(None, failing).await, Err("down"));
    }

    #[tokio::test]
    async fn a_refused_token_does_not_come_back() {
        let issuer = Issuer::new(Duration::from_mins(15));
        issuer.token(None).await;
        let refused = BearerToken::new("t1");
        let failing = async || Err::<FreshToken, _>("down");
        assert_eq!(issuer.cache.token(Some(&refused), failing).await, Err("down"));
        assert_eq!(issuer.token(None).await, "t2");
    }
}
