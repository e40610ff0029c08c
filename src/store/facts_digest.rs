//! Whether two reports say the same: a digest over everything that is kept of one.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use super::facts::{stored_cves, stored_number};
use crate::domain::{AssetFacts, Rating, Score};

/// SHA-256 over assets in the order of their keys, in the form that they are stored in. Sets of facts with one digest are
/// the same, row by row.
#[derive(Clone)]
pub struct FactsDigest(Context);

impl FactsDigest {
    /// That of no assets.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Adds the next asset.
    pub fn add(&mut self, asset: &AssetFacts) {
        let mut bytes = Vec::with_capacity(128);
        // Each part is behind its length, so that no two assets come to the same bytes.
        let mut part = |part: &[u8]| {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        };
        part(&asset.key.to_stored());
        part(asset.name.as_bytes());
        part(&stored_number(asset.findings).to_be_bytes());
        part(
            &asset
                .score
                .map(Score::tenths)
                .map_or_else(Vec::new, |score| vec![score]),
        );
        part(
            &asset
                .rating
                .map(Rating::level)
                .map_or_else(Vec::new, |rating| vec![rating]),
        );
        part(&stored_cves(&asset.cves));
        part(&(asset.addresses.len() as u64).to_be_bytes());
        for address in &asset.addresses {
            part(&address.to_stored());
        }
        self.0.update(&bytes);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

impl Default for FactsDigest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FactsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FactsDigest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Address, AssetKey, CveId, RankedCve};

    type ChangeOf = fn(&mut AssetFacts);

    fn asset() -> AssetFacts {
        AssetFacts {
            key: AssetKey::AssetId("a".into()),
            name: "vm".into(),
            findings: 2,
            score: Score::from_tenths(70),
            rating: Some(Rating::High),
            cves: vec![cve("CVE-2024-0001")],
            addresses: vec![Address::read("10.0.0.1").unwrap()],
        }
    }

    fn cve(id: &str) -> RankedCve {
        RankedCve::new(CveId::find_all(id).next().unwrap(), false, false, None, None)
    }

    fn of(assets: &[AssetFacts]) -> Vec<u8> {
        let mut digest = FactsDigest::new();
        for asset in assets {
            digest.add(asset);
        }
        digest.finish()
    }

    #[test]
    fn whatever_changes_in_an_asset_changes_the_digest() {
        let changed: [(&str, ChangeOf); 9] = [
            ("key", |asset| asset.key = AssetKey::ProviderUniqueId("a".into())),
            ("name", |asset| asset.name = "vm2".into()),
            ("findings", |asset| asset.findings = 3),
            ("score", |asset| asset.score = Score::from_tenths(71)),
            ("no score", |asset| asset.score = None),
            ("rating", |asset| asset.rating = None),
            ("cve", |asset| asset.cves = vec![cve("CVE-2024-0002")]),
            ("no cve", |asset| asset.cves.clear()),
            ("address", |asset| {
                asset.addresses.push(Address::read("10.0.0.2").unwrap());
            }),
        ];
        let mut digests = vec![of(&[]), of(&[asset()]), of(&[asset(), asset()])];
        for (what, change) in changed {
            let mut asset = asset();
            change(&mut asset);
            let digest = of(&[asset]);
            assert!(!digests.contains(&digest), "{what}");
            digests.push(digest);
        }
        assert_eq!(of(&[asset()]), of(&[asset()]));
    }
}
