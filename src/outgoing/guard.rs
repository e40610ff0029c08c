//! Which addresses requests may reach.
//!
//! URLs come from operators, and from Wiz's answers. None of them may lead into the network that this service stands in,
//! unless the operator named the host. A name is judged by the addresses it resolves to, at the moment of the
//! connection, so that a name that changes its mind gains nothing.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::domain::AllowedHosts;

/// Why a URL is not requested. The text goes on after "cannot reach".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Neither `http` nor `https`, without a host, or with a user name in it.
    #[error("a URL that is not plain https://")]
    Form,
    /// `http://` at a host that is not named.
    #[error(
        "{0} by http://: unencrypted connections go only to hosts that WIZ_CONTEXT_ALLOW_HOSTS names; use https://"
    )]
    Unencrypted(String),
    /// A private address, or a name of nothing else.
    #[error(
        "{0}: its address is not a public one; if that is right, name the host in WIZ_CONTEXT_ALLOW_HOSTS"
    )]
    NotPublic(String),
}

/// The way out that a URL takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Names resolve to public addresses only.
    Public,
    /// A host that the operator named, whatever its address.
    Named,
    /// A named host on this machine: no proxy can reach that.
    Loopback,
}

/// Judges URLs before they are requested.
#[derive(Debug)]
pub(super) struct Guard {
    allowed: AllowedHosts,
}

impl Guard {
    pub(super) const fn new(allowed: AllowedHosts) -> Self {
        Self { allowed }
    }

    /// The way out for a URL, if there is one.
    pub(super) fn check(&self, url: &Url) -> Result<Route, Refused> {
        let (Some(host), Some(port), true) = (url.host(), url.port_or_known_default(), is_plain(url)) else {
            return Err(Refused::Form);
        };
        let name = host.to_string();
        let name = name.trim_end_matches('.');
        if self.allowed.permits(name, port) {
            let on_this_machine = match host {
                Host::Domain(_) => name == "localhost",
                Host::Ipv4(address) => address.is_loopback(),
                Host::Ipv6(address) => address.is_loopback(),
            };
            return Ok(if on_this_machine {
                Route::Loopback
            } else {
                Route::Named
            });
        }
        if url.scheme() != "https" {
            return Err(Refused::Unencrypted(name.to_owned()));
        }
        let is_public = match host {
            // With a proxy in between, the name is resolved there and the resolver below never sees it.
            Host::Domain(_) => !["localhost", "local", "internal"]
                .iter()
                .any(|zone| name == *zone || name.ends_with(&format!(".{zone}"))),
            Host::Ipv4(address) => is_public(address.into()),
            Host::Ipv6(address) => is_public(address.into()),
        };
        if is_public {
            Ok(Route::Public)
        } else {
            Err(Refused::NotPublic(name.to_owned()))
        }
    }
}

fn is_plain(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
}

/// Whether an address lies in the public internet; every form that stands for an IPv4 address is judged by that one.
#[expect(clippy::match_same_arms, reason = "a line a reason to refuse")]
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.segments() {
            // mapped, translated (RFC 6052) and tunnelled (6to4) addresses
            [0, 0, 0, 0, 0, 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => {
                is_public_v4(embedded(a, b))
            }
            // unspecified, loopback, and the long outdated form with an IPv4 address at its end
            [0, 0, 0, 0, 0, 0, ..] => false,
            // tunnels that hide an IPv4 address (Teredo), names of hosts (ORCHID), and what is for books only
            [0x2001, 0 | 0x20..=0x2f | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
            // only 2000::/3 is given out for use in the internet
            [first, ..] => first & 0xe000 == 0x2000,
        },
    }
}

const fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[expect(clippy::match_same_arms, reason = "a line a reason to refuse")]
const fn is_public_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        // this network, private, loopback, multicast, reserved
        [0 | 10 | 127 | 224..=255, ..] => false,
        // shared by carriers (and some clouds' metadata), link-local (most clouds' metadata), private
        [100, 64..=127, ..] | [169, 254, ..] | [172, 16..=31, ..] | [192, 168, ..] => false,
        // protocol assignments, benchmarks, documentation
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => false,
        _ => true,
    }
}

/// The addresses of a name at this moment.
type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Resolves names as the system does, and leaves out addresses that are not public. The client connects to what comes out
/// of here and asks nobody else, so that an answer that changes afterwards changes nothing.
pub(super) struct GuardedResolver {
    lookup: fn(String) -> Lookup,
    /// The proxies' own names: a proxy is the operator's choice, and mostly in the private network.
    proxies: Arc<BTreeSet<String>>,
}

impl GuardedResolver {
    /// A resolver that passes the proxies that the environment names.
    pub(super) fn from_environment() -> Self {
        let variables = [
            "HTTPS_PROXY",
            "https_proxy",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
        ];
        let values = variables.iter().filter_map(|name| std::env::var(name).ok());
        Self {
            lookup: of_system,
            proxies: Arc::new(values.filter_map(|value| proxy_host(&value)).collect()),
        }
    }
}

fn of_system(name: String) -> Lookup {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
}

