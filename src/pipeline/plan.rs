//! Compares what is wanted with what the ledger knows, pair by pair.

use std::cmp::Ordering;

use super::label_records;
use crate::domain::{Change, LabelRecord, LedgerEntry, WantedAddress};

/// What has to be sent, and what is right already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// One step for each pair that is not right, or not known to be; sorted by pair.
    pub changes: Vec<Change>,
    /// Wanted pairs that need not be sent.
    pub unchanged: u64,
}

/// Compares the wanted addresses of a range of keys with all of the ledger's entries there; both sorted, each key once.
///
/// A pair in doubt is always sent, or removed when nothing wants it. One whose removal is kept back keeps its value.
pub fn compare(wanted: &[WantedAddress], ledger: &[LedgerEntry]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut records = wanted
        .iter()
        .flat_map(|wanted| label_records(wanted.ip, &wanted.facts))
        .peekable();
    let mut entries = ledger.iter().peekable();
    loop {
        let order = match (records.peek(), entries.peek()) {
            (None, None) => return comparison,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(record), Some(entry)) => record.pair.cmp(&entry.pair),
        };
        let record = if order.is_le() { records.next() } else { None };
        let entry = if order.is_ge() { entries.next() } else { None };
        match step(record, entry) {
            Some(change) => comparison.changes.push(change),
            None => comparison.unchanged += u64::from(order.is_le()),
        }
    }
}

