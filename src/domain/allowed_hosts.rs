//! Hosts of the operator's own, which requests may reach beside the public ones.

use std::net::IpAddr;
use std::str::FromStr;

use url::Host;

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
                // It would parse, and then permit nothing.
                _ if host.contains('*') => {
                    return Err(format!("`{part}` is a pattern; name each host by itself"));
                }
                _ => Host::parse(host.trim_end_matches('.'))
                    .map_err(|_| format!("`{part}` is not a host or host:port"))?
                    .to_string(),
            };
            hosts.allow(host, port);
        }
        Ok(hosts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_end_in_a_dot_and_is_no_pattern() {
        let hosts: AllowedHosts = "wiz.lab., b.example.:81".parse().unwrap();
        assert!(hosts.permits("wiz.lab", 443) && hosts.permits("b.example", 81));
        for text in ["*.wiz.lab", "*", "*.wiz.lab:443", "https://wiz.lab", "10.0.0.0/8"] {
            let refused = text.parse::<AllowedHosts>().unwrap_err();
            assert!(refused.starts_with(&format!("`{text}`")), "{refused}");
        }
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
