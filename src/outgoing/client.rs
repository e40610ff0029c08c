//! The one factory of HTTP clients.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

use super::guard::{Guard, Refused, Route};
use super::proxies::Proxies;
use super::resolver::GuardedResolver;
use crate::clock::Clock;
use crate::domain::AllowedHosts;
use crate::metrics::Metrics;

/// Wiz asks for an agent that names the integration and its version.
const USER_AGENT: &str = concat!(
    "wiz-context/",
    env!("CARGO_PKG_VERSION"),
    " (+Netography Fusion context integration)"
);

/// A host that does not take a connection by then is as good as down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Object storage stalls for seconds at times, but not for this long between two pieces.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// What the clients are made of.
#[derive(Clone, Debug, Default)]
pub struct OutgoingSettings {
    /// Hosts that requests may reach although their address is private, or by plain `http://`. Default: none. The host
    /// of the Fusion account belongs in here.
    pub allowed: AllowedHosts,
    /// A PEM file with certificate authorities to trust beside the system's. Default: none.
    pub ca_file: Option<PathBuf>,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The file with certificate authorities cannot be read.
    #[error("cannot read the certificate authorities of {}", .0.display())]
    CaFile(PathBuf, #[source] std::io::Error),
    /// The file with certificate authorities holds something else.
    #[error("{} holds no certificates in PEM form", .0.display())]
    CaContent(PathBuf, #[source] Option<reqwest::Error>),
    /// TLS cannot be set up, as where the system has no certificate authorities.
    #[error("cannot set up TLS; is a bundle of certificate authorities (ca-certificates) installed?")]
    Tls(#[source] reqwest::Error),
}

/// Sends requests to the outside. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub(super) clock: Clock,
    pub(super) guard: Arc<Guard>,
    clients: Arc<Clients>,
    pub(super) metrics: Metrics,
}

/// One client per way out.
#[derive(Debug)]
struct Clients {
    public: Client,
    named: Client,
    loopback: Client,
}

impl Outgoing {
    /// Makes the clients.
    ///
    /// # Errors
    /// When the certificate authorities cannot be read, or TLS cannot be set up.
    pub fn new(settings: OutgoingSettings, clock: Clock) -> Result<Self, OutgoingError> {
        Self::resolving(settings, clock, GuardedResolver::new(Proxies::from_environment()))
    }

    /// The same, with a resolver for the names of public hosts.
    pub(super) fn resolving(
        settings: OutgoingSettings,
        clock: Clock,
        resolver: GuardedResolver,
    ) -> Result<Self, OutgoingError> {
        let certificates = settings.ca_file.map(read_certificates).transpose()?;
        let builder = || match &certificates {
            Some(certificates) => builder().tls_certs_merge(certificates.iter().cloned()),
            None => builder(),
        };
        let build = |builder: ClientBuilder| builder.build().map_err(OutgoingError::Tls);
        let proxies = resolver.proxies().clone();
        let clients = Clients {
            public: build(builder().dns_resolver(resolver))?,
            named: build(builder())?,
            loopback: build(builder().no_proxy())?,
        };
        Ok(Self {
            clock,
            guard: Arc::new(Guard::new(settings.allowed, proxies)),
            clients: Arc::new(clients),
            metrics: Metrics::new(),
        })
    }

    /// The same clients, with other hosts allowed and another clock. Certificates are not read again.
    #[must_use]
    pub fn with(&self, allowed: AllowedHosts, clock: Clock) -> Self {
        Self {
            clock,
            guard: Arc::new(Guard::new(allowed, self.guard.proxies().clone())),
            clients: Arc::clone(&self.clients),
            metrics: self.metrics.clone(),
        }
    }

    /// The same, counting its requests there.
    #[must_use]
    pub fn counting(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// The client that may reach a URL.
    pub(super) fn client_for(&self, url: &url::Url) -> Result<&Client, Refused> {
        Ok(match self.guard.check(url)? {
            Route::Public => &self.clients.public,
            Route::Named => &self.clients.named,
            Route::Loopback => &self.clients.loopback,
        })
    }
}

fn builder() -> ClientBuilder {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the factory that everybody else uses"
    )]
    // Redirects are followed in `send`, where each one's address is checked; quick retries live there too.
    Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
}

fn read_certificates(path: PathBuf) -> Result<Vec<Certificate>, OutgoingError> {
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(error) => return Err(OutgoingError::CaFile(path, error)),
    };
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if certificates.is_empty() => Err(OutgoingError::CaContent(path, None)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(OutgoingError::CaContent(path, Some(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn a_file_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let settings = |path: &std::path::Path| OutgoingSettings {
            ca_file: Some(path.to_owned()),
            ..OutgoingSettings::default()
        };
        let clock = Clock::test(Timestamp::from_millis(0), 1);
        let error = Outgoing::new(settings(file.path()), clock.clone()).unwrap_err();
        assert!(
            error.to_string().ends_with("holds no certificates in PEM form"),
            "{error}"
        );
        let error = Outgoing::new(settings("/nowhere/ca.pem".as_ref()), clock).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the certificate authorities of /nowhere/ca.pem"
        );
    }
}
