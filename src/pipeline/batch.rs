//! Batches within Fusion's limits.

use crate::domain::{Change, LabelRecord, Pair};

/// What one request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Records to write.
    Put(Vec<LabelRecord>),
    /// Pairs to delete.
    Delete(Vec<Pair>),
}

/// Gathers changes into batches of at most 10,000 items and at most 10,000 labels: Fusion's limit is written as either, so
/// both are kept.
#[derive(Debug, Default)]
pub struct Batcher {
    puts: Vec<LabelRecord>,
    put_labels: usize,
    deletes: Vec<Pair>,
}

impl Batcher {
    /// The most items of a request, and the most labels.
    pub const MAX_ITEMS: usize = 10_000;

    /// Takes a change; gives the batch that it fills or no longer fits into.
    pub fn push(&mut self, change: Change) -> Option<Batch> {
        match change {
            Change::Add(record) | Change::Change { record, .. } => {
                let labels = record.labels.len();
                let fits = self.puts.len() < Self::MAX_ITEMS && self.put_labels + labels <= Self::MAX_ITEMS;
                let full = (!fits).then(|| self.take_puts());
                self.put_labels += labels;
                self.puts.push(record);
                full
            }
            Change::Remove { pair, .. } => {
                let full = (self.deletes.len() == Self::MAX_ITEMS)
                    .then(|| Batch::Delete(std::mem::take(&mut self.deletes)));
                self.deletes.push(pair);
                full
            }
        }
    }

    /// The batches that are left.
    pub fn finish(mut self) -> Vec<Batch> {
        let mut left = Vec::new();
        if !self.puts.is_empty() {
            left.push(self.take_puts());
        }
        if !self.deletes.is_empty() {
            left.push(Batch::Delete(self.deletes));
        }
        left
    }

    fn take_puts(&mut self) -> Batch {
        self.put_labels = 0;
        Batch::Put(std::mem::take(&mut self.puts))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::domain::{Address, Context, Labels};

    fn record(number: u32, labels: usize) -> LabelRecord {
        let ip = Address::try_from(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))).unwrap();
        let lines = vec!["x"; labels].join("\n");
        LabelRecord {
            pair: Pair {
                ip,
                context: Context::Cve,
            },
            labels: Labels::from_lines(lines).unwrap(),
        }
    }

    #[test]
    fn neither_items_nor_labels_pass_the_limit_and_nothing_is_lost() {
        for (labels, number) in [(1, 25_000), (3, 8_000), (100, 250), (10_000, 3)] {
            let mut batcher = Batcher::default();
            let mut filled: Vec<_> = (0..number)
                .filter_map(|at| batcher.push(Change::Add(record(at, labels))))
                .collect();
            filled.extend(batcher.finish());
            let mut records = 0;
            for batch in filled {
                let Batch::Put(batch) = batch else {
                    panic!("nothing was to be deleted")
                };
                assert!(batch.len() <= Batcher::MAX_ITEMS);
                assert!(batch.iter().map(|record| record.labels.len()).sum::<usize>() <= Batcher::MAX_ITEMS);
                records += batch.len();
            }
            assert_eq!(records, usize::try_from(number).unwrap());
        }
    }

    #[test]
    fn deletes_are_batched_by_items() {
        let mut batcher = Batcher::default();
        let remove = |at| Change::Remove {
            pair: record(at, 1).pair,
            before: None,
        };
        let mut sizes: Vec<_> = (0..20_001).filter_map(|at| batcher.push(remove(at))).collect();
        sizes.extend(batcher.finish());
        let sizes: Vec<_> = sizes
            .iter()
            .map(|batch| {
                if let Batch::Delete(pairs) = batch {
                    pairs.len()
                } else {
                    0
                }
            })
            .collect();
        assert_eq!(sizes, [10_000, 10_000, 1]);
    }
}
