//! The name of an installation.

use std::fmt;
use std::str::FromStr;

/// What tells this service's reports from another's in one Wiz tenant: 1 to 64 of `[A-Za-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationName(String);

/// Why a text is not a name of an installation. The text goes on after the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not 1 to {max} characters out of letters, digits, `.`, `_` and `-`", max = InstallationName::MAX_CHARS)]
pub struct InstallationNameError;

impl InstallationName {
    /// The greatest length: it stands in the name of every report.
    pub const MAX_CHARS: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstallationName {
    type Err = InstallationNameError;

    fn from_str(text: &str) -> Result<Self, InstallationNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=Self::MAX_CHARS).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InstallationNameError)
        }
    }
}

impl fmt::Display for InstallationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_word() {
        for name in ["berlin", "eu-1.prod_A", &"x".repeat(64)] {
            assert_eq!(name.parse::<InstallationName>().unwrap().to_string(), name);
        }
        for text in ["", "a/b", "a b", "über", &"x".repeat(65)] {
            assert_eq!(
                text.parse::<InstallationName>(),
                Err(InstallationNameError),
                "{text}"
            );
        }
    }
}
