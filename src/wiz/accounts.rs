//! What the clients of one service account share: its token, and how often it may ask.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use super::WizClient;
use crate::clock::Clock;
use crate::domain::{ClientSecret, WizCredentials};
use crate::outgoing::{Outgoing, RateLimiter, TokenCache};

/// All service accounts in use. Wiz counts requests per service account, so integrations that share one share its turns.
/// Cheap to clone; clones share the accounts.
#[derive(Clone)]
pub struct WizAccounts {
    outgoing: Outgoing,
    clock: Clock,
    requests_per_second: NonZeroU32,
    /// By token URL and client id.
    accounts: Arc<Mutex<BTreeMap<(String, String), Account>>>,
}

/// The state of a service account.
#[derive(Clone)]
struct Account {
    limiter: Arc<RateLimiter>,
    /// The token is shared by those who know the secret that it was given for.
    secret: ClientSecret,
    token: Arc<TokenCache>,
}

impl WizAccounts {
    /// A registry without accounts. `requests_per_second` holds for each account.
    pub fn new(outgoing: Outgoing, clock: Clock, requests_per_second: NonZeroU32) -> Self {
        Self {
            outgoing,
            clock,
            requests_per_second,
            accounts: Arc::default(),
        }
    }

    /// A client that signs in with these credentials. Nothing is sent yet.
    pub fn client(&self, credentials: WizCredentials) -> WizClient {
        let connection = &credentials.connection;
        let key = (connection.token_url.to_string(), connection.client_id.clone());
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts.entry(key).or_insert_with(|| Account {
            limiter: Arc::new(RateLimiter::new(self.clock.clone(), self.requests_per_second)),
            secret: credentials.client_secret.clone(),
            token: Arc::new(TokenCache::new(self.clock.clone())),
        });
        if account.secret != credentials.client_secret {
            account.secret = credentials.client_secret.clone();
            account.token = Arc::new(TokenCache::new(self.clock.clone()));
        }
        let (limiter, token) = (account.limiter.clone(), account.token.clone());
        WizClient::new(
            self.outgoing.clone(),
            self.clock.clone(),
            credentials,
            limiter,
            token,
        )
    }
}

impl fmt::Debug for WizAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WizAccounts")
            .field("requests_per_second", &self.requests_per_second)
            .finish_non_exhaustive()
    }
}
