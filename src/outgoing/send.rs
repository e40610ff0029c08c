//! The one way to send: a span per request, the address rules at every hop, quick retries where they do no harm.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Response, StatusCode};
use tracing::Instrument;

use super::{Call, Outgoing, Repeat, SendError, redirect, retry_after};

/// How often a call is sent at most, the first time included. The run has its own, longer patience.
const TRIES: u32 = 3;

/// The pause before the second try; it doubles. Long enough that no neighbour's limit on requests per second is met.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Whoever asks for a longer pause is left to the run's own patience.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Answers are pages of a few hundred records; whatever is larger is no answer.
const LARGEST_ANSWER_BYTES: usize = 32 << 20;

/// A complete answer. Has no `Debug`: bodies hold tokens.
pub(crate) struct Answer {
    /// The status, whatever it is.
    pub(crate) status: StatusCode,
    /// The body; not to be logged.
    pub(crate) body: Bytes,
    /// How long the answer asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Outgoing {
    /// Sends a call and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// When no complete answer came.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, SendError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            let result = self.send_once(call).await;
            let Some(asked) = may_repeat(call, &result) else {
                return result;
            };
            // Half of the pause is by chance, so that many callers do not come back at once.
            let jittered = pause / 2 + (pause / 2).mul_f64(fastrand::f64());
            self.clock.sleep(jittered.max(asked)).await;
            pause *= 2;
        }
        self.send_once(call).await
    }

    /// Sends a call once and leaves the body to be read piece by piece.
    ///
    /// # Errors
    /// When no head of an answer came.
    pub(crate) async fn open(&self, call: &Call) -> Result<Response, SendError> {
        self.traced(call, async || self.hops(call).await, Response::status)
            .await
    }

    async fn send_once(&self, call: &Call) -> Result<Answer, SendError> {
        if let Some(limiter) = &call.limiter {
            let before = self.clock.passed();
            limiter.turn().await;
            let waited = self.clock.passed().saturating_sub(before);
            self.metrics.turn_waited_for(call.name, waited);
        }
        let exchange = async || {
            let response = self.hops(call).await?;
            let status = response.status();
            let retry_after = retry_after(response.headers(), self.clock.now());
            let body = read_body(response, call.url.host_str().unwrap_or_default()).await?;
            Ok(Answer {
                status,
                body,
                retry_after,
            })
        };
        self.traced(call, exchange, |answer| answer.status).await
    }

    async fn traced<T>(
        &self,
        call: &Call,
        exchange: impl AsyncFnOnce() -> Result<T, SendError>,
        status: fn(&T) -> StatusCode,
    ) -> Result<T, SendError> {
        let span = tracing::debug_span!(
            "http.request",
            call = call.name,
            server.address = call.url.host_str(),
            status_class = tracing::field::Empty,
            duration_ms = tracing::field::Empty,
        );
        let started = self.clock.now();
        let result = exchange().instrument(span.clone()).await;
        let duration_ms = u64::try_from(self.clock.now().since(started).as_millis()).unwrap_or(u64::MAX);
        span.record("duration_ms", duration_ms);
        let told = result.as_ref().ok().map(|answer| status(answer).as_u16());
        self.metrics.upstream_answered(call.name, told);
        let _entered = span.enter();
        match &result {
            Ok(answer) => {
                let class = status(answer).as_u16() / 100;
                span.record("status_class", class);
                tracing::debug!(status_class = class, duration_ms, "answered");
            }
            Err(error) => tracing::debug!(%error, duration_ms, "not answered"),
        }
        result
    }

    /// One request and the redirects it leads to; each address is judged anew.
    async fn hops(&self, call: &Call) -> Result<Response, SendError> {
        let mut url = call.url.clone();
        let mut followed = 0;
        loop {
            let host = url.host_str().unwrap_or_default().to_owned();
            let client = self.client_for(&url).map_err(SendError::Refused)?;
            let mut request = client
                .request(call.method.clone(), url.clone())
                .headers(redirect::headers_for(call, &url));
            if let Some(body) = call.body.as_ref().filter(|_| followed == 0) {
                request = request.body(body.clone());
            }
            if let Some(timeout) = call.timeout {
                request = request.timeout(timeout);
            }
            let response = request
                .send()
                .await
                .map_err(|error| SendError::from_client(error, &host))?;
            let status = response.status();
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            match redirect::target(call, followed, &url, response.headers()) {
                Ok(target) => {
                    followed += 1;
                    url = target;
                }
                Err(fault) => return Err(SendError::Redirected { host, status, fault }),
            }
        }
    }
}

/// Whether to send once more, and how long the answer asks to wait before.
fn may_repeat(call: &Call, result: &Result<Answer, SendError>) -> Option<Duration> {
    let harmless = call.repeat == Repeat::Harmless;
    match result {
        Ok(answer) => {
            let passing = matches!(answer.status.as_u16(), 502..=504);
            let asked = answer.retry_after.unwrap_or_default();
            (harmless && passing && asked <= LONGEST_PAUSE).then_some(asked)
        }
        Err(error) if error.is_unsent() => Some(Duration::ZERO),
        Err(SendError::Broken { .. }) if harmless => Some(Duration::ZERO),
        // Who did not answer for two minutes is not asked again at once.
        Err(_) => None,
    }
}

