//! Redirects: where they lead, and what goes along.

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, LOCATION, PROXY_AUTHORIZATION};
use url::Url;

use super::Call;

/// Why a redirect is not followed. The text goes on after "redirects elsewhere (HTTP 302), ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RedirectFault {
    /// The call follows none.
    #[error("which is not followed here")]
    NotFollowed,
    /// The call follows fewer.
    #[error("after {0} others: they may go round in a circle")]
    TooMany(usize),
    /// There is no `Location`, or none that reads as a URL.
    #[error("without a URL to go to")]
    Nowhere,
    /// What was asked for over TLS would be sent in the clear, signature and all.
    #[error("from https:// to http://, which would show the file to the network")]
    Downgrade,
}

/// The URL that a redirect leads to, of a call that has been redirected `followed` times. Whether it may be asked is for
/// the address rules.
pub(super) fn target(
    call: &Call,
    followed: usize,
    from: &Url,
    headers: &HeaderMap,
) -> Result<Url, RedirectFault> {
    if call.redirects == 0 {
        return Err(RedirectFault::NotFollowed);
    }
    if followed == call.redirects {
        return Err(RedirectFault::TooMany(followed));
    }
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    match target.ok_or(RedirectFault::Nowhere)? {
        target if from.scheme() == "https" && target.scheme() == "http" => Err(RedirectFault::Downgrade),
        target => Ok(target),
    }
}