/// The step for one pair, if it needs one.
fn step(record: Option<LabelRecord>, entry: Option<&LedgerEntry>) -> Option<Change> {
    // An entry that holds nothing and awaits nothing is as good as none.
    let entry = entry.filter(|entry| entry.in_doubt || entry.acknowledged.is_some());
    match (record, entry) {
        (None, None) => None,
        (Some(record), None) => Some(Change::Add(record)),
        (None, Some(entry)) if entry.held => Some(Change::Hold {
            pair: entry.pair,
            before: entry.acknowledged.clone(),
        }),
        (None, Some(entry)) => Some(Change::Remove {
            pair: entry.pair,
            before: entry.acknowledged.clone(),
        }),
        (Some(record), Some(entry)) => {
            // One that is kept back is written again though its value may be right: Fusion's answer takes the mark away.
            let is_right =
                !entry.in_doubt && !entry.held && entry.acknowledged.as_ref() == Some(&record.labels);
            let before = entry.acknowledged.clone();
            (!is_right).then_some(Change::Change { record, before })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Address, AddressFacts, Context, Labels, Pair, Score};

    fn pair(ip: &str) -> Pair {
        Pair {
            ip: Address::read(ip).unwrap(),
            context: Context::VulnCount,
        }
    }

    fn wanted(ip: &str, findings: u64) -> WantedAddress {
        WantedAddress {
            ip: pair(ip).ip,
            facts: AddressFacts {
                findings,
                ..AddressFacts::default()
            },
        }
    }

    fn entry(ip: &str, acknowledged: Option<&str>, in_doubt: bool) -> LedgerEntry {
        let acknowledged = acknowledged.map(|text| Labels::from_lines(text).unwrap());
        LedgerEntry {
            pair: pair(ip),
            acknowledged,
            in_doubt,
            held: false,
        }
    }

    fn steps(comparison: &Comparison) -> Vec<String> {
        let text = |change: &Change| match change {
            Change::Add(record) => format!("add {} {}", record.pair.ip, record.labels),
            Change::Change { record, before } => {
                format!("change {} {before:?} {}", record.pair.ip, record.labels)
            }
            Change::Remove { pair, before } => format!("remove {} {before:?}", pair.ip),
            Change::Hold { pair, before } => format!("hold {} {before:?}", pair.ip),
        };
        comparison.changes.iter().map(text).collect()
    }

    #[test]
    fn each_pair_becomes_what_is_wanted() {
        let wanted = [
            wanted("10.0.0.1", 1),
            wanted("10.0.0.2", 2),
            wanted("10.0.0.3", 3),
            wanted("10.0.0.4", 4),
        ];
        let ledger = [
            entry("10.0.0.2", Some("2"), false),
            entry("10.0.0.3", Some("9"), false),
            entry("10.0.0.4", None, false),
            entry("10.0.0.5", Some("5"), false),
            entry("10.0.0.6", None, false),
        ];
        let comparison = compare(&wanted, &ledger);
        let expected = [
            "add 10.0.0.1 1",
            r#"change 10.0.0.3 Some(["9"]) 3"#,
            "add 10.0.0.4 4",
            r#"remove 10.0.0.5 Some(["5"])"#,
        ];
        assert_eq!(steps(&comparison), expected);
        assert_eq!(comparison.unchanged, 1);
    }

    #[test]
    fn a_pair_in_doubt_is_always_sent_or_removed() {
        let wanted = [wanted("10.0.0.1", 1), wanted("10.0.0.2", 2)];
        let ledger = [
            entry("10.0.0.1", Some("1"), true),
            entry("10.0.0.2", None, true),
            entry("10.0.0.3", None, true),
            entry("10.0.0.4", Some("4"), true),
        ];
        let expected = [
            r#"change 10.0.0.1 Some(["1"]) 1"#,
            "change 10.0.0.2 None 2",
            "remove 10.0.0.3 None",
            r#"remove 10.0.0.4 Some(["4"])"#,
        ];
        assert_eq!(steps(&compare(&wanted, &ledger)), expected);
    }

    #[test]
    fn a_pair_that_is_kept_back_keeps_its_value_unless_it_is_wanted_again() {
        let mut ledger = [
            entry("10.0.0.1", Some("1"), false),
            entry("10.0.0.2", Some("2"), true),
            entry("10.0.0.3", Some("3"), false),
        ];
        for entry in &mut ledger {
            entry.held = true;
        }
        let comparison = compare(&[wanted("10.0.0.3", 3)], &ledger);
        let expected = [
            r#"hold 10.0.0.1 Some(["1"])"#,
            r#"hold 10.0.0.2 Some(["2"])"#,
            r#"change 10.0.0.3 Some(["3"]) 3"#,
        ];
        assert_eq!(steps(&comparison), expected);
    }

    /// Some addresses, by their last byte, with findings and a score.
    fn some_wanted() -> impl Strategy<Value = Vec<WantedAddress>> {
        let facts = (1_u64..3, prop::option::of(0_u8..3));
        prop::collection::btree_map(1_u8..8, facts, 0..6).prop_map(|addresses| {
            let one = |(last, (findings, score)): (u8, (u64, Option<u8>))| {
                let mut one = wanted(&format!("10.0.0.{last}"), findings);
                one.facts.score = score.and_then(Score::from_tenths);
                one
            };
            addresses.into_iter().map(one).collect()
        })
    }

    /// What the ledger knows once all changes are acknowledged.
    fn settled(held: &BTreeMap<Pair, Labels>) -> Vec<LedgerEntry> {
        let entry = |(pair, labels): (&Pair, &Labels)| LedgerEntry {
            pair: *pair,
            acknowledged: Some(labels.clone()),
            in_doubt: false,
            held: false,
        };
        held.iter().map(entry).collect()
    }

    fn apply(comparison: Comparison, held: &mut BTreeMap<Pair, Labels>) {
        for change in comparison.changes {
            match change {
                Change::Add(record) | Change::Change { record, .. } => {
                    _ = held.insert(record.pair, record.labels);
                }
                Change::Remove { pair, .. } => _ = held.remove(&pair),
                Change::Hold { .. } => {}
            }
        }
    }

    proptest! {
        #[test]
        fn a_plan_applied_gives_what_is_wanted_and_a_second_is_empty(
            before in some_wanted(),
            after in some_wanted(),
            doubts in prop::collection::vec(prop::sample::select(vec!["none", "kept", "gone", "other"]), 16),
        ) {
            let mut held = BTreeMap::new();
            apply(compare(&before, &[]), &mut held);
            let mut ledger = settled(&held);
            for (entry, doubt) in ledger.iter_mut().zip(doubts) {
                entry.in_doubt = doubt != "none";
                match doubt {
                    "gone" => _ = held.remove(&entry.pair),
                    "other" => _ = held.insert(entry.pair, Labels::from_lines("other").unwrap()),
                    _ => {}
                }
            }
            apply(compare(&after, &ledger), &mut held);
            let records = after.iter().flat_map(|wanted| label_records(wanted.ip, &wanted.facts));
            prop_assert_eq!(&held, &records.map(|record| (record.pair, record.labels)).collect());

            let second = compare(&after, &settled(&held));
            prop_assert_eq!(second.changes, vec![]);
            prop_assert_eq!(second.unchanged, held.len() as u64);
        }
    }
}
