//! From assets to addresses: what all assets that carry an address say of it together.

use std::cmp::Reverse;

use super::asset::Asset;
use super::read::ReportFacts;
use crate::domain::{Address, AddressFacts, MAX_CVES_PER_ADDRESS, RankedCve, Rating, Score, WantedAddress};

/// Merges the parts that assets have in an address. The order of the parts never matters.
///
/// Good for one address after the other: [`AddressMerge::finish`] leaves it empty.
#[derive(Debug, Default)]
pub struct AddressMerge {
    /// The CVEs are in the order they came in, a CVE as often as it came, until they are settled.
    facts: AddressFacts,
    parts: u64,
}

impl AddressMerge {
    /// How many CVEs may be waiting to be settled. Twice the cap, so that settling pays.
    const MAX_UNSETTLED: usize = 2 * MAX_CVES_PER_ADDRESS;

    /// Adds the part of one asset, or what others came to; `cves` are sorted, each once.
    pub fn add(&mut self, findings: u64, score: Option<Score>, rating: Option<Rating>, cves: &[RankedCve]) {
        self.parts += 1;
        self.facts.findings = self.facts.findings.saturating_add(findings);
        self.facts.score = self.facts.score.max(score);
        self.facts.rating = self.facts.rating.max(rating);
        self.facts.cves.extend_from_slice(cves);
        if self.facts.cves.len() > Self::MAX_UNSETTLED {
            self.settle();
        }
    }

    /// How many parts were added.
    pub const fn parts(&self) -> u64 {
        self.parts
    }

    /// What the parts came to.
    pub fn finish(&mut self) -> AddressFacts {
        if self.parts > 1 || self.facts.cves.len() > MAX_CVES_PER_ADDRESS {
            self.settle();
        }
        self.parts = 0;
        std::mem::take(&mut self.facts)
    }

    /// Keeps each CVE once with its best rank, and the highest of them. What is dropped here could not come back: the
    /// others that keep it out only grow.
    fn settle(&mut self) {
        let cves = &mut self.facts.cves;
        cves.sort_unstable_by_key(|cve| (cve.id(), Reverse(*cve)));
        cves.dedup_by_key(|cve| cve.id());
        cves.sort_unstable();
        cves.drain(..cves.len().saturating_sub(MAX_CVES_PER_ADDRESS));
    }
}

/// Merges the part of one more asset into the facts of an address; `cves` are sorted, each once. For many parts
/// [`AddressMerge`] is faster.
pub fn merge_into(
    facts: &mut AddressFacts,
    findings: u64,
    score: Option<Score>,
    rating: Option<Rating>,
    cves: &[RankedCve],
) {
    let parts = u64::from(*facts != AddressFacts::default());
    let mut merge = AddressMerge {
        facts: std::mem::take(facts),
        parts,
    };
    merge.add(findings, score, rating, cves);
    *facts = merge.finish();
}

impl ReportFacts {
    /// The addresses of all assets with their merged facts, IPv4 first, each by number. Each is merged only when it is
    /// asked for.
    pub fn into_addresses(self) -> ReportAddresses {
        let assets = self.assets;
        let mut carried: Vec<_> = (0_u32..)
            .zip(&assets)
            .flat_map(|(number, asset)| asset.addresses().iter().map(move |address| (*address, number)))
            .collect();
        carried.sort_unstable();
        ReportAddresses {
            assets,
            carried,
            at: 0,
            merge: AddressMerge::default(),
            addresses: 0,
            shared: 0,
        }
    }
}

/// The addresses of a report, one by one.
#[derive(Debug)]
pub struct ReportAddresses {
    assets: Vec<Asset>,
    /// Which asset, by its number, carries which address; sorted.
    carried: Vec<(Address, u32)>,
    at: usize,
    merge: AddressMerge,
    addresses: u64,
    shared: u64,
}

impl ReportAddresses {
    /// How many addresses were given so far.
    pub const fn addresses(&self) -> u64 {
        self.addresses
    }

    /// How many of them several assets carry.
    pub const fn shared(&self) -> u64 {
        self.shared
    }
}

