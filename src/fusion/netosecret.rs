//! `NETOSECRET`: which Fusion account this service writes to, and its key.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use url::{Host, Url};

use crate::domain::{AllowedHosts, SharedSecret};

/// Which Fusion account: what the ledger is kept by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey {
    /// The host of its API, in lower case.
    pub host: String,
    /// Its short name.
    pub shortname: String,
}

impl fmt::Display for AccountKey {
    /// `api.netography.com/acme`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.shortname)
    }
}

/// A Fusion account and the key that signs this service in.
#[derive(Clone, Debug)]
pub struct FusionAccount {
    base: Url,
    pub(super) shortname: String,
    pub(super) appname: SharedSecret,
    pub(super) appkey: SharedSecret,
    pub(super) sharedsecret: SharedSecret,
}

/// Why a text is not a `NETOSECRET`. No error repeats any part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetosecretError {
    /// Not base64.
    #[error("NETOSECRET is not base64; copy it from Fusion once more, as one line")]
    Base64,
    /// Not an object in JSON.
    #[error(
        "NETOSECRET is base64, but of something else than Fusion's secret; copy it from Fusion once more"
    )]
    Content,
    /// A member is missing, empty or not a text.
    #[error("NETOSECRET has no `{0}`; create a new key in Fusion and copy its NETOSECRET")]
    Missing(&'static str),
    /// The URL is not one of an API.
    #[error("the `url` in NETOSECRET is not a URL like https://api.netography.com")]
    Url,
    /// The URL is `http://` and not of this machine.
    #[error(
        "the `url` in NETOSECRET is http://, which would show the key to the network; use https://, or name the host in \
         WIZ_CONTEXT_ALLOW_HOSTS"
    )]
    Unencrypted,
    /// The short name holds what no name does.
    #[error("the `shortname` in NETOSECRET holds spaces, slashes or control characters")]
    Shortname,
}

/// The members as they come; what they are not is found out by name.
#[derive(Deserialize)]
struct Wire {
    url: Option<Member>,
    shortname: Option<Member>,
    appname: Option<Member>,
    sharedsecret: Option<Member>,
    appkey: Option<Member>,
}

/// A text that is wiped when it is dropped.
struct Member(Option<SharedSecret>);

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(match value {
            serde_json::Value::String(text) if !text.trim().is_empty() => Some(SharedSecret::new(text)),
            _ => None,
        }))
    }
}

impl FusionAccount {
    /// Reads a `NETOSECRET`: base64 of either alphabet, padded or not, white space around ignored. `allowed` names the
    /// hosts where `http://` is fine; this machine's own addresses are always fine.
    ///
    /// # Errors
    /// What is wrong or missing, without any part of the text.
    pub fn read(netosecret: &str, allowed: &AllowedHosts) -> Result<Self, NetosecretError> {
        let json = decode(netosecret).ok_or(NetosecretError::Base64)?;
        let wire: Wire = serde_json::from_slice(&json).map_err(|_| NetosecretError::Content)?;
        let member = |member: Option<Member>, name| {
            member
                .and_then(|member| member.0)
                .ok_or(NetosecretError::Missing(name))
        };
        let base = base_url(member(wire.url, "url")?.expose(), allowed)?;
        let shortname = member(wire.shortname, "shortname")?.expose().trim().to_owned();
        if shortname
            .chars()
            .any(|character| character.is_whitespace() || character.is_control() || character == '/')
        {
            return Err(NetosecretError::Shortname);
        }
        Ok(Self {
            base,
            shortname,
            appname: member(wire.appname, "appname")?,
            sharedsecret: member(wire.sharedsecret, "sharedsecret")?,
            appkey: member(wire.appkey, "appkey")?,
        })
    }

    /// What the ledger knows the account by.
    pub fn key(&self) -> AccountKey {
        AccountKey {
            host: self.host_and_port().0,
            shortname: self.shortname.clone(),
        }
    }

    /// The host and port of its API, which requests have to be allowed to.
    ///
    /// # Panics
    /// Never: only URLs with a host are taken.
    pub fn host_and_port(&self) -> (String, u16) {
        let host = self.base.host_str().expect("checked when it was read");
        let port = self
            .base
            .port_or_known_default()
            .expect("http and https have one");
        (host.to_owned(), port)
    }

    /// The URL of a call, by its path segments after `/api/v1`; segments are percent-encoded.
    pub(super) fn call_url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("http and https URLs have a path")
            .clear()
            .extend(["api", "v1"])
            .extend(segments);
        url
    }
}

fn decode(text: &str) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    // A terminal wraps what is copied out of it.
    let text: zeroize::Zeroizing<String> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect::<String>()
        .into();
    [STANDARD, URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(text.as_str()).ok())
        .map(Into::into)
}

