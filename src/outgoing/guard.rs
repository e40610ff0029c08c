//! Which addresses requests may reach.
//!
//! URLs come from operators, and from Wiz's answers. None of them may lead into the network that this service stands in,
//! unless the operator named the host. A name is judged by the addresses it resolves to, at the moment of the
//! connection, so that a name that changes its mind gains nothing.

use url::{Host, Url};

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
