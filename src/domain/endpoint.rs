//! The URLs of an integration: what people paste, put right, and refused where it could do harm.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// Hosts that the operator allows beside the neighbours' public ones, each with all ports or one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<(String, Option<u16>)>);

impl AllowedHosts {
    /// Whether a host and port are named. IPv6 hosts come in brackets, names in any case.
    pub fn permits(&self, host: &str, port: u16) -> bool {
        let named = |(allowed, only): &(String, Option<u16>)| {
            allowed.eq_ignore_ascii_case(host) && only.is_none_or(|only| only == port)
        };
        self.0.iter().any(named)
    }

    /// Allows one more host, with all ports when none is given.
    pub fn allow(&mut self, host: impl Into<String>, port: Option<u16>) {
        self.0.push((host.into(), port));
    }
}

impl FromStr for AllowedHosts {
    type Err = String;

    /// Reads `host[:port],…`; spaces around and empty parts are ignored.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut hosts = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (host, port) = match part.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
                _ => (part, None),
            };
            let port = port
                .map(str::parse)
                .transpose()
                .map_err(|_| format!("`{part}`: the port is not a number"))?;
            let host = match host.parse::<IpAddr>() {
                Ok(IpAddr::V6(address)) => format!("[{address}]"),
                _ => Host::parse(host)
                    .map_err(|_| format!("`{part}` is not a host or host:port"))?
                    .to_string(),
            };
            hosts.allow(host, port);
        }
        Ok(hosts)
    }
}

/// Why a URL is not taken. The text names the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL.
    #[error("is not a URL; it looks like {0}")]
    NotAUrl(&'static str),
    /// Another scheme than http and https.
    #[error("must begin with https://")]
    Scheme,
    /// A name or password before the host.
    #[error("carries a user name or password; leave out everything before the host's name")]
    UserInfo,
    /// A query or fragment.
    #[error("carries a query or fragment; leave out everything from `?` or `#` on")]
    Query,
    /// Another host than Wiz's.
    #[error(
        "names the host `{host}`, which is not one of Wiz's ({expected}); a host of your own must be named in \
         WIZ_CONTEXT_ALLOW_HOSTS"
    )]
    Host {
        /// The refused host.
        host: String,
        /// How a host of Wiz looks.
        expected: &'static str,
    },
    /// A port at one of Wiz's hosts.
    #[error("names the port {0}; Wiz answers on the default port only, so leave it out")]
    Port(u16),
    /// Another path than the one that is served.
    #[error("has the path `{path}`, but Wiz serves {expected}")]
    Path {
        /// The refused path.
        path: String,
        /// The path that is served.
        expected: &'static str,
    },
}

/// A URL of the outside that requests may go to: https, or http at a host that the operator named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

/// What one of the two URLs of an integration must look like.
struct Shape {
    example: &'static str,
    hosts: &'static str,
    path: &'static str,
    is_wiz_host: fn(&str) -> bool,
}