/// Scheme, host and port; what comes after them is always the same.
fn base_url(text: &str, allowed: &AllowedHosts) -> Result<Url, NetosecretError> {
    let mut url = Url::parse(text.trim()).map_err(|_| NetosecretError::Url)?;
    let path = url.path().trim_end_matches('/');
    let is_plain = matches!(url.scheme(), "http" | "https")
        && matches!(path, "" | "/v1" | "/api" | "/api/v1")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let (Some(host), Some(port), true) = (url.host(), url.port_or_known_default(), is_plain) else {
        return Err(NetosecretError::Url);
    };
    let on_this_machine = match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    if url.scheme() == "http" && !on_this_machine && !allowed.permits(&host.to_string(), port) {
        return Err(NetosecretError::Unencrypted);
    }
    url.set_path("/");
    Ok(url)
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    /// With characters that look different in the two alphabets.
    fn secret(url: &str) -> Value {
        json!({
            "url": url, "shortname": "acme", "appname": "wiz-context",
            "sharedsecret": "planted-secret>>>???", "appkey": "planted-key",
        })
    }

    fn read(netosecret: &str) -> Result<FusionAccount, NetosecretError> {
        FusionAccount::read(netosecret, &"fusion.lab:8080".parse().unwrap())
    }

    fn read_url(url: &str) -> Result<String, NetosecretError> {
        let account = read(&BASE64_STANDARD.encode(secret(url).to_string()))?;
        Ok(account.call_url(&["auth", "token"]).to_string())
    }

    #[test]
    fn every_way_to_write_base64_reads() {
        // the spaces vary the length, and so the padding
        for spaces in 0..3 {
            let json = secret("https://api.netography.com").to_string() + &" ".repeat(spaces);
            let mut forms = [
                BASE64_STANDARD.encode(&json),
                BASE64_STANDARD_NO_PAD.encode(&json),
                BASE64_URL_SAFE.encode(&json),
                BASE64_URL_SAFE_NO_PAD.encode(&json),
                BASE64_STANDARD.encode(&json),
            ];
            forms[4].insert_str(20, "\r\n");
            for form in forms {
                let account = read(&format!(" {form}\n")).unwrap();
                assert_eq!(account.key().to_string(), "api.netography.com/acme");
                assert_eq!(account.host_and_port(), ("api.netography.com".to_owned(), 443));
                assert_eq!(account.sharedsecret.expose(), "planted-secret>>>???");
            }
        }
    }

    #[test]
    fn of_the_url_only_scheme_host_and_port_count() {
        let token = "https://api.netography.com/api/v1/auth/token";
        for end in ["", "/", "/api/v1", "/api/v1/", "/v1", "/v1/"] {
            assert_eq!(
                read_url(&format!("https://API.netography.com{end}")).as_deref(),
                Ok(token)
            );
        }
        assert_eq!(
            read_url("http://127.0.0.1:9000/api/v1").as_deref(),
            Ok("http://127.0.0.1:9000/api/v1/auth/token")
        );
        assert!(read_url("http://[::1]:9000").is_ok() && read_url("http://fusion.lab:8080").is_ok());
        assert_eq!(read_url("http://fusion.lab"), Err(NetosecretError::Unencrypted));
        assert_eq!(
            read_url("http://api.netography.com"),
            Err(NetosecretError::Unencrypted)
        );
        for url in [
            "api.netography.com",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example/else",
        ] {
            assert_eq!(read_url(url), Err(NetosecretError::Url), "{url}");
        }
    }

    #[test]
    fn an_error_names_what_is_missing_and_nothing_of_what_is_there() {
        for name in ["url", "shortname", "appname", "sharedsecret", "appkey"] {
            for value in [None, Some(json!("")), Some(json!(7)), Some(Value::Null)] {
                let mut secret = secret("https://api.netography.com");
                match value {
                    Some(value) => secret[name] = value,
                    None => drop(secret.as_object_mut().unwrap().remove(name)),
                }
                let error = read(&BASE64_STANDARD.encode(secret.to_string())).unwrap_err();
                assert_eq!(error, NetosecretError::Missing(name));
                assert!(!format!("{error} {error:?}").contains("planted"));
            }
        }
        assert_eq!(read("planted!").unwrap_err(), NetosecretError::Base64);
        for content in ["planted", "[1]", "\"planted\"", ""] {
            assert_eq!(
                read(&BASE64_STANDARD.encode(content)).unwrap_err(),
                NetosecretError::Content
            );
        }
        let mut slash = secret("https://api.netography.com");
        slash["shortname"] = json!("a/b");
        assert_eq!(
            read(&BASE64_STANDARD.encode(slash.to_string())).unwrap_err(),
            NetosecretError::Shortname
        );
    }

    #[test]
    fn an_account_does_not_print_its_key() {
        let account =
            read(&BASE64_STANDARD.encode(secret("https://api.netography.com").to_string())).unwrap();
        assert!(!format!("{account:?}").contains("planted"));
    }

    #[test]
    fn addresses_in_paths_are_encoded() {
        let account =
            read(&BASE64_STANDARD.encode(secret("https://api.netography.com").to_string())).unwrap();
        assert_eq!(
            account.call_url(&["labels", "ips", "a/b?c"]).as_str(),
            "https://api.netography.com/api/v1/labels/ips/a%2Fb%3Fc"
        );
    }
}