impl Iterator for ReportAddresses {
    type Item = WantedAddress;

    fn next(&mut self) -> Option<WantedAddress> {
        let (ip, _) = *self.carried.get(self.at)?;
        while let Some((_, number)) = self.carried.get(self.at).filter(|(address, _)| *address == ip) {
            let asset = &self.assets[*number as usize];
            let (findings, score, rating) = asset.severity();
            self.merge.add(findings, score, rating, &asset.cves().to_ranked());
            self.at += 1;
        }
        self.addresses += 1;
        self.shared += u64::from(self.merge.parts() > 1);
        Some(WantedAddress {
            ip,
            facts: self.merge.finish(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::CveId;

    type Part = (u64, Option<Score>, Option<Rating>, Vec<RankedCve>);

    fn cve(number: u32, exploit: bool, score: Option<u8>) -> RankedCve {
        let id = CveId::find_all(&format!("CVE-2024-{number:04}")).next().unwrap();
        let score = score.and_then(Score::from_tenths);
        RankedCve::new(id, false, exploit, score, Some(Rating::High))
    }

    fn part() -> impl Strategy<Value = Part> {
        let cves = prop::collection::btree_map(0_u32..12, (any::<bool>(), prop::option::of(0_u8..100)), 0..9);
        let cves = cves.prop_map(|cves| {
            let cves = cves
                .into_iter()
                .map(|(number, (exploit, score))| cve(number, exploit, score));
            let mut cves: Vec<_> = cves.collect();
            cves.sort_unstable();
            cves
        });
        (
            1_u64..9,
            prop::option::of(0_u8..=100),
            prop::option::of(1_u8..=4),
            cves,
        )
            .prop_map(|(findings, score, rating, cves)| {
                let score = score.and_then(Score::from_tenths);
                (findings, score, rating.and_then(Rating::from_level), cves)
            })
    }

    fn merged(parts: &[Part]) -> AddressFacts {
        let mut merge = AddressMerge::default();
        for (findings, score, rating, cves) in parts {
            merge.add(*findings, *score, *rating, cves);
        }
        merge.finish()
    }

    fn both(mut one: AddressFacts, other: &AddressFacts) -> AddressFacts {
        merge_into(&mut one, other.findings, other.score, other.rating, &other.cves);
        one
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_commutative(
            (parts, shuffled) in prop::collection::vec(part(), 0..6)
                .prop_flat_map(|parts| (Just(parts.clone()), Just(parts).prop_shuffle())),
            cut in any::<prop::sample::Index>(),
        ) {
            let (front, back) = shuffled.split_at(cut.index(shuffled.len() + 1));
            prop_assert_eq!(merged(&parts), both(merged(front), &merged(back)));

            let mut best = BTreeMap::new();
            for cve in parts.iter().flat_map(|(.., cves)| cves) {
                let known = best.entry(cve.id()).or_insert(*cve);
                *known = (*known).max(*cve);
            }
            let mut cves: Vec<_> = best.into_values().collect();
            cves.sort_unstable();
            prop_assert_eq!(merged(&parts).cves, cves);
        }
    }

    #[test]
    fn the_cap_keeps_the_highest_whatever_came_first() {
        // 25,000 CVEs in parts of a hundred; each score comes often, so that the number decides among equals.
        let mut cves: Vec<_> = (0..25_000_u32)
            .map(|number| cve(number, false, Some((number % 90) as u8)))
            .collect();
        let parts = |cves: &[RankedCve]| -> Vec<Part> {
            let sorted = |part: &[RankedCve]| part.iter().copied().collect::<std::collections::BTreeSet<_>>();
            cves.chunks(100)
                .map(|part| (1, None, None, sorted(part).into_iter().collect()))
                .collect()
        };
        let forwards = merged(&parts(&cves));
        cves.reverse();
        assert_eq!(merged(&parts(&cves)), forwards);
        cves.sort_unstable();
        assert_eq!(forwards.cves, cves[cves.len() - MAX_CVES_PER_ADDRESS..]);
        assert_eq!(forwards.findings, 250);
    }
}
