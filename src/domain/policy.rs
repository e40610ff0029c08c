//! The operator's choices that decide what a report comes to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Address, AddressProblem};

/// The operator's choices that decide what a report comes to; the default is what `docs/` describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Networks whose addresses get no labels. Default: none.
    pub skip_networks: Vec<IpNet>,
    /// What a report with fewer rows than Wiz counted means. Default: it is incomplete.
    pub row_count: RowCountRule,
}

impl Policy {
    /// Reads the setting `WIZ_CONTEXT_SKIP_NETWORKS`: networks (`10.0.0.0/8`) and single addresses, separated by commas.
    /// An empty text means none.
    ///
    /// # Errors
    /// A sentence that names the part which is neither.
    pub fn read_skip_networks(text: &str) -> Result<Vec<IpNet>, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                let network = part.parse::<IpNet>().ok();
                network
                    .or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from))
                    .ok_or_else(|| format!("`{part}` is neither a network, as 10.0.0.0/8, nor an address"))
            })
            .collect()
    }

    /// Reads one address as [`Address::read`] does, and refuses those in excluded networks.
    ///
    /// # Errors
    /// The reason why the text gives no address that could carry a label.
    pub fn read_address(&self, text: &str) -> Result<Address, AddressProblem> {
        let address = Address::read(text)?;
        let skipped = self
            .skip_networks
            .iter()
            .any(|network| network.contains(&address.ip()));
        if skipped {
            Err(AddressProblem::SkippedNetwork)
        } else {
            Ok(address)
        }
    }
}

/// What a report with fewer rows than Wiz counted means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowCountRule {
    /// The report is incomplete: nothing is pushed.
    #[default]
    Strict,
    /// A warning, for a tenant whose count means something else.
    Warn,
}

impl FromStr for RowCountRule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "strict" => Ok(Self::Strict),
            "warn" => Ok(Self::Warn),
            _ => Err("not a rule for row counts; use `strict` or `warn`"),
        }
    }
}

/// A kind of asset that a report is asked for, in Wiz's words: `VIRTUAL_MACHINE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssetType(String);

impl AssetType {
    /// The kinds that carry addresses, and so the default.
    pub fn with_addresses() -> Vec<Self> {
        ["VIRTUAL_MACHINE", "NETWORK_ADDRESS"]
            .map(|name| Self(name.to_owned()))
            .to_vec()
    }

    /// Wiz's word for it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AssetType {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err("not an asset type; use Wiz's words, as in VIRTUAL_MACHINE")
        }
    }
}

impl fmt::Display for AssetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_networks_are_read_from_one_text() {
        let networks = Policy::read_skip_networks(" 10.0.0.0/8, 2001:db8::1,").unwrap();
        let texts: Vec<_> = networks.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.0.0.0/8", "2001:db8::1/128"]);
        assert_eq!(Policy::read_skip_networks(""), Ok(Vec::new()));
        assert!(
            Policy::read_skip_networks("10.0.0.0/8,home")
                .unwrap_err()
                .contains("`home`")
        );
    }

    #[test]
    fn an_address_in_a_skipped_network_is_refused() {
        let policy = Policy {
            skip_networks: Policy::read_skip_networks("10.0.0.0/8").unwrap(),
            ..Policy::default()
        };
        assert_eq!(
            policy.read_address("10.1.2.3"),
            Err(AddressProblem::SkippedNetwork)
        );
        assert_eq!(
            policy.read_address("::ffff:10.1.2.3"),
            Err(AddressProblem::SkippedNetwork)
        );
        assert!(policy.read_address("11.1.2.3").is_ok());
    }
}
