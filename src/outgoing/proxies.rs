//! The proxies that the environment names.

use std::collections::BTreeSet;
use std::sync::Arc;

use url::Url;

/// The proxies' own names: a proxy is the operator's choice, and mostly in the private network. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies(Arc<BTreeSet<String>>);

impl Proxies {
    /// Those of the variables that the HTTP client looks at.
    pub(super) fn from_environment() -> Self {
        let variables = [
            "HTTPS_PROXY",
            "https_proxy",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
        ];
        let values: Vec<_> = variables
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .collect();
        values.iter().map(String::as_str).collect()
    }

    /// Whether a host is one of them. The client asks for a proxy's name as the environment spells it.
    pub(super) fn contains(&self, host: &str) -> bool {
        self.0.contains(&as_known(host))
    }
}

impl<'a> FromIterator<&'a str> for Proxies {
    /// Reads values as of `HTTPS_PROXY`; those without a host are passed over.
    fn from_iter<T: IntoIterator<Item = &'a str>>(values: T) -> Self {
        let host = |value: &str| {
            let url = if value.contains("://") {
                Url::parse(value)
            } else {
                Url::parse(&format!("http://{value}"))
            };
            Some(as_known(url.ok()?.host_str()?))
        };
        Self(Arc::new(values.into_iter().filter_map(host).collect()))
    }
}

fn as_known(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_known_by_its_host() {
        let proxies: Proxies = [
            "http://u:p@Proxy.lan:3128",
            "other.lan:3128",
            "socks5h://THIRD.lan",
            "",
            "::",
        ]
        .into_iter()
        .collect();
        assert!(proxies.contains("proxy.LAN") && proxies.contains("other.lan."));
        assert!(proxies.contains("third.lan"));
        assert!(!proxies.contains("") && !proxies.contains("u"));
    }
}