fn proxy_host(value: &str) -> Option<String> {
    let url = if value.contains("://") {
        Url::parse(value)
    } else {
        Url::parse(&format!("http://{value}"))
    };
    Some(url.ok()?.host_str()?.to_owned())
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, proxies) = (self.lookup, self.proxies.clone());
        Box::pin(async move {
            let name = name.as_str();
            let found = lookup(name.to_owned()).await?;
            let addresses = if proxies.contains(name) {
                found
            } else {
                only_public(name, found)?
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn only_public(name: &str, mut found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
    found.retain(|address| is_public(address.ip()));
    if found.is_empty() {
        Err(Refused::NotPublic(name.to_owned()))
    } else {
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::10.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:a00:1::1",
            "2001:0:a00:1::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff:0:1::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2001:4860::1",
            "2600:1f18::1",
            "2a05:d018::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn literals_of_the_inside_are_refused_in_every_spelling() {
        let guard = Guard::new(
            "10.9.9.9:8443, [fd00::9], wiz.lab:80, 127.0.0.1, localhost"
                .parse()
                .unwrap(),
        );
        let check = |url: &str| guard.check(&url.parse().unwrap());
        for url in [
            "https://10.0.0.1/",
            "https://0x7f.2/",
            "https://2130706434/",
            "https://169.254.169.254./",
            "https://[::ffff:169.254.169.254]/",
            "https://[fd00:ec2::254]/",
            "https://10.9.9.9/",
            "https://127.0.0.2/",
            "https://metadata.google.internal/",
            "https://a.localhost/",
        ] {
            let refused = check(url);
            assert!(
                matches!(refused, Err(Refused::NotPublic(_))),
                "{url}: {refused:?}"
            );
        }
        for url in [
            "http://api.us1.app.wiz.io/",
            "http://wiz.lab:81/",
            "http://1.1.1.1/",
        ] {
            assert!(matches!(check(url), Err(Refused::Unencrypted(_))), "{url}");
        }
        for url in [
            "ftp://1.1.1.1/",
            "https://me@1.1.1.1/",
            "https://me:pw@wiz.lab:80/",
            "data:x",
        ] {
            assert_eq!(check(url), Err(Refused::Form), "{url}");
        }
        assert_eq!(check("https://api.us1.app.wiz.io/graphql"), Ok(Route::Public));
        assert_eq!(check("https://10.9.9.9:8443/"), Ok(Route::Named));
        assert_eq!(check("https://[fd00::9]:1/"), Ok(Route::Named));
        assert_eq!(check("http://wiz.lab/"), Ok(Route::Named));
        assert_eq!(check("http://localhost.:9000/"), Ok(Route::Loopback));
        assert_eq!(check("https://0x7f.1/"), Ok(Route::Loopback));
    }

    #[test]
    fn a_name_is_judged_by_what_it_resolves_to() {
        let at = |addresses: &[&str]| {
            let sockets = addresses
                .iter()
                .map(|address| SocketAddr::new(address.parse().unwrap(), 0));
            only_public("a.example", sockets.collect()).map(|found| found.len())
        };
        assert_eq!(at(&["1.1.1.1", "10.0.0.1"]), Ok(1));
        assert_eq!(
            at(&["10.0.0.1", "::1"]),
            Err(Refused::NotPublic("a.example".into()))
        );
    }

    /// A name server that gives a public address first, and that of this machine from then on.
    fn rebinding(_: String) -> Lookup {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let first = ASKED.fetch_add(1, Ordering::Relaxed) == 0;
        let address = if first { "203.0.114.1" } else { "127.0.0.1" };
        Box::pin(async move { Ok(vec![SocketAddr::new(address.parse().unwrap(), 0)]) })
    }

    #[tokio::test]
    async fn a_name_that_changes_its_mind_after_the_check_is_not_followed_inside() {
        let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = inside.local_addr().unwrap().port();
        let resolver = Arc::new(GuardedResolver {
            lookup: rebinding,
            proxies: Arc::default(),
        });
        let name = || "rebinding.example".parse().unwrap();
        let checked: Vec<_> = resolver.resolve(name()).await.unwrap().collect();
        assert_eq!(checked[0].ip().to_string(), "203.0.114.1");
        // The check before the request knows the name only; what counts is the answer at the moment of the connection.
        let url: Url = format!("https://rebinding.example:{port}/").parse().unwrap();
        assert_eq!(Guard::new(AllowedHosts::default()).check(&url), Ok(Route::Public));
        #[expect(
            clippy::disallowed_methods,
            reason = "a client with a name server of the test's own"
        )]
        let client = reqwest::Client::builder()
            .no_proxy()
            .dns_resolver(resolver)
            .build()
            .unwrap();
        let refused = client.get(url).send().await.unwrap_err();
        let mut causes = std::iter::successors(std::error::Error::source(&refused), |cause| cause.source());
        assert!(
            causes.any(|cause| cause.is::<Refused>() || cause.to_string().contains("not a public one")),
            "{refused:?}"
        );
        let connected = futures_util::poll!(std::pin::pin!(inside.accept()));
        assert!(connected.is_pending(), "the service connected to this machine");
    }

    #[tokio::test]
    async fn the_resolver_refuses_names_of_this_machine_unless_they_are_a_proxy() {
        let resolver = |proxies: &[&str]| GuardedResolver {
            lookup: of_system,
            proxies: Arc::new(proxies.iter().copied().map(str::to_owned).collect()),
        };
        let refused = resolver(&[])
            .resolve("localhost".parse().unwrap())
            .await
            .err()
            .unwrap();
        assert!(refused.downcast_ref::<Refused>().is_some(), "{refused}");
        assert!(
            resolver(&["localhost"])
                .resolve("localhost".parse().unwrap())
                .await
                .is_ok()
        );
        assert_eq!(
            proxy_host("http://u:p@proxy.lan:3128").as_deref(),
            Some("proxy.lan")
        );
        assert_eq!(proxy_host("proxy.lan:3128").as_deref(), Some("proxy.lan"));
    }
}