impl Endpoint {
    /// The URL.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    fn read(text: &str, shape: &Shape, allowed: &AllowedHosts) -> Result<Self, EndpointError> {
        let mut url = Url::parse(text.trim()).map_err(|_| EndpointError::NotAUrl(shape.example))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Query);
        }
        let host = url
            .host_str()
            .ok_or(EndpointError::NotAUrl(shape.example))?
            .trim_end_matches('.')
            .to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        if !allowed.permits(&host, port) {
            if !(shape.is_wiz_host)(&host) {
                return Err(EndpointError::Host {
                    host,
                    expected: shape.hosts,
                });
            }
            match url.port() {
                None => {}
                Some(443) if url.scheme() == "http" => {
                    url.set_port(None).expect("a URL with a host takes a port");
                }
                Some(port) => return Err(EndpointError::Port(port)),
            }
            url.set_scheme("https")
                .expect("http and https are both special schemes");
            url.set_host(Some(&host)).expect("it was a host before");
        }
        match url.path().trim_end_matches('/') {
            "" => url.set_path(shape.path),
            path if path == shape.path => url.set_path(shape.path),
            _ => {
                return Err(EndpointError::Path {
                    path: url.path().to_owned(),
                    expected: shape.path,
                });
            }
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The URL of Wiz's GraphQL API: `https://api.<dc>.app.wiz.io/graphql`, or likewise at `gov.wiz.io` and `app.wiz.us`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiEndpoint(Endpoint);

/// The URL where Wiz gives tokens: `https://auth.app.wiz.io/oauth/token`, or another of Wiz's five.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUrl(Endpoint);

impl ApiEndpoint {
    /// Reads what people paste: with and without `/graphql`, with a slash at the end, with `http://`.
    ///
    /// # Errors
    /// What is wrong with the text, in words that go on after the member's name.
    pub fn read(text: &str, allowed: &AllowedHosts) -> Result<Self, EndpointError> {
        let shape = Shape {
            example: "https://api.us17.app.wiz.io/graphql",
            hosts: "api.<data center>.app.wiz.io, api.<data center>.gov.wiz.io or api.<data center>.app.wiz.us",
            path: "/graphql",
            is_wiz_host: |host| {
                let data_center = host.strip_prefix("api.").and_then(|rest| {
                    [".app.wiz.io", ".gov.wiz.io", ".app.wiz.us"]
                        .iter()
                        .find_map(|suffix| rest.strip_suffix(suffix))
                });
                data_center.is_some_and(|name| {
                    let allowed =
                        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
                    !name.is_empty() && name.bytes().all(allowed)
                })
            },
        };
        Endpoint::read(text, &shape, allowed).map(Self)
    }

    /// The URL.
    pub const fn url(&self) -> &Url {
        self.0.url()
    }
}

impl TokenUrl {
    /// The hosts of Wiz's token URLs; of the second kind are those that want the older audience.
    const HOSTS: [&'static str; 3] = ["auth.app.wiz.io", "auth.gov.wiz.io", "auth.app.wiz.us"];
    const AUTH0_HOSTS: [&'static str; 2] = ["auth.wiz.io", "auth0.gov.wiz.io"];

    /// Reads what people paste: with and without `/oauth/token`, with a slash at the end, with `http://`.
    ///
    /// # Errors
    /// What is wrong with the text, in words that go on after the member's name.
    pub fn read(text: &str, allowed: &AllowedHosts) -> Result<Self, EndpointError> {
        let shape = Shape {
            example: "https://auth.app.wiz.io/oauth/token",
            hosts: "auth.app.wiz.io, auth.wiz.io, auth.gov.wiz.io, auth0.gov.wiz.io or auth.app.wiz.us",
            path: "/oauth/token",
            is_wiz_host: |host| Self::HOSTS.contains(&host) || Self::AUTH0_HOSTS.contains(&host),
        };
        Endpoint::read(text, &shape, allowed).map(Self)
    }

    /// The URL.
    pub const fn url(&self) -> &Url {
        self.0.url()
    }

    /// The audience that a token is asked for: `beyond-api` at the two older Auth0 hosts, else `wiz-api`.
    pub fn audience(&self) -> &'static str {
        let is_auth0 = self
            .url()
            .host_str()
            .is_some_and(|host| Self::AUTH0_HOSTS.contains(&host));
        if is_auth0 { "beyond-api" } else { "wiz-api" }
    }
}

impl fmt::Display for ApiEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TokenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(text: &str) -> Result<String, EndpointError> {
        let allowed = "127.0.0.1:9000, wiz.lab".parse().unwrap();
        ApiEndpoint::read(text, &allowed).map(|url| url.to_string())
    }

    #[test]
    fn what_people_paste_is_put_right() {
        for text in [
            "https://api.us17.app.wiz.io/graphql",
            "https://api.us17.app.wiz.io/graphql/",
            "https://api.us17.app.wiz.io",
            "https://api.us17.app.wiz.io/",
            " http://API.us17.app.wiz.io/graphql ",
            "http://api.us17.app.wiz.io:80/graphql",
            "https://api.us17.app.wiz.io:443/graphql",
            "https://api.us17.app.wiz.io./graphql",
        ] {
            assert_eq!(
                api(text).as_deref(),
                Ok("https://api.us17.app.wiz.io/graphql"),
                "{text:?}"
            );
        }
        assert_eq!(
            api("https://api.eu-2.gov.wiz.io").as_deref(),
            Ok("https://api.eu-2.gov.wiz.io/graphql")
        );
        assert_eq!(
            api("http://127.0.0.1:9000").as_deref(),
            Ok("http://127.0.0.1:9000/graphql")
        );
        assert_eq!(
            api("http://wiz.lab:81/graphql").as_deref(),
            Ok("http://wiz.lab:81/graphql")
        );
    }

    #[test]
    fn what_could_do_harm_is_refused() {
        assert!(matches!(
            api("api.us17.app.wiz.io"),
            Err(EndpointError::NotAUrl(_))
        ));
        assert!(matches!(
            api("ftp://api.us17.app.wiz.io"),
            Err(EndpointError::Scheme)
        ));
        assert!(matches!(
            api("https://me:pw@api.us17.app.wiz.io"),
            Err(EndpointError::UserInfo)
        ));
        assert!(matches!(
            api("https://api.us17.app.wiz.io/graphql?x=1"),
            Err(EndpointError::Query)
        ));
        assert!(matches!(
            api("https://api.us17.app.wiz.io:8443/graphql"),
            Err(EndpointError::Port(8443))
        ));
        assert!(matches!(
            api("https://api.us17.app.wiz.io/other"),
            Err(EndpointError::Path { .. })
        ));
        for host in [
            "api.app.wiz.io",
            "api..app.wiz.io",
            "api.a.b.app.wiz.io",
            "api.us17.app.wiz.io.evil.example",
            "evil.example",
            "127.0.0.1:9001",
            "169.254.169.254",
            "[::1]",
            "localhost",
        ] {
            assert!(
                matches!(
                    api(&format!("https://{host}/graphql")),
                    Err(EndpointError::Host { .. })
                ),
                "{host}"
            );
        }
    }

    #[test]
    fn the_token_url_decides_the_audience() {
        let none = AllowedHosts::default();
        for (url, audience) in [
            ("https://auth.app.wiz.io/oauth/token", "wiz-api"),
            ("https://auth.wiz.io/oauth/token", "beyond-api"),
            ("https://auth.gov.wiz.io/oauth/token", "wiz-api"),
            ("https://auth0.gov.wiz.io/oauth/token", "beyond-api"),
            ("https://auth.app.wiz.us", "wiz-api"),
        ] {
            assert_eq!(TokenUrl::read(url, &none).unwrap().audience(), audience);
        }
        assert!(TokenUrl::read("https://auth.app.wiz.io.evil.example/oauth/token", &none).is_err());
    }

    #[test]
    fn allowed_hosts_may_name_a_port() {
        let hosts: AllowedHosts = "a.example, b.example:81,,::1,[::2]:9,10.0.0.1".parse().unwrap();
        assert!(hosts.permits("a.example", 1) && hosts.permits("A.example", 2));
        assert!(hosts.permits("b.example", 81) && !hosts.permits("b.example", 82));
        assert!(hosts.permits("[::1]", 5) && hosts.permits("[::2]", 9) && !hosts.permits("[::2]", 8));
        assert!(hosts.permits("10.0.0.1", 80) && !hosts.permits("10.0.0.2", 80));
        assert!("a b".parse::<AllowedHosts>().is_err() && "a:b".parse::<AllowedHosts>().is_err());
    }
}
