//! A signed-in caller of one Fusion account.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde::Serialize;

use super::error::{FusionError, Problem};
use super::{AccountKey, FusionAccount, answer, token};
use crate::clock::Clock;
use crate::domain::BearerToken;
use crate::outgoing::{Answer, Call, Outgoing, Repeat, TokenCache};

/// A bulk call of 10,000 records takes seconds; this is not that.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Calls Fusion as one account. Cheap to clone; clones share the token, and may call side by side.
#[derive(Clone)]
pub struct FusionClient(Arc<Inner>);

struct Inner {
    outgoing: Outgoing,
    clock: Clock,
    account: FusionAccount,
    token: TokenCache,
}

/// One call: what it is named, what it is for, and the status that says it was done.
pub(super) struct Request<'a> {
    pub(super) name: &'static str,
    pub(super) purpose: &'static str,
    pub(super) method: Method,
    pub(super) segments: &'a [&'a str],
    pub(super) success: u16,
}

impl FusionClient {
    /// A client of the account. `outgoing` must allow its host. Nothing is sent yet.
    pub fn new(outgoing: Outgoing, clock: Clock, account: FusionAccount) -> Self {
        let token = TokenCache::new(clock.clone());
        Self(Arc::new(Inner {
            outgoing,
            clock,
            account,
            token,
        }))
    }

    /// Which account it is.
    pub fn key(&self) -> AccountKey {
        self.0.account.key()
    }

    /// Makes sure that there is a token.
    ///
    /// # Errors
    /// When the sign-in fails.
    pub async fn sign_in(&self) -> Result<(), FusionError> {
        self.token(None).await.map(drop)
    }

    /// A client of the same account with a token of its own, so that it has to sign in: what comes of that is no concern of
    /// the others.
    #[must_use]
    pub fn apart(&self) -> Self {
        let Inner {
            outgoing,
            clock,
            account,
            ..
        } = &*self.0;
        Self::new(outgoing.clone(), clock.clone(), account.clone())
    }

    /// Calls, and once more with a fresh token when the token is refused: nothing was done then.
    pub(super) async fn call(
        &self,
        request: &Request<'_>,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, FusionError> {
        let url = self.0.account.call_url(request.segments);
        // Every call sets, deletes or reads: twice is as good as once.
        let mut call = Call::new(request.name, request.method.clone(), url, TIMEOUT).repeat(Repeat::Harmless);
        if let Some(body) = body {
            call = call.json(body);
        }
        let token = self.token(None).await?;
        match self.call_with(request, call.clone(), &token).await {
            Err(error) if error.is_token_refused() => {
                let token = self.token(Some(&token)).await?;
                self.call_with(request, call, &token).await
            }
            answered => answered,
        }
    }

    async fn call_with(
        &self,
        request: &Request<'_>,
        call: Call,
        token: &BearerToken,
    ) -> Result<Answer, FusionError> {
        let call = call
            .bearer(token)
            .expect("tokens are checked where they are read");
        let answer = self.0.outgoing.send(&call).await;
        let answer = answer.map_err(|error| Problem::from(error).when(request.purpose))?;
        answer::expect(&answer, request.success, request.purpose, token)?;
        Ok(answer)
    }

    async fn token(&self, refused: Option<&BearerToken>) -> Result<BearerToken, FusionError> {
        let sign_in = async || token::sign_in(&self.0.outgoing, &self.0.account, self.0.clock.now()).await;
        self.0.token.token(refused, sign_in).await
    }
}

impl fmt::Debug for FusionClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FusionClient").field(&self.key()).finish()
    }
}
