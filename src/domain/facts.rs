//! What reports say: facts per asset, and merged per address.

use super::{Address, RankedCve, Rating, Score};

/// The most CVEs that one asset brings into the `cve` label.
pub const MAX_CVES_PER_ASSET: usize = 100;

/// The most CVEs that one address carries: Fusion's limit of labels in one record.
pub const MAX_CVES_PER_ADDRESS: usize = 10_000;

/// What makes an asset the same asset in other rows and other reports. The kinds never meet: an `AssetID` that reads
/// like another asset's `ProviderUniqueId` is another asset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AssetKey {
    /// The cell `AssetID`.
    AssetId(Box<str>),
    /// The cell `ProviderUniqueId`, where `AssetID` is empty.
    ProviderUniqueId(Box<str>),
    /// The usable addresses, sorted, where both are empty.
    Addresses(Box<[Address]>),
}

impl AssetKey {
    /// The stored form: one byte for the kind, then the text, or the addresses' own stored forms one after the other.
    pub fn to_stored(&self) -> Vec<u8> {
        match self {
            Self::AssetId(id) => [b"a", id.as_bytes()].concat(),
            Self::ProviderUniqueId(id) => [b"p", id.as_bytes()].concat(),
            Self::Addresses(addresses) => {
                let mut stored = b"l".to_vec();
                for address in addresses {
                    stored.extend(address.to_stored());
                }
                stored
            }
        }
    }

    /// The key of a stored form; `None` when the bytes are none.
    pub fn from_stored(stored: &[u8]) -> Option<Self> {
        let (kind, rest) = stored.split_first()?;
        let text = || std::str::from_utf8(rest).ok().map(Into::into);
        match kind {
            b'a' => text().map(Self::AssetId),
            b'p' => text().map(Self::ProviderUniqueId),
            b'l' => {
                let (mut addresses, mut rest) = (Vec::new(), rest);
                while let Some(kind) = rest.first() {
                    let (address, after) = rest.split_at_checked(if *kind == 4 { 5 } else { 17 })?;
                    addresses.push(Address::from_stored(address)?);
                    rest = after;
                }
                Some(Self::Addresses(addresses.into()))
            }
            _ => None,
        }
    }
}

/// What one report says of one asset: its counting findings, folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetFacts {
    /// What makes it the same asset elsewhere.
    pub key: AssetKey,
    /// Its name as the report has it; the least of several, empty when none is given.
    pub name: Box<str>,
    /// How many findings count, at least 1.
    pub findings: u64,
    /// The highest score, if any finding has one.
    pub score: Option<Score>,
    /// The highest rating, if any finding has one.
    pub rating: Option<Rating>,
    /// The usable addresses of all counting rows, sorted, each once.
    pub addresses: Vec<Address>,
    /// The CVEs of findings rated high or critical, each once with its best rank, the highest
    /// [`MAX_CVES_PER_ASSET`], sorted.
    pub cves: Vec<RankedCve>,
}

/// What all reports together say of one address: the facts of the assets that carry it, merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressFacts {
    /// The sum of the assets' findings.
    pub findings: u64,
    /// The highest score.
    pub score: Option<Score>,
    /// The highest rating.
    pub rating: Option<Rating>,
    /// The union of the assets' CVEs, each once with its best rank, the highest [`MAX_CVES_PER_ADDRESS`], sorted.
    pub cves: Vec<RankedCve>,
}

impl AddressFacts {
    /// How many pairs these facts want: the count always, the others where there is something to say.
    pub const fn pairs(&self) -> u64 {
        1 + self.score.is_some() as u64 + self.rating.is_some() as u64 + !self.cves.is_empty() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_assets_come_back_from_their_stored_form() {
        let addresses = ["10.0.0.1", "2001:db8::1"].map(|ip| Address::read(ip).unwrap());
        for key in [
            AssetKey::AssetId("vm-1".into()),
            AssetKey::ProviderUniqueId("arn:é".into()),
            AssetKey::Addresses(addresses.into()),
        ] {
            assert_eq!(AssetKey::from_stored(&key.to_stored()), Some(key));
        }
        for stored in [&b""[..], b"x1", b"l\x04\x0a", b"a\xff"] {
            assert_eq!(AssetKey::from_stored(stored), None);
        }
    }
}
