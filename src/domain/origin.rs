//! Origins of web pages, for CORS.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Where a web page comes from, as browsers write it in `Origin`: `https://portal.example.com`, with a port only where it is
/// not the usual one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

/// Why a text is no origin that may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Every origin there is.
    #[error("would let every web page in; name the origins one by one, as in https://portal.example.com")]
    Any,
    /// Something else.
    #[error("is not an origin; write scheme, host and port only, as in https://portal.example.com")]
    Form,
    /// Plain `http://` of another machine, whose pages anybody on the way can change.
    #[error("is served unencrypted, so that anybody on the way can change its pages; use https://")]
    Unencrypted,
}

impl Origin {
    /// The origin as browsers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a comma-separated list.
    ///
    /// # Errors
    /// The first text that is no origin, and why.
    pub fn read_list(text: &str) -> Result<Vec<Self>, String> {
        let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        texts
            .map(|text| {
                text.parse()
                    .map_err(|error: OriginError| format!("`{text}` {error}"))
            })
            .collect()
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Err(OriginError::Any);
        }
        let url = Url::parse(text).map_err(|_| OriginError::Form)?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none();
        let (true, true, Some(host)) = (bare, nobody, url.host()) else {
            return Err(OriginError::Form);
        };
        let on_this_machine = match host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        match url.scheme() {
            "https" => {}
            "http" if on_this_machine => {}
            "http" => return Err(OriginError::Unencrypted),
            _ => return Err(OriginError::Form),
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let read = |text: &str| text.parse::<Origin>().map(|origin| origin.0);
        assert_eq!(
            read("https://Portal.example.com:443/").as_deref(),
            Ok("https://portal.example.com")
        );
        assert_eq!(
            read("https://a.example:8443").as_deref(),
            Ok("https://a.example:8443")
        );
        assert_eq!(
            read("http://localhost:5173").as_deref(),
            Ok("http://localhost:5173")
        );
        assert_eq!(read("*"), Err(OriginError::Any));
        assert_eq!(read("http://portal.example.com"), Err(OriginError::Unencrypted));
        for text in [
            "null",
            "portal.example.com",
            "https://a/b",
            "https://u@a",
            "file:///x",
            "https://*?",
        ] {
            assert_eq!(read(text), Err(OriginError::Form), "{text}");
        }
        assert_eq!(
            Origin::read_list("https://a.example, https://b.example")
                .unwrap()
                .len(),
            2
        );
        assert!(Origin::read_list("").unwrap().is_empty());
        assert!(
            Origin::read_list("https://a.example, *")
                .unwrap_err()
                .starts_with("`*` would let")
        );
    }
}
