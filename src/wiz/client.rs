//! Asking Wiz's GraphQL API: signed in, within the limit of requests, as patiently as the caller.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::Problem;
use super::patience::{Patience, WaitListener};
use super::queries::{self, Query};
use super::{WizError, answer, token};
use crate::clock::Clock;
use crate::domain::{BearerToken, WizCredentials};
use crate::outgoing::{Call, Outgoing, RateLimiter, Repeat, TokenCache};

/// Wiz's gateway cuts a request at about 120 s; giving up before gives an error that says so.
const TIMEOUT: Duration = Duration::from_secs(115);

/// Asks one Wiz tenant as one service account. Cheap to clone.
#[derive(Clone)]
pub struct WizClient {
    shared: Arc<Inner>,
    /// Who hears of waits. Without one nothing waits because Wiz asked to slow down: that is an error then.
    listener: Option<WaitListener>,
}

struct Inner {
    outgoing: Outgoing,
    clock: Clock,
    credentials: WizCredentials,
    limiter: Arc<RateLimiter>,
    token: Arc<TokenCache>,
}

#[derive(Serialize)]
struct Body<'a, V> {
    query: &'a str,
    variables: &'a V,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    pub(super) nodes: Option<Vec<T>>,
    pub(super) page_info: Option<PageInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub(super) has_next_page: bool,
    pub(super) end_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    vulnerability_findings: Page<Value>,
}

impl WizClient {
    pub(super) fn new(
        outgoing: Outgoing,
        clock: Clock,
        credentials: WizCredentials,
        limiter: Arc<RateLimiter>,
        token: Arc<TokenCache>,
    ) -> Self {
        let shared = Arc::new(Inner {
            outgoing,
            clock,
            credentials,
            limiter,
            token,
        });
        Self {
            shared,
            listener: None,
        }
    }

    /// The same client, but one that waits when Wiz asks to slow down and then goes on, and tells of it. Otherwise that is
    /// an error of the call.
    #[must_use]
    pub fn patient(self, listener: WaitListener) -> Self {
        Self {
            listener: Some(listener),
            ..self
        }
    }

    pub(super) fn limiter(&self) -> &RateLimiter {
        &self.shared.limiter
    }

    pub(super) const fn listener(&self) -> Option<&WaitListener> {
        self.listener.as_ref()
    }

    pub(super) fn outgoing(&self) -> &Outgoing {
        &self.shared.outgoing
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Makes sure that there is a token.
    ///
    /// # Errors
    /// When the sign-in fails.
    pub async fn sign_in(&self) -> Result<(), WizError> {
        let mut patience = Patience::new(self);
        loop {
            patience.wait().await;
            let result = self.token(None).await.map(drop);
            if !patience.goes_on(&result, Repeat::Harmless) {
                return result;
            }
        }
    }

    /// A client with the same turns but a token of its own, so that it has to sign in: what comes of that is no concern of
    /// the others.
    #[must_use]
    pub fn apart(&self) -> Self {
        let Inner {
            outgoing,
            clock,
            credentials,
            limiter,
            ..
        } = &*self.shared;
        let token = Arc::new(TokenCache::new(clock.clone()));
        Self::new(
            outgoing.clone(),
            clock.clone(),
            credentials.clone(),
            Arc::clone(limiter),
            token,
        )
    }

    /// Whether the service account sees any vulnerability finding.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or refuses, as it does without `read:vulnerabilities`.
    pub async fn sees_finding(&self) -> Result<bool, WizError> {
        let variables = json!({ "first": 1, "filterBy": { "status": ["OPEN", "IN_PROGRESS"] } });
        let findings: Findings = self.ask(&queries::SEE_FINDING, &variables).await?;
        Ok(findings
            .vulnerability_findings
            .nodes
            .is_some_and(|nodes| !nodes.is_empty()))
    }

    /// Asks as often as Wiz asks to slow down, within the client's patience.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        query: &'static Query,
        variables: &Value,
    ) -> Result<T, WizError> {
        let mut patience = Patience::new(self);
        loop {
            patience.wait().await;
            let result = self.ask_signed_in(query, variables).await;
            if !patience.goes_on(&result, query.repeat) {
                return result;
            }
        }
    }

    /// Asks, and once more with a fresh token when the token is refused: nothing was done then.
    async fn ask_signed_in<T: DeserializeOwned>(
        &self,
        query: &'static Query,
        variables: &Value,
    ) -> Result<T, WizError> {
        let token = self.token(None).await?;
        match self.ask_with(query, variables, &token).await {
            Err(error) if error.is_token_refused() => {
                let token = self.token(Some(&token)).await?;
                self.ask_with(query, variables, &token).await
            }
            answered => answered,
        }
    }

    async fn ask_with<T: DeserializeOwned>(
        &self,
        query: &'static Query,
        variables: &Value,
        token: &BearerToken,
    ) -> Result<T, WizError> {
        let url = self.shared.credentials.connection.api_endpoint.url().clone();
        let body = Body {
            query: query.text,
            variables,
        };
        let call = Call::new(query.name, Method::POST, url, TIMEOUT)
            .repeat(query.repeat)
            .limited(&self.shared.limiter)
            .json(&body)
            .bearer(token)
            .ok_or_else(|| Problem::NoToken.when(query.purpose))?;
        let answer = self.shared.outgoing.send(&call).await;
        let answer = answer.map_err(|error| Problem::from(error).when(query.purpose))?;
        answer::read(query, &answer, token)
    }

    async fn token(&self, refused: Option<&BearerToken>) -> Result<BearerToken, WizError> {
        let shared = &self.shared;
        let sign_in = async || token::sign_in(&shared.outgoing, &shared.limiter, &shared.credentials).await;
        shared.token.token(refused, sign_in).await
    }
}

impl fmt::Debug for WizClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WizClient")
            .field(&self.shared.credentials.connection)
            .finish()
    }
}
