//! Which addresses requests may reach.
//!
//! URLs come from operators, and from Wiz's answers. None of them may lead into the network that this service stands in,
//! unless the operator named the host. A name is judged by the addresses it resolves to, at the moment of the
//! connection, so that a name that changes its mind gains nothing.

use url::{Host, Url};

use super::proxies::Proxies;
use super::public::is_public;
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
    /// A port of a public host on which something else than the web may listen.
    #[error(
        "{host} by the port {port}: public hosts are asked on port 443 only; if that is right, name {host}:{port} in \
         WIZ_CONTEXT_ALLOW_HOSTS"
    )]
    Port {
        /// The host.
        host: String,
        /// The refused port.
        port: u16,
    },
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
    proxies: Proxies,
}

impl Guard {
    pub(super) const fn new(allowed: AllowedHosts, proxies: Proxies) -> Self {
        Self { allowed, proxies }
    }

    pub(super) const fn proxies(&self) -> &Proxies {
        &self.proxies
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
            Host::Domain(_) => may_be_public(name),
            Host::Ipv4(address) => is_public(address.into()),
            Host::Ipv6(address) => is_public(address.into()),
        };
        // The resolver passes a proxy's name whatever its address, which is for the proxy's own sake only.
        if !is_public || self.proxies.contains(name) {
            return Err(Refused::NotPublic(name.to_owned()));
        }
        match url.port() {
            None => Ok(Route::Public),
            Some(port) => Err(Refused::Port {
                host: name.to_owned(),
                port,
            }),
        }
    }
}

/// Zones that are not of the public internet: RFC 6761, 6762 and 8375, and what networks call themselves.
const INNER_ZONES: [&str; 10] = [
    "corp",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "private",
];

/// Whether a name may be of the public internet. With a proxy in between it is resolved there, and the resolver of this
/// service never sees it.
fn may_be_public(name: &str) -> bool {
    // Names of one label are completed by the search list of the machine, so they are its neighbours.
    let is_inner = |zone: &&str| name.strip_suffix(*zone).is_some_and(|rest| rest.ends_with('.'));
    name.contains('.') && !INNER_ZONES.iter().any(is_inner)
}

fn is_plain(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_host_is_asked_on_the_default_port_only() {
        let guard = Guard::new(
            "files.example:8443, s3.example".parse().unwrap(),
            Proxies::default(),
        );
        let check = |url: &str| guard.check(&url.parse().unwrap());
        for (url, port) in [
            ("https://other.example:8443/report.csv?sig=planted", 8443),
            ("https://files.example:8444/", 8444),
            ("https://1.1.1.1:22/", 22),
            ("https://[2600:1f18::1]:80/", 80),
        ] {
            let refused = check(url).unwrap_err();
            assert!(
                matches!(refused, Refused::Port { port: told, .. } if told == port),
                "{url}: {refused:?}"
            );
            assert!(!refused.to_string().contains("planted"), "{refused}");
        }
        assert_eq!(check("https://other.example:443/"), Ok(Route::Public));
        assert_eq!(check("https://files.example:8443/"), Ok(Route::Named));
        assert_eq!(check("https://files.example/"), Ok(Route::Public));
        assert_eq!(check("https://s3.example:9000/"), Ok(Route::Named));
        // What is inside is told so, whatever its port.
        assert!(matches!(
            check("https://10.0.0.1:8443/"),
            Err(Refused::NotPublic(_))
        ));
    }

    #[test]
    fn the_proxy_itself_is_no_destination() {
        let proxies: Proxies = ["http://Proxy.example:3128"].into_iter().collect();
        let guard = |allowed: &str| Guard::new(allowed.parse().unwrap(), proxies.clone());
        for url in ["https://proxy.example/", "https://PROXY.example./report.csv"] {
            let refused = guard("").check(&url.parse().unwrap());
            assert!(
                matches!(refused, Err(Refused::NotPublic(_))),
                "{url}: {refused:?}"
            );
        }
        let named = guard("proxy.example").check(&"https://proxy.example/".parse().unwrap());
        assert_eq!(named, Ok(Route::Named));
    }

    #[test]
    fn literals_of_the_inside_are_refused_in_every_spelling() {
        let guard = Guard::new(
            "10.9.9.9:8443, [fd00::9], wiz.lab:80, 127.0.0.1, localhost"
                .parse()
                .unwrap(),
            Proxies::default(),
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
            "https://localhost.localdomain/",
            "https://metadata/computeMetadata/v1/",
            "https://kubernetes./",
            "https://nas.home.arpa/",
            "https://printer.lan/",
            "https://PORTAL.corp/",
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
}
