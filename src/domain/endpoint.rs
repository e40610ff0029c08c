//! The URLs of an integration: what people paste, put right, and refused where it could do harm.

use std::fmt;

use url::Url;

use super::AllowedHosts;

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
    /// The host of Wiz's other URL.
    #[error("names the host `{host}`, which belongs into the other URL; this one looks like {example}")]
    OtherUrl {
        /// The refused host.
        host: String,
        /// How the URL looks.
        example: &'static str,
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

/// The zones of Wiz: commercial, AWS `GovCloud` and Wiz for Gov. Whatever has a name below one of them is Wiz's.
const ZONES: [&str; 3] = ["app.wiz.io", "gov.wiz.io", "app.wiz.us"];

/// Where older commercial tenants get tokens: the one host outside the zones, whose own zone is Wiz's website's too.
const OLDER_TOKEN_HOST: &str = "auth.wiz.io";

/// What one of the two URLs of an integration must look like.
struct Shape {
    example: &'static str,
    hosts: &'static str,
    path: &'static str,
    /// A host outside the zones.
    further_host: Option<&'static str>,
    /// How the names of hosts begin that serve the other URL only.
    others: &'static [&'static str],
}

/// What a host's name has before the zone of Wiz that it is in.
fn labels_below_a_zone(host: &str) -> Option<&str> {
    ZONES
        .iter()
        .find_map(|zone| host.strip_suffix(zone)?.strip_suffix('.'))
}

impl Shape {
    fn check(&self, host: &str) -> Result<(), EndpointError> {
        match labels_below_a_zone(host) {
            Some(labels) if labels.split('.').all(is_label) => {
                let first = labels.split('.').next().unwrap_or_default();
                if self.others.contains(&first) {
                    let (host, example) = (host.to_owned(), self.example);
                    return Err(EndpointError::OtherUrl { host, example });
                }
                Ok(())
            }
            _ if self.further_host == Some(host) => Ok(()),
            _ => Err(EndpointError::Host {
                host: host.to_owned(),
                expected: self.hosts,
            }),
        }
    }
}

fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty() && label.bytes().all(fits)
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
            shape.check(&host)?;
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

/// The URL of Wiz's GraphQL API: `https://api.<dc>.app.wiz.io/graphql`, or at another name in one of Wiz's zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiEndpoint(Endpoint);

/// The URL where Wiz gives tokens: `https://auth.app.wiz.io/oauth/token`, or at another name in one of Wiz's zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUrl(Endpoint);

impl ApiEndpoint {
    const SHAPE: Shape = Shape {
        example: "https://api.us17.app.wiz.io/graphql",
        hosts: "names that end in .app.wiz.io, .gov.wiz.io or .app.wiz.us",
        path: "/graphql",
        further_host: None,
        others: &["auth", "auth0"],
    };

    /// Reads what people paste: with and without `/graphql`, with a slash at the end, with `http://`.
    ///
    /// # Errors
    /// What is wrong with the text, in words that go on after the member's name.
    pub fn read(text: &str, allowed: &AllowedHosts) -> Result<Self, EndpointError> {
        Endpoint::read(text, &Self::SHAPE, allowed).map(Self)
    }

    /// The URL.
    pub const fn url(&self) -> &Url {
        self.0.url()
    }
}

impl TokenUrl {
    const SHAPE: Shape = Shape {
        example: "https://auth.app.wiz.io/oauth/token",
        hosts: "auth.wiz.io, and names that end in .app.wiz.io, .gov.wiz.io or .app.wiz.us",
        path: "/oauth/token",
        further_host: Some(OLDER_TOKEN_HOST),
        others: &["api"],
    };

    /// Reads what people paste: with and without `/oauth/token`, with a slash at the end, with `http://`.
    ///
    /// # Errors
    /// What is wrong with the text, in words that go on after the member's name.
    pub fn read(text: &str, allowed: &AllowedHosts) -> Result<Self, EndpointError> {
        Endpoint::read(text, &Self::SHAPE, allowed).map(Self)
    }

    /// The URL.
    pub const fn url(&self) -> &Url {
        self.0.url()
    }

    /// The audience that a token is asked for: `beyond-api` at Wiz's older hosts, which are Auth0's, else `wiz-api`.
    pub fn audience(&self) -> &'static str {
        let is_auth0 = |host: &str| {
            host == OLDER_TOKEN_HOST
                || labels_below_a_zone(host).is_some_and(|labels| labels.split('.').next() == Some("auth0"))
        };
        if self.url().host_str().is_some_and(is_auth0) {
            "beyond-api"
        } else {
            "wiz-api"
        }
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
            "app.wiz.io",
            "api..app.wiz.io",
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
            ("https://auth.eu.app.wiz.io", "wiz-api"),
            ("https://auth0.app.wiz.us", "beyond-api"),
        ] {
            assert_eq!(TokenUrl::read(url, &none).unwrap().audience(), audience);
        }
        assert!(TokenUrl::read("https://auth.app.wiz.io.evil.example/oauth/token", &none).is_err());
        // A host of one's own is not Auth0's, whatever its name.
        let own = "auth0.corp.example".parse().unwrap();
        let own = TokenUrl::read("https://auth0.corp.example/oauth/token", &own).unwrap();
        assert_eq!(own.audience(), "wiz-api");
    }
}
