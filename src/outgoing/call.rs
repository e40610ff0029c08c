//! One request, as a value that can be sent more than once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use url::Url;

use super::RateLimiter;
use crate::domain::BearerToken;

/// Whether a request may be sent again by itself when its answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Yes: sending it twice has the effect of sending it once.
    Harmless,
    /// Only when no connection came about, so that the server cannot have seen it.
    OnlyUnsent,
}

/// A request to a neighbour. Has no `Debug`: it carries tokens and secrets.
#[derive(Clone)]
pub(crate) struct Call {
    pub(super) name: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    pub(super) timeout: Option<Duration>,
    pub(super) repeat: Repeat,
    pub(super) redirects: usize,
    pub(super) limiter: Option<Arc<RateLimiter>>,
}

impl Call {
    /// A request that expects a JSON answer within `timeout` and follows no redirect. `name` stands in spans and logs.
    pub(crate) fn new(name: &'static str, method: Method, url: Url, timeout: Duration) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Self {
            name,
            method,
            url,
            headers,
            body: None,
            timeout: Some(timeout),
            repeat: Repeat::OnlyUnsent,
            redirects: 0,
            limiter: None,
        }
    }

    /// A GET of a file of any size: no total timeout, up to `redirects` redirects, and never a token.
    pub(crate) fn file(name: &'static str, url: Url, redirects: usize) -> Self {
        Self {
            name,
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: None,
            repeat: Repeat::OnlyUnsent,
            redirects,
            limiter: None,
        }
    }

    /// With what may happen when the answer is lost. Default: [`Repeat::OnlyUnsent`].
    pub(crate) const fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    /// With a limit, of which each try takes a turn.
    pub(crate) fn limited(mut self, limiter: &Arc<RateLimiter>) -> Self {
        self.limiter = Some(Arc::clone(limiter));
        self
    }

    /// With a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With a bearer token; `None` when the token holds what no header may.
    pub(crate) fn bearer(self, token: &BearerToken) -> Option<Self> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
        value.set_sensitive(true);
        Some(self.header(AUTHORIZATION, value))
    }

    /// With a JSON body.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("the bodies of calls are plain records");
        self.body = Some(body.into());
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    /// With a form as body.
    pub(crate) fn form(mut self, members: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        self.body = Some(form.extend_pairs(members).finish().into());
        self.header(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        )
    }
}
