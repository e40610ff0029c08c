//! Folds findings into facts per asset. Memory grows with assets and their CVEs, and no row costs an allocation once
//! its asset is known.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::asset::{Asset, KeyKind, KeyRef};
use super::cell::{Problems, read_addresses};
use super::finding::Row;
use super::header::{Column, Header};
use super::scan::Records;
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
    /// The numbers of the assets of the present rows, where they were known before.
    known: Vec<Option<usize>>,
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
            known: Vec::new(),
            addresses: Vec::new(),
        }
    }

    /// Takes some rows.
    ///
    /// Nearly each row visits another asset, whose memory is far away. So all are looked up before any is worked on: the
    /// processor then waits for many of them at once, and not for one after the other.
    pub(super) fn add(&mut self, records: Records<'_>, header: &Header) {
        let mut known = std::mem::take(&mut self.known);
        known.clear();
        known.extend(records.iter().map(|record| {
            // Keys are UTF-8 without white space around, so a cell as it stands is taken for no other.
            let id = Row::new(record, header).plain(Column::AssetId)?;
            let number = self.find(KeyRef::new(KeyKind::AssetId, id))?;
            self.assets[number].cves().touch();
            Some(number)
        }));
        for (record, known) in records.iter().zip(&known) {
            self.add_row(&Row::new(record, header), *known);
        }
        self.known = known;
    }

    /// Takes a row, of the asset with that number if it was known before.
    fn add_row(&mut self, row: &Row<'_>, known: Option<usize>) {
        if !row.counts() {
            self.skipped_status += 1;
            return;
        }
        let severity = row.severity();
        self.findings += 1;
        self.skipped_scores += severity.unreadable;

        let number = self.asset_of(row, known);
        let asset = &mut self.assets[number];
        asset.add_finding(severity.score, severity.rating);
        if row.plain(Column::AssetName) != Some(asset.name()) {
            asset.add_name(&row.text(Column::AssetName));
        }
        if severity.rating.is_some_and(Rating::is_high_or_critical) {
            row.for_each_cve(severity, |cve| asset.cves_mut().keep(cve));
        }
    }

    /// The number of the asset that the row belongs to; its addresses are taken on the way.
    fn asset_of(&mut self, row: &Row<'_>, known: Option<usize>) -> usize {
        let cell = row.raw(Column::IpAddresses);
        let known = known.or_else(|| self.asset_by_id(row));
        if let Some(number) = known
            && let Some(problems) = self.assets[number].problems_of_last(cell)
        {
            self.problems.add(&problems);
            return number;
        }
        let problems = read_addresses(&row.text(Column::IpAddresses), self.policy, &mut self.addresses);
        self.problems.add(&problems);
        let number = known.unwrap_or_else(|| {
            let addresses = self.addresses.iter();
            let bytes: Vec<u8> = addresses.flat_map(|address| address.to_stored()).collect();
            self.find_or_add(KeyRef::new(KeyKind::Addresses, &bytes))
        });
        self.assets[number].add_addresses(&self.addresses, cell, &problems);
        number
    }

    /// The number of the asset by the first id that is there.
    fn asset_by_id(&mut self, row: &Row<'_>) -> Option<usize> {
        let ids = [
            (KeyKind::AssetId, Column::AssetId),
            (KeyKind::ProviderUniqueId, Column::ProviderUniqueId),
        ];
        ids.into_iter().find_map(|(kind, column)| {
            let id = row.text(column);
            (!id.is_empty()).then(|| self.find_or_add(KeyRef::new(kind, id.as_bytes())))
        })
    }

    fn find(&self, key: KeyRef<'_>) -> Option<usize> {
        let is_it = |number: &u32| self.assets[*number as usize].key() == key;
        let number = self.numbers.find(self.hasher.hash_one(key), is_it)?;
        Some(*number as usize)
    }

    fn find_or_add(&mut self, key: KeyRef<'_>) -> usize {
        if let Some(number) = self.find(key) {
            return number;
        }
        let Self { assets, hasher, .. } = self;
        let number = assets.len();
        assets.push(Asset::new(key));
        let hash = |number: &u32| hasher.hash_one(assets[*number as usize].key());
        let entry = u32::try_from(number).expect("so many assets do not fit into memory");
        self.numbers.insert_unique(hasher.hash_one(key), entry, hash);
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
