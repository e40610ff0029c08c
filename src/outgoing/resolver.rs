//! Names become addresses here, and only public ones.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::Refused;
use super::proxies::Proxies;
use super::public::is_public;

/// The addresses of a name at this moment.
pub(super) type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Resolves names as the system does, and leaves out addresses that are not public. The client connects to what comes out
/// of here and asks nobody else, so that an answer that changes afterwards changes nothing.
pub(super) struct GuardedResolver {
    lookup: fn(String) -> Lookup,
    proxies: Proxies,
}

impl GuardedResolver {
    /// A resolver that passes the proxies, whatever their addresses.
    pub(super) fn new(proxies: Proxies) -> Self {
        Self {
            lookup: of_system,
            proxies,
        }
    }

    /// A resolver with a name server of a test's own.
    #[cfg(test)]
    pub(super) fn looking_up(lookup: fn(String) -> Lookup) -> Self {
        Self {
            lookup,
            proxies: Proxies::default(),
        }
    }

    /// The proxies that it passes.
    pub(super) const fn proxies(&self) -> &Proxies {
        &self.proxies
    }
}

fn of_system(name: String) -> Lookup {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use url::Url;

    use super::super::guard::{Guard, Route};
    use super::*;
    use crate::domain::AllowedHosts;

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
        let resolver = Arc::new(GuardedResolver::looking_up(rebinding));
        let name = || "rebinding.example".parse().unwrap();
        let checked: Vec<_> = resolver.resolve(name()).await.unwrap().collect();
        assert_eq!(checked[0].ip().to_string(), "203.0.114.1");
        // The check before the request knows the name only; what counts is the answer at the moment of the connection.
        let url: Url = "https://rebinding.example/".parse().unwrap();
        let guard = Guard::new(AllowedHosts::default(), Proxies::default());
        assert_eq!(guard.check(&url), Ok(Route::Public));
        let url = format!("https://rebinding.example:{port}/");
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
            proxies: proxies.iter().copied().collect(),
        };
        let refused = resolver(&[])
            .resolve("localhost".parse().unwrap())
            .await
            .err()
            .unwrap();
        assert!(refused.downcast_ref::<Refused>().is_some(), "{refused}");
        // The client asks for the name as the environment spells it.
        for (proxy, name) in [
            ("http://localhost:3128", "localhost"),
            ("localhost:3128", "localhost"),
            ("http://LocalHost:3128", "LocalHost"),
        ] {
            let found = resolver(&[proxy]).resolve(name.parse().unwrap()).await;
            assert!(found.is_ok(), "{proxy}");
        }
    }
}
