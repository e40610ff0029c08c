//! The plan: what has to change so that Fusion holds what is wanted.

use std::cmp::Ordering;

use super::label_records;
use crate::domain::{Change, LedgerEntry, WantedAddress};

/// What comparing came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What has to be sent, by pair.
    pub changes: Vec<Change>,
    /// Pairs that hold what is wanted by the ledger.
    pub unchanged: u64,
}

/// Compares what is wanted with what the ledger knows, both sorted and of the same range of addresses.
///
/// A pair in doubt is unknown: it is sent again when it is wanted, and deleted when it is not. A pair that the ledger does
/// not name is never deleted.
pub fn compare(wanted: &[WantedAddress], ledger: &[LedgerEntry]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut entries = ledger.iter().peekable();
    for record in wanted
        .iter()
        .flat_map(|address| label_records(address.ip, &address.facts))
    {
        let known = loop {
            match entries.peek().map(|entry| entry.pair.cmp(&record.pair)) {
                Some(Ordering::Less) => comparison.changes.extend(entries.next().map(remove)),
                Some(Ordering::Equal) => break entries.next(),
                Some(Ordering::Greater) | None => break None,
            }
        };
        match known {
            None => comparison.changes.push(Change::Add(record)),
            Some(entry) if !entry.in_doubt && entry.acknowledged.as_ref() == Some(&record.labels) => {
                comparison.unchanged += 1;
            }
            Some(entry) => comparison.changes.push(Change::Change {
                record,
                before: entry.acknowledged.clone(),
            }),
        }
    }
    comparison.changes.extend(entries.map(remove));
    comparison
}

fn remove(entry: &LedgerEntry) -> Change {
    Change::Remove {
        pair: entry.pair,
        before: entry.acknowledged.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Address, AddressFacts, Labels, Pair, Score};

    fn wanted() -> impl Strategy<Value = Vec<WantedAddress>> {
        prop::collection::btree_map(1_u8..8, (1_u64..3, prop::option::of(0_u8..3)), 0..6).prop_map(
            |addresses| {
                let wanted = |(ip, (findings, score)): (u8, (u64, Option<u8>))| WantedAddress {
                    ip: Address::read(&format!("10.0.0.{ip}")).unwrap(),
                    facts: AddressFacts {
                        findings,
                        score: score.and_then(Score::from_tenths),
                        ..AddressFacts::default()
                    },
                };
                addresses.into_iter().map(wanted).collect()
            },
        )
    }

    /// What Fusion holds after the changes, and the ledger that knows it.
    fn apply(changes: &[Change], held: &mut BTreeMap<Pair, Labels>) -> Vec<LedgerEntry> {
        for change in changes {
            match change {
                Change::Add(record) | Change::Change { record, .. } => {
                    held.insert(record.pair, record.labels.clone());
                }
                Change::Remove { pair, .. } => {
                    held.remove(pair);
                }
            }
        }
        let entry = |(pair, labels): (&Pair, &Labels)| LedgerEntry {
            pair: *pair,
            acknowledged: Some(labels.clone()),
            in_doubt: false,
        };
        held.iter().map(entry).collect()
    }

    fn state(wanted: &[WantedAddress]) -> BTreeMap<Pair, Labels> {
        let records = wanted
            .iter()
            .flat_map(|address| label_records(address.ip, &address.facts));
        records.map(|record| (record.pair, record.labels)).collect()
    }

    proptest! {
        #[test]
        fn a_plan_applied_gives_what_is_wanted_and_a_second_is_empty(
            before in wanted(),
            after in wanted(),
            doubtful in prop::collection::vec(any::<bool>(), 16),
        ) {
            let mut held = BTreeMap::new();
            let mut ledger = apply(&compare(&before, &[]).changes, &mut held);
            // A pair in doubt may hold what was acknowledged, or not be there at all.
            for (entry, doubt) in ledger.iter_mut().zip(doubtful) {
                entry.in_doubt = doubt;
                if doubt {
                    held.remove(&entry.pair);
                }
            }
            let ledger = apply(&compare(&after, &ledger).changes, &mut held);
            prop_assert_eq!(&held, &state(&after));
            let second = compare(&after, &ledger);
            prop_assert_eq!(second.changes, vec![]);
            prop_assert_eq!(second.unchanged, u64::try_from(held.len()).unwrap());
        }
    }

    #[test]
    fn a_pair_in_doubt_is_sent_again_or_deleted_even_where_nothing_was_acknowledged() {
        let pair = Pair {
            ip: Address::read("10.0.0.1").unwrap(),
            context: crate::domain::Context::VulnCount,
        };
        let doubt = LedgerEntry {
            pair,
            acknowledged: None,
            in_doubt: true,
        };
        let facts = AddressFacts {
            findings: 1,
            ..AddressFacts::default()
        };
        let sent = compare(
            &[WantedAddress { ip: pair.ip, facts }],
            std::slice::from_ref(&doubt),
        );
        assert!(matches!(sent.changes[..], [Change::Change { before: None, .. }]));
        let gone = compare(&[], &[doubt]);
        assert_eq!(gone.changes, [Change::Remove { pair, before: None }]);
    }
}