async fn read_body(mut response: Response, host: &str) -> Result<Bytes, SendError> {
    let mut body = BytesMut::new();
    let broke = |error| SendError::from_client(error, host);
    while let Some(piece) = response.chunk().await.map_err(broke)? {
        if body.len() + piece.len() > LARGEST_ANSWER_BYTES {
            return Err(SendError::TooLarge {
                host: host.to_owned(),
                limit_bytes: LARGEST_ANSWER_BYTES,
            });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::HeaderMap as Headers;
    use axum::routing::{any, get};
    use reqwest::Method;

    use super::super::guard::Refused;
    use super::super::test_server::TestServer;
    use super::*;

    const TIMEOUT: Duration = Duration::from_mins(1);

    /// Answers 503 until it was asked `failures` times.
    async fn flaky(failures: usize) -> (TestServer, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let answer = move || async move {
            if counter.fetch_add(1, Ordering::SeqCst) < failures {
                (StatusCode::SERVICE_UNAVAILABLE, "")
            } else {
                (StatusCode::OK, "at last")
            }
        };
        (
            TestServer::start(Router::new().route("/", any(answer))).await,
            asked,
        )
    }

    #[tokio::test]
    async fn what_may_be_repeated_is_sent_three_times_at_most() {
        let (server, asked) = flaky(2).await;
        let call = Call::new("test", Method::PUT, server.url("/"), TIMEOUT).repeat(Repeat::Harmless);
        let answer = server.outgoing().send(&call).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"at last"[..]));

        let (server, asked_of_other) = flaky(9).await;
        let call = Call::new("test", Method::PUT, server.url("/"), TIMEOUT).repeat(Repeat::Harmless);
        assert_eq!(server.outgoing().send(&call).await.unwrap().status.as_u16(), 503);
        let counts = [
            asked.load(Ordering::SeqCst),
            asked_of_other.load(Ordering::SeqCst),
        ];
        assert_eq!(counts, [3, 3]);
    }

    #[tokio::test]
    async fn what_must_not_be_repeated_is_sent_once() {
        let (server, asked) = flaky(9).await;
        let call = Call::new("test", Method::POST, server.url("/"), TIMEOUT);
        assert_eq!(server.outgoing().send(&call).await.unwrap().status.as_u16(), 503);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn every_request_names_its_sender() {
        let answer = |headers: Headers| async move { headers["user-agent"].to_str().unwrap().to_owned() };
        let server = TestServer::start(Router::new().route("/", get(answer))).await;
        let answer = server
            .outgoing()
            .send(&Call::new("test", Method::GET, server.url("/"), TIMEOUT))
            .await
            .unwrap();
        let expected = format!(
            "wiz-context/{} (+Netography Fusion context integration)",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(answer.body, expected);
    }

    #[tokio::test]
    async fn redirects_are_followed_for_files_only_and_judged_anew() {
        let redirect = |to: &'static str| get(move || async move { (StatusCode::FOUND, [("location", to)]) });
        let router = Router::new()
            .route("/ok", redirect("/file"))
            .route("/file", get(|| async { "content" }))
            .route("/inside", redirect("https://169.254.169.254/latest"))
            .route("/plain", redirect("http://files.example/"))
            .route("/round", redirect("/round"));
        let server = TestServer::start(router).await;
        let outgoing = server.outgoing();
        let file = |path| Call::file("test", server.url(path), 3);

        assert_eq!(
            outgoing.open(&file("/ok")).await.unwrap().text().await.unwrap(),
            "content"
        );
        assert!(matches!(
            outgoing.open(&file("/inside")).await,
            Err(SendError::Refused(Refused::NotPublic(_)))
        ));
        assert!(matches!(
            outgoing.open(&file("/plain")).await,
            Err(SendError::Refused(Refused::Unencrypted(_)))
        ));
        assert!(matches!(
            outgoing.open(&file("/round")).await,
            Err(SendError::Redirected { .. })
        ));
        let call = Call::new("test", Method::GET, server.url("/ok"), TIMEOUT);
        assert!(matches!(
            outgoing.send(&call).await,
            Err(SendError::Redirected { .. })
        ));
    }

    #[tokio::test]
    async fn a_dead_host_is_named_without_its_url() {
        let server = TestServer::start(Router::new()).await;
        let (outgoing, url) = (server.outgoing(), server.url("/file?signature=planted"));
        server.stop().await;
        let error = outgoing
            .send(&Call::new("test", Method::POST, url, TIMEOUT))
            .await
            .err()
            .unwrap();
        assert!(error.is_unsent() && error.is_passing(), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(
            text.starts_with("cannot connect to 127.0.0.1 (") && !text.contains("planted"),
            "{text}"
        );
    }
}