/// The headers of a call for a URL that it was redirected to: nothing that lets somebody in goes to another origin. No
/// call that follows redirects carries such a header today; this keeps it harmless when one does.
pub(super) fn headers_for(call: &Call, url: &Url) -> HeaderMap {
    let mut headers = call.headers.clone();
    if url.origin() != call.url.origin() {
        let lets_in: Vec<_> = headers
            .iter()
            .filter(|(name, value)| {
                value.is_sensitive() || [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in lets_in {
            headers.remove(name);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::{HeaderMap as Headers, StatusCode};
    use axum::routing::get;
    use reqwest::header::{HeaderName, HeaderValue, RANGE};

    use super::super::guard::Refused;
    use super::super::resolver::{GuardedResolver, Lookup};
    use super::super::test_server::TestServer;
    use super::super::{Outgoing, OutgoingSettings, SendError};
    use super::*;
    use crate::domain::BearerToken;

    const SIGNATURE: &str = "planted-signature";

    fn redirect(to: String) -> axum::routing::MethodRouter {
        get(move || async move { (StatusCode::FOUND, [("location", to)]) })
    }

    /// A server that writes down the headers it is sent.
    async fn witness() -> (TestServer, Arc<Mutex<Vec<Headers>>>) {
        let seen: Arc<Mutex<Vec<Headers>>> = Arc::default();
        let writing = Arc::clone(&seen);
        let answer = move |headers: Headers| async move {
            writing.lock().unwrap().push(headers);
            "content"
        };
        let router = Router::new().route("/file", get(answer));
        (TestServer::start(router).await, seen)
    }

    /// Clients that may reach some hosts, and for which every name is on this machine.
    fn outgoing(server: &TestServer, allowed: &[String]) -> Outgoing {
        fn on_this_machine(_: String) -> Lookup {
            Box::pin(async { Ok(vec![([127, 0, 0, 1], 0).into()]) })
        }
        let settings = OutgoingSettings {
            allowed: allowed.join(",").parse().unwrap(),
            ca_file: None,
        };
        let resolver = GuardedResolver::looking_up(on_this_machine);
        Outgoing::resolving(settings, server.clock.clone(), resolver).unwrap()
    }

    /// A call that carries all that a redirect must not take along.
    fn tempting(url: Url) -> Call {
        let mut further = HeaderValue::from_static("planted-key");
        further.set_sensitive(true);
        Call::file("test", url, 3)
            .bearer(&BearerToken::new("planted-token"))
            .unwrap()
            .header(COOKIE, HeaderValue::from_static("session=planted"))
            .header(PROXY_AUTHORIZATION, HeaderValue::from_static("Basic planted"))
            .header(HeaderName::from_static("x-api-key"), further)
            .header(RANGE, HeaderValue::from_static("bytes=0-"))
    }

    #[tokio::test]
    async fn what_lets_somebody_in_does_not_go_along_to_another_host() {
        let (second, seen) = witness().await;
        let first = redirect(second.url(&format!("/file?sig={SIGNATURE}")).to_string());
        let first = TestServer::start(Router::new().route("/", first)).await;
        let outgoing = outgoing(&first, &[first.allowed(), second.allowed()]);
        let response = outgoing.open(&tempting(first.url("/"))).await.unwrap();
        assert_eq!(response.text().await.unwrap(), "content");
        let seen = seen.lock().unwrap();
        let [headers] = &seen[..] else {
            panic!("asked {} times", seen.len())
        };
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert!(headers.contains_key(RANGE), "{names:?}");
        for name in [
            "authorization",
            "cookie",
            "proxy-authorization",
            "x-api-key",
            "referer",
        ] {
            assert!(!headers.contains_key(name), "{names:?}");
        }
        let text = format!("{headers:?}");
        assert!(!text.contains("planted"), "{text}");
    }

    #[tokio::test]
    async fn within_a_host_a_redirect_is_the_same_call() {
        let seen: Arc<Mutex<Vec<Headers>>> = Arc::default();
        let writing = Arc::clone(&seen);
        let answer = move |headers: Headers| async move {
            writing.lock().unwrap().push(headers);
        };
        let router = Router::new()
            .route("/", redirect("/file".to_owned()))
            .route("/file", get(answer));
        let server = TestServer::start(router).await;
        let outgoing = outgoing(&server, &[server.allowed()]);
        outgoing.open(&tempting(server.url("/"))).await.unwrap();
        assert_eq!(seen.lock().unwrap()[0]["authorization"], "Bearer planted-token");
    }

    #[tokio::test]
    async fn a_redirect_to_the_inside_is_refused_however_it_is_written() {
        for inside in [
            "files.example", // a name that resolves to this machine
            "localhost",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "169.254.169.254",
            "10.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "[fd00:ec2::254]",
            "[fe80::1]",
        ] {
            let to = redirect(format!("https://{inside}/file?sig={SIGNATURE}"));
            let server = TestServer::start(Router::new().route("/", to)).await;
            let outgoing = outgoing(&server, &[server.allowed()]);
            let error = outgoing
                .open(&Call::file("test", server.url("/"), 3))
                .await
                .unwrap_err();
            assert!(
                matches!(error, SendError::Refused(Refused::NotPublic(_))),
                "{inside}: {error:?}"
            );
            assert!(!format!("{error} {error:?}").contains(SIGNATURE), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_redirect_that_leads_nowhere_is_told_without_the_signature() {
        let status = |status: StatusCode| get(move || async move { status });
        let bytes = get(|| async {
            let location = HeaderValue::from_bytes(b"https://files.example/\xff").unwrap();
            (StatusCode::FOUND, [(LOCATION, location)])
        });
        let round = format!("/round?sig={SIGNATURE}");
        let router = Router::new()
            .route("/silent", status(StatusCode::FOUND))
            .route("/permanent", status(StatusCode::PERMANENT_REDIRECT))
            .route("/bytes", bytes)
            .route("/unreadable", redirect(format!("https://[{SIGNATURE}")))
            .route("/round", redirect(round))
            .route(
                "/user",
                redirect(format!("https://me:{SIGNATURE}@files.example/")),
            )
            .route(
                "/port",
                redirect(format!("https://files.example:22/?sig={SIGNATURE}")),
            )
            .route(
                "/plain",
                redirect(format!("http://files.example/?sig={SIGNATURE}")),
            )
            .route("/file", redirect(format!("file:///etc/passwd?sig={SIGNATURE}")));
        let server = TestServer::start(router).await;
        let outgoing = outgoing(&server, &[server.allowed()]);
        for (path, told) in [
            (
                "/silent",
                "127.0.0.1 redirects elsewhere (HTTP 302 Found), without a URL to go to",
            ),
            (
                "/permanent",
                "127.0.0.1 redirects elsewhere (HTTP 308 Permanent Redirect), without a URL to go to",
            ),
            (
                "/bytes",
                "127.0.0.1 redirects elsewhere (HTTP 302 Found), without a URL to go to",
            ),
            (
                "/unreadable",
                "127.0.0.1 redirects elsewhere (HTTP 302 Found), without a URL to go to",
            ),
            (
                "/round",
                "127.0.0.1 redirects elsewhere (HTTP 302 Found), after 3 others: they may go round in a circle",
            ),
            ("/user", "cannot reach a URL that is not plain https://"),
            ("/port", "cannot reach files.example by the port 22: public hosts"),
            ("/plain", "cannot reach files.example by http://: unencrypted"),
            ("/file", "cannot reach a URL that is not plain https://"),
        ] {
            let url = server.url(&format!("{path}?sig={SIGNATURE}"));
            let error = outgoing.open(&Call::file("test", url, 3)).await.unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(told), "{path}: {text}");
            assert!(!error.is_passing(), "{path}");
            assert!(
                !format!("{text} {error:?}").contains(SIGNATURE),
                "{path}: {error:?}"
            );
        }
    }

    #[test]
    fn what_was_asked_for_over_tls_is_not_asked_for_in_the_clear() {
        let from: Url = "https://files.example/a?sig=1".parse().unwrap();
        let call = Call::file("test", from.clone(), 3);
        let target = |location: &'static str| {
            let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            target(&call, 0, &from, &headers).map(|url| url.to_string())
        };
        for location in ["http://files.example/a?sig=1", "http:b", "HTTP://wiz.lab/"] {
            assert_eq!(target(location), Err(RedirectFault::Downgrade), "{location}");
        }
        for (location, to) in [
            ("//other.example/a", "https://other.example/a"),
            ("b?sig=2", "https://files.example/b?sig=2"),
            ("https://other.example/", "https://other.example/"),
        ] {
            assert_eq!(target(location).as_deref(), Ok(to));
        }
    }
}
