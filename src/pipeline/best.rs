//! The best CVEs of an asset, kept while the rows go by.

use crate::domain::{CompactCve, MAX_CVES_PER_ASSET, RankedCve};

/// At most [`MAX_CVES_PER_ASSET`] CVEs, each once with its best rank: the highest of all that were kept.
///
/// Dropping the lowest at once is exact. What keeps a CVE out are a hundred others with higher values, and values only
/// grow; a dropped CVE that comes back with a higher rank comes back as new.
#[derive(Clone, Debug)]
pub(super) enum BestCves {
    /// Sorted. What nearly every asset has.
    Compact(Vec<CompactCve>),
    /// Sorted. For assets with an id that does not fit into the compact form.
    Ranked(Vec<RankedCve>),
}

impl BestCves {
    pub(super) const fn new() -> Self {
        Self::Compact(Vec::new())
    }

    /// Takes a CVE of one more row.
    pub(super) fn keep(&mut self, cve: RankedCve) {
        let same_id = |one: RankedCve, other: RankedCve| one.id() == other.id();
        match (&mut *self, cve.to_compact()) {
            (Self::Compact(list), Some(cve)) => keep(list, cve, CompactCve::same_id),
            (Self::Compact(list), None) => {
                let mut list = list.iter().map(|cve| cve.ranked()).collect();
                keep(&mut list, cve, same_id);
                *self = Self::Ranked(list);
            }
            (Self::Ranked(list), _) => keep(list, cve, same_id),
        }
    }

    /// Fetches what [`BestCves::keep`] reads first.
    pub(super) fn touch(&self) {
        if let Self::Compact(list) = self {
            std::hint::black_box((list.first().copied(), list.last().copied()));
        }
    }

    /// The CVEs, sorted.
    pub(super) fn to_ranked(&self) -> Vec<RankedCve> {
        match self {
            Self::Compact(list) => list.iter().map(|cve| cve.ranked()).collect(),
            Self::Ranked(list) => list.clone(),
        }
    }
}

fn keep<T: Copy + Ord>(list: &mut Vec<T>, new: T, same_id: impl Fn(T, T) -> bool) {
    let is_full = list.len() == MAX_CVES_PER_ASSET;
    if is_full && list.first().is_some_and(|lowest| new <= *lowest) {
        return;
    }
    // The place that becomes free: that of the same CVE, or else of the lowest.
    let free = match list.iter().position(|old| same_id(*old, new)) {
        Some(at) if list[at] >= new => return,
        Some(at) => at,
        None if is_full => 0,
        None => {
            if list.len() == list.capacity() {
                // By halves and not by doubles, and never beyond what is kept: there are as many lists as assets.
                list.reserve_exact((list.len() / 2 + 4).min(MAX_CVES_PER_ASSET - list.len()));
            }
            let to = list.partition_point(|old| *old < new);
            list.insert(to, new);
            return;
        }
    };
    let to = free + list[free + 1..].partition_point(|old| *old < new);
    list[free..=to].rotate_left(1);
    list[to] = new;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{CveId, Rating, Score};

    fn cve(number: u64, kev: bool, score: u8) -> RankedCve {
        let id = CveId::find_all(&format!("CVE-2024-{number:04}")).next().unwrap();
        RankedCve::new(id, kev, false, Score::from_tenths(score), Some(Rating::High))
    }

    proptest! {
        #[test]
        fn the_highest_hundred_are_kept_whatever_the_order(
            seen in prop::collection::vec((0_u64..160, any::<bool>(), 0_u8..100, 0_u8..40), 0..900)
        ) {
            let mut best = BestCves::new();
            let mut all = BTreeMap::new();
            for (number, kev, score, large) in seen {
                let number = if large == 0 { number + (1 << 40) } else { number };
                let cve = cve(number, kev, score);
                best.keep(cve);
                let known = all.entry(cve.id()).or_insert(cve);
                *known = cve.max(*known);
            }
            let mut highest: Vec<_> = all.into_values().collect();
            highest.sort_unstable();
            highest.drain(..highest.len().saturating_sub(MAX_CVES_PER_ASSET));
            prop_assert_eq!(best.to_ranked(), highest);
        }
    }
}
