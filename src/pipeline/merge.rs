//! From assets to an address: the facts of all that carry it, merged. Associative and commutative.

use crate::domain::{AddressFacts, MAX_CVES_PER_ADDRESS, RankedCve, Rating, Score};

/// Merges an asset's facts, or those of a part of the assets, into those of an address: counts add, score and rating are
/// the highest, CVEs are united with the best rank of each, the highest [`MAX_CVES_PER_ADDRESS`].
pub fn merge_into(
    facts: &mut AddressFacts,
    findings: u64,
    score: Option<Score>,
    rating: Option<Rating>,
    cves: &[RankedCve],
) {
    facts.findings += findings;
    facts.score = facts.score.max(score);
    facts.rating = facts.rating.max(rating);
    facts.cves.extend_from_slice(cves);
    keep_best(&mut facts.cves, MAX_CVES_PER_ADDRESS);
}

/// Keeps each CVE once, with its best rank, and of those the highest `most`, sorted.
///
/// Nothing is lost by doing so in the middle: a CVE that fell out comes back with a better rank if it has one, and those
/// that pushed it out only rise.
pub(super) fn keep_best(cves: &mut Vec<RankedCve>, most: usize) {
    cves.sort_unstable_by_key(|cve| (cve.id(), std::cmp::Reverse(cve.rank())));
    cves.dedup_by_key(|cve| cve.id());
    cves.sort_unstable();
    cves.drain(..cves.len().saturating_sub(most));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::CveId;

    fn cve() -> impl Strategy<Value = RankedCve> {
        (
            2020_u16..2023,
            1000_u32..1006,
            any::<bool>(),
            any::<bool>(),
            prop::option::of(0_u8..=100),
        )
            .prop_map(|(year, number, known, exploit, score)| {
                let id = CveId::find_all(&format!("CVE-{year}-{number}")).next().unwrap();
                RankedCve::new(
                    id,
                    known,
                    exploit,
                    score.and_then(Score::from_tenths),
                    Some(Rating::High),
                )
            })
    }

    fn facts() -> impl Strategy<Value = AddressFacts> {
        (
            1_u64..9,
            prop::option::of(0_u8..=100),
            prop::option::of(1_u8..=4),
            prop::collection::vec(cve(), 0..12),
        )
            .prop_map(|(findings, score, rating, cves)| {
                let mut facts = AddressFacts::default();
                let (score, rating) = (
                    score.and_then(Score::from_tenths),
                    rating.and_then(Rating::from_level),
                );
                merge_into(&mut facts, findings, score, rating, &cves);
                facts
            })
    }

    fn merged(mut one: AddressFacts, other: &AddressFacts) -> AddressFacts {
        merge_into(&mut one, other.findings, other.score, other.rating, &other.cves);
        one
    }

    proptest! {
        #[test]
        fn merging_is_commutative_and_associative(a in facts(), b in facts(), c in facts()) {
            prop_assert_eq!(merged(a.clone(), &b), merged(b.clone(), &a));
            prop_assert_eq!(merged(merged(a.clone(), &b), &c), merged(a, &merged(b, &c)));
        }

        #[test]
        fn the_cap_keeps_the_highest_whatever_came_first(cves in prop::collection::vec(cve(), 0..40), most in 1_usize..8) {
            let mut all = cves.clone();
            keep_best(&mut all, usize::MAX);
            let highest = all.split_off(all.len().saturating_sub(most));
            let mut kept = Vec::new();
            for cve in cves {
                kept.push(cve);
                keep_best(&mut kept, most);
            }
            prop_assert_eq!(kept, highest);
        }
    }
}
