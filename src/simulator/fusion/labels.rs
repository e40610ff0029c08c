//! The labels that the account holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What holds one value: an address and a context.
pub(in crate::simulator) type LabelPair = (IpAddr, String);

/// The labels by pair, and who wrote them as far as that matters.
#[derive(Debug, Default)]
pub(in crate::simulator) struct LabelStore {
    labels: BTreeMap<LabelPair, Vec<String>>,
    /// Pairs that another product wrote last.
    foreign: BTreeSet<LabelPair>,
    /// Pairs that bulk calls ever wrote.
    ever_put: BTreeSet<LabelPair>,
    /// Pairs that were to be removed though no bulk call ever wrote them.
    pub(in crate::simulator) never_put: BTreeSet<LabelPair>,
    /// Pairs in bodies that are being worked on, and in how many.
    busy: BTreeMap<LabelPair, u32>,
    /// Records written by bulk calls so far.
    pub(in crate::simulator) put: u64,
    /// Pairs removed by bulk calls so far.
    pub(in crate::simulator) deleted: u64,
}

impl LabelStore {
    /// All labels.
    pub(in crate::simulator) const fn all(&self) -> &BTreeMap<LabelPair, Vec<String>> {
        &self.labels
    }

    /// Writes the value of a pair; whether that changed anything.
    pub(super) fn put(&mut self, pair: LabelPair, labels: Vec<String>) -> bool {
        self.foreign.remove(&pair);
        self.ever_put.insert(pair.clone());
        let changes = self.labels.get(&pair) != Some(&labels);
        self.labels.insert(pair, labels);
        changes
    }

    /// Writes the value of a pair in the name of another product.
    pub(in crate::simulator) fn plant(&mut self, pair: LabelPair, labels: Vec<String>) {
        self.labels.insert(pair.clone(), labels);
        self.foreign.insert(pair);
    }

    /// Writes the value of a pair by hand; whose pair it is stays as it was.
    pub(in crate::simulator) fn change(&mut self, pair: LabelPair, labels: Vec<String>) {
        self.labels.insert(pair, labels);
    }

    /// Removes a pair in the name of another product.
    pub(in crate::simulator) fn take_away(&mut self, pair: &LabelPair) {
        self.remove(pair);
    }

    /// Removes a pair; whether there was one.
    pub(super) fn remove(&mut self, pair: &LabelPair) -> bool {
        self.foreign.remove(pair);
        if !self.ever_put.contains(pair) {
            self.never_put.insert(pair.clone());
        }
        self.labels.remove(pair).is_some()
    }

    /// Whether another product wrote the pair last.
    pub(super) fn is_foreign(&self, pair: &LabelPair) -> bool {
        self.foreign.contains(pair)
    }

    /// Notes that a body with these pairs is being worked on; the pairs that another one holds already.
    pub(super) fn occupy(&mut self, pairs: &[LabelPair]) -> Vec<LabelPair> {
        let mut shared = Vec::new();
        for pair in pairs {
            let bodies = self.busy.entry(pair.clone()).or_default();
            *bodies += 1;
            if *bodies > 1 {
                shared.push(pair.clone());
            }
        }
        shared
    }

    /// The reverse of [`LabelStore::occupy`].
    pub(super) fn release(&mut self, pairs: &[LabelPair]) {
        for pair in pairs {
            if let Some(bodies) = self.busy.get_mut(pair) {
                *bodies -= 1;
                if *bodies == 0 {
                    self.busy.remove(pair);
                }
            }
        }
    }
}
