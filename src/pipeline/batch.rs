//! Packs the steps of a plan into requests that Fusion takes.

use crate::domain::{Change, LabelRecord, Labels, Pair};

/// The most records, or pairs, of one request.
pub const MAX_BATCH_ITEMS: usize = 10_000;

/// The most labels of one request: Fusion's limit can be read as one of items or of labels, so both are kept.
pub const MAX_BATCH_LABELS: usize = Labels::MAX_LABELS;

/// The content of one request; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Records to write.
    Put(Vec<LabelRecord>),
    /// Pairs to delete.
    Delete(Vec<Pair>),
}

/// Packs steps into batches, in their order, each pair once as it came.
#[derive(Debug, Default)]
pub struct Batcher {
    puts: Vec<LabelRecord>,
    labels: usize,
    deletes: Vec<Pair>,
}

impl Batcher {
    /// A batcher without steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a step; returns the batch that it no longer fits into, if any.
    pub fn push(&mut self, change: Change) -> Option<Batch> {
        match change {
            Change::Add(record) | Change::Change { record, .. } => {
                let labels = record.labels.len();
                let fits = self.puts.len() < MAX_BATCH_ITEMS && self.labels + labels <= MAX_BATCH_LABELS;
                let full = if fits {
                    Vec::new()
                } else {
                    std::mem::take(&mut self.puts)
                };
                self.labels = labels + if fits { self.labels } else { 0 };
                self.puts.push(record);
                (!full.is_empty()).then_some(Batch::Put(full))
            }
            Change::Remove { pair, .. } => {
                let fits = self.deletes.len() < MAX_BATCH_ITEMS;
                let full = if fits {
                    Vec::new()
                } else {
                    std::mem::take(&mut self.deletes)
                };
                self.deletes.push(pair);
                (!full.is_empty()).then_some(Batch::Delete(full))
            }
            Change::Hold { .. } => None,
        }
    }

    /// The batches that are left.
    pub fn finish(self) -> impl Iterator<Item = Batch> {
        let puts = (!self.puts.is_empty()).then_some(Batch::Put(self.puts));
        let deletes = (!self.deletes.is_empty()).then_some(Batch::Delete(self.deletes));
        puts.into_iter().chain(deletes)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::domain::{Address, Context};

    fn pair(number: u32) -> Pair {
        let ip = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number));
        Pair {
            ip: Address::try_from(ip).unwrap(),
            context: Context::Cve,
        }
    }

    fn add(number: u32, labels: usize) -> Change {
        let labels = Labels::from_lines(vec!["a"; labels].join("\n")).unwrap();
        Change::Add(LabelRecord {
            pair: pair(number),
            labels,
        })
    }

    fn sizes(changes: impl Iterator<Item = Change>) -> Vec<(usize, usize)> {
        let mut batcher = Batcher::new();
        let mut packed: Vec<_> = changes.filter_map(|change| batcher.push(change)).collect();
        packed.extend(batcher.finish());
        let size = |batch: &Batch| match batch {
            Batch::Put(records) => (
                records.len(),
                records.iter().map(|record| record.labels.len()).sum(),
            ),
            Batch::Delete(pairs) => (pairs.len(), 0),
        };
        packed.iter().map(size).collect()
    }

    #[test]
    fn batches_keep_the_limit_of_items() {
        assert_eq!(
            sizes((0..20_001).map(|number| add(number, 1))),
            [(10_000, 10_000), (10_000, 10_000), (1, 1)]
        );
        let removals = (0..10_001).map(|number| Change::Remove {
            pair: pair(number),
            before: None,
        });
        assert_eq!(sizes(removals), [(10_000, 0), (1, 0)]);
        assert_eq!(sizes(std::iter::empty()), []);
    }

    #[test]
    fn batches_keep_the_limit_of_labels() {
        let changes = [
            add(1, 4_000),
            add(2, 6_000),
            add(3, 1),
            add(4, 10_000),
            add(5, 10_000),
        ];
        assert_eq!(
            sizes(changes.into_iter()),
            [(2, 10_000), (1, 1), (1, 10_000), (1, 10_000)]
        );
    }

    #[test]
    fn writing_and_deleting_are_packed_apart() {
        let remove = Change::Remove {
            pair: pair(2),
            before: None,
        };
        assert_eq!(
            sizes([add(1, 3), remove, add(3, 4)].into_iter()),
            [(2, 7), (1, 0)]
        );
    }
}
