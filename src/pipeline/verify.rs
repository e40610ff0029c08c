//! Compares what Fusion was seen to hold with what the ledger says that it holds.

use std::collections::{BTreeMap, BTreeSet};

use super::label_records;
use crate::domain::{Change, LabelRecord, Labels, LedgerEntry, Pair, WantedAddress};

/// What Fusion was seen to hold, whoever wrote it: a pair's labels in any order.
pub type Seen = BTreeMap<Pair, Vec<String>>;

/// How Fusion and the ledger differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// For each pair of the ledger that Fusion does not hold as it should: what makes it right. `before` is what was seen.
    /// Sorted by pair.
    pub differences: Vec<Change>,
    /// Pairs of the ledger that are as they should be.
    pub agreeing: u64,
    /// Pairs that were seen, though the ledger does not know them and nothing wants them.
    pub unknown: Vec<Pair>,
}

/// Compares the ledger's entries of some addresses with what Fusion was seen to hold there; `wanted` are the wanted ones
/// among these addresses.
///
/// A pair is as it should be when Fusion holds what it acknowledged last. One in doubt is, when Fusion holds what is
/// wanted.
pub fn verify(wanted: &[WantedAddress], ledger: &[LedgerEntry], seen: &Seen) -> Verification {
    let records = wanted
        .iter()
        .flat_map(|wanted| label_records(wanted.ip, &wanted.facts));
    let wanted: BTreeMap<Pair, LabelRecord> = records.map(|record| (record.pair, record)).collect();
    let mut verification = Verification::default();
    for entry in ledger {
        let (wanted, seen) = (wanted.get(&entry.pair), seen.get(&entry.pair));
        if is_right(entry, wanted, seen) {
            verification.agreeing += 1;
        } else {
            verification.differences.push(difference(entry, wanted, seen));
        }
    }
    let known: BTreeSet<Pair> = ledger.iter().map(|entry| entry.pair).collect();
    let unknown = seen
        .keys()
        .filter(|pair| !known.contains(pair) && !wanted.contains_key(pair));
    verification.unknown = unknown.copied().collect();
    verification
}

fn is_right(entry: &LedgerEntry, wanted: Option<&LabelRecord>, seen: Option<&Vec<String>>) -> bool {
    let acknowledged = entry.acknowledged.as_ref();
    match wanted {
        _ if !entry.in_doubt => same(seen, acknowledged),
        Some(record) => same(seen, Some(&record.labels)),
        None => seen.is_none() || (entry.held && same(seen, acknowledged)),
    }
}

/// Whether Fusion holds these labels. Their order says nothing.
fn same(seen: Option<&Vec<String>>, labels: Option<&Labels>) -> bool {
    match (seen, labels) {
        (None, None) => true,
        (Some(seen), Some(labels)) => {
            let seen: BTreeSet<&str> = seen.iter().map(String::as_str).collect();
            seen == labels.iter().collect()
        }
        _ => false,
    }
}

fn difference(entry: &LedgerEntry, wanted: Option<&LabelRecord>, seen: Option<&Vec<String>>) -> Change {
    // What another product wrote need not be what this service may write: then it is not known.
    let before = seen.and_then(|labels| Labels::from_lines(labels.join("\n")).ok());
    let pair = entry.pair;
    match wanted.cloned() {
        Some(record) if seen.is_none() => Change::Add(record),
        Some(record) => Change::Change { record, before },
        None if entry.held => Change::Hold { pair, before },
        None => Change::Remove { pair, before },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Address, AddressFacts, Context};

    fn pair(last: u8) -> Pair {
        Pair {
            ip: Address::read(&format!("10.0.0.{last}")).unwrap(),
            context: Context::VulnCount,
        }
    }

    fn entry(last: u8, acknowledged: Option<&str>) -> LedgerEntry {
        LedgerEntry {
            pair: pair(last),
            acknowledged: acknowledged.map(|text| Labels::from_lines(text).unwrap()),
            in_doubt: acknowledged.is_none(),
            held: false,
        }
    }

    fn wanted(last: u8, findings: u64) -> WantedAddress {
        let facts = AddressFacts {
            findings,
            ..AddressFacts::default()
        };
        WantedAddress {
            ip: pair(last).ip,
            facts,
        }
    }

    fn labels(text: &str) -> Labels {
        Labels::from_lines(text).unwrap()
    }

    #[test]
    fn what_fusion_lacks_or_holds_otherwise_differs() {
        let wanted: Vec<_> = (1..=5).map(|last| wanted(last, u64::from(last))).collect();
        let held = LedgerEntry {
            held: true,
            ..entry(8, Some("8"))
        };
        let ledger = [
            entry(1, Some("1")),
            entry(2, Some("2")),
            entry(3, Some("3")),
            entry(4, None),
            entry(5, None),
            entry(6, None),
            entry(7, None),
            held,
        ];
        let seen: Seen = [
            (1, vec!["1"]),
            (3, vec!["9"]),
            (4, vec!["4"]),
            (6, vec!["alice, bob"]),
            (9, vec!["x"]),
        ]
        .into_iter()
        .map(|(last, labels)| (pair(last), labels.into_iter().map(str::to_owned).collect()))
        .collect();
        let record = |last: u8| LabelRecord {
            pair: pair(last),
            labels: labels(&last.to_string()),
        };
        let verification = verify(&wanted, &ledger, &seen);
        assert_eq!(
            verification.differences,
            [
                Change::Add(record(2)),
                Change::Change {
                    record: record(3),
                    before: Some(labels("9"))
                },
                Change::Add(record(5)),
                Change::Remove {
                    pair: pair(6),
                    before: None
                },
                Change::Hold {
                    pair: pair(8),
                    before: None
                },
            ]
        );
        assert_eq!((verification.agreeing, verification.unknown), (3, vec![pair(9)]));
    }

    #[test]
    fn the_order_of_labels_says_nothing() {
        let ledger = [entry(1, Some("CVE-2023-9999\nCVE-2023-10000"))];
        let seen = Seen::from([(
            pair(1),
            ["CVE-2023-10000", "CVE-2023-9999"].map(str::to_owned).into(),
        )]);
        assert_eq!(verify(&[], &ledger, &seen).agreeing, 1);
    }
}
