//! Folds findings into facts per asset. Memory grows with assets and their CVEs, and no row costs an allocation once
//! its asset is known.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

use super::asset::{Asset, KeyRef};
use super::cell::{Problems, read_addresses};
use super::finding::Row;
use super::header::Column;
use crate::domain::{Address, Policy, Rating, Skipped};

/// The key under which rows are counted whose finding is neither open nor in progress.
const SKIPPED_STATUS: &str = "status";
/// The key under which unreadable score cells are counted.
const SKIPPED_SCORE: &str = "score";
/// The key under which assets are counted that no address is known of.
const SKIPPED_ASSET: &str = "asset_without_address";

/// Takes rows and keeps what they say of each asset.
pub(super) struct Collector<'a> {
    policy: &'a Policy,
    assets: Vec<Asset>,
    /// The numbers of the assets by their keys.
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    findings: u64,
    skipped_status: u64,
    skipped_scores: u64,
    problems: Problems,
    /// The addresses of the present row, where they had to be read.
    addresses: Vec<Address>,
}

/// What a report came to.
pub(super) struct Collected {
    pub(super) findings: u64,
    pub(super) skipped: Skipped,
    /// Sorted by key, in the order of the keys' stored forms.
    pub(super) assets: Vec<Asset>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            assets: Vec::new(),
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            findings: 0,
            skipped_status: 0,
            skipped_scores: 0,
            problems: Problems::default(),
            addresses: Vec::new(),
        }
    }

    /// Takes one row.
    pub(super) fn add(&mut self, row: &Row<'_>) {
        if !row.counts() {
            self.skipped_status += 1;
            return;
        }
        let severity = row.severity();
        self.findings += 1;
        self.skipped_scores += severity.unreadable;

        let number = self.asset_of(row);
        let asset = &mut self.assets[number];
        asset.add_finding(&row.text(Column::AssetName), severity.score, severity.rating);
        if severity.rating.is_some_and(Rating::is_high_or_critical) {
            row.for_each_cve(severity, |cve| asset.cves.keep(cve));
        }
    }

    /// The number of the asset that the row belongs to; its addresses are taken on the way.
    fn asset_of(&mut self, row: &Row<'_>) -> usize {
        let cell = row.raw(Column::IpAddresses);
        let (id, provider_id) = (row.text(Column::AssetId), row.text(Column::ProviderUniqueId));
        let key = match (&*id, &*provider_id) {
            ("", "") => None,
            ("", id) => Some(KeyRef::ProviderUniqueId(id)),
            (id, _) => Some(KeyRef::AssetId(id)),
        };
        let known = key.map(|key| self.number(key));
        if let Some(number) = known
            && let Some(problems) = self.assets[number].problems_of_last(cell)
        {
            self.problems.add(&problems);
            return number;
        }
        let problems = read_addresses(&row.text(Column::IpAddresses), self.policy, &mut self.addresses);
        self.problems.add(&problems);
        let addresses = std::mem::take(&mut self.addresses);
        let number = known.unwrap_or_else(|| self.number(KeyRef::Addresses(&addresses)));
        self.assets[number].add_addresses(&addresses, cell, &problems);
        self.addresses = addresses;
        number
    }

    /// The number of the asset with that key; a new one if there is none.
    fn number(&mut self, key: KeyRef<'_>) -> usize {
        let Self {
            assets,
            numbers,
            hasher,
            ..
        } = self;
        let hash = |number: &u32| hasher.hash_one(assets[*number as usize].key());
        let is_it = |number: &u32| assets[*number as usize].key() == key;
        let entry = numbers.entry(hasher.hash_one(key), is_it, hash);
        let number =
            u32::try_from(assets.len()).expect("four thousand million assets do not fit into memory");
        let number = *entry.or_insert(number).get() as usize;
        if number == assets.len() {
            assets.push(Asset::new(key));
        }
        number
    }

    /// What all rows came to.
    pub(super) fn finish(self) -> Collected {
        let Self {
            mut assets, findings, ..
        } = self;
        let homeless = assets.iter().filter(|asset| asset.addresses().is_empty()).count() as u64;
        let counts = [
            (SKIPPED_STATUS, self.skipped_status),
            (SKIPPED_SCORE, self.skipped_scores),
            (SKIPPED_ASSET, homeless),
        ];
        let skipped = counts.into_iter().filter(|(_, count)| *count > 0);
        let skipped = skipped
            .chain(self.problems.reasons())
            .map(|(reason, count)| (reason.to_owned(), count));
        assets.sort_unstable_by(|one, other| one.key().cmp(&other.key()));
        Collected {
            findings,
            skipped: skipped.collect(),
            assets,
        }
    }
}
