//! The fold: rows into facts per asset, whatever their order.
//!
//! Memory grows with the assets and their distinct CVEs, at most a hundred each, never with the rows.

use std::borrow::Cow;
use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::finding::{Cells, Finding, is_true};
use super::header::Column;
use super::merge::keep_best;
use crate::domain::{
    Address, AssetFacts, AssetKey, CveId, MAX_CVES_PER_ASSET, Policy, RankedCve, Rating, Score, Skipped,
    Warning,
};

/// What a report says, asset by asset.
#[derive(Debug)]
pub struct ReportFacts {
    /// Rows that were read, counting or not.
    pub rows: u64,
    /// Rows that count.
    pub findings: u64,
    /// The report's header.
    pub columns: Vec<String>,
    /// What was skipped: reason → number.
    pub skipped: Skipped,
    /// What a person should know of.
    pub warnings: Vec<Warning>,
    assets: Vec<(AssetKey, Asset)>,
}

impl ReportFacts {
    /// How many assets have a counting finding.
    pub const fn assets(&self) -> usize {
        self.assets.len()
    }

    /// The assets, by the stored form of their keys.
    pub fn into_assets(self) -> impl Iterator<Item = AssetFacts> {
        self.assets.into_iter().map(|(key, asset)| {
            let Asset {
                name,
                findings,
                score,
                rating,
                addresses,
                mut cves,
                last_cell: _,
            } = asset;
            cves.sort_unstable();
            AssetFacts {
                key,
                name,
                findings,
                score,
                rating,
                addresses: addresses.into_iter().collect(),
                cves,
            }
        })
    }
}

#[derive(Debug, Default)]
struct Asset {
    name: Box<str>,
    findings: u64,
    score: Option<Score>,
    rating: Option<Rating>,
    addresses: BTreeSet<Address>,
    /// The best so far, in no order, each id once.
    cves: Vec<RankedCve>,
    /// The address cell that was read last, so that the same text is not read again; only kept when all of it read.
    last_cell: Box<[u8]>,
}

/// Folds rows.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    policy: &'a Policy,
    /// Positions in `assets` by the bytes of the identity cell, by its kind.
    by_asset_id: HashMap<Box<[u8]>, usize>,
    by_provider_id: HashMap<Box<[u8]>, usize>,
    by_addresses: HashMap<Box<[Address]>, usize>,
    assets: Vec<Asset>,
    findings: u64,
    skipped: Skipped,
}

impl<'a> Collector<'a> {
    pub(super) fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            by_asset_id: HashMap::new(),
            by_provider_id: HashMap::new(),
            by_addresses: HashMap::new(),
            assets: Vec::new(),
            findings: 0,
            skipped: Skipped::new(),
        }
    }

    pub(super) fn add(&mut self, row: &impl Cells) {
        let Some(finding) = Finding::read(row) else {
            self.skip("status", 1);
            return;
        };
        self.findings += 1;
        self.skip("score", finding.unreadable_scores);
        let asset_id = row.cell(Column::AssetId).trim_ascii();
        let provider_id = row.cell(Column::ProviderUniqueId).trim_ascii();
        let cell = row.cell(Column::IpAddresses);
        let at = if !asset_id.is_empty() {
            position(&mut self.by_asset_id, &mut self.assets, asset_id)
        } else if !provider_id.is_empty() {
            position(&mut self.by_provider_id, &mut self.assets, provider_id)
        } else {
            let addresses = self.addresses(cell).0;
            let addresses: Box<[Address]> = addresses.into_iter().collect();
            let next = self.assets.len();
            let at = *self.by_addresses.entry(addresses).or_insert(next);
            if at == next {
                self.assets.push(Asset::default());
            }
            // The addresses are the identity: they were read, and their skips counted, just now.
            return self.add_to(at, row, finding, None);
        };
        self.add_to(at, row, finding, Some(cell));
    }

    fn add_to(&mut self, at: usize, row: &impl Cells, finding: Finding, cell: Option<&[u8]>) {
        if let Some(cell) = cell
            && *self.assets[at].last_cell != *cell
        {
            let (addresses, all_read) = self.addresses(cell);
            let asset = &mut self.assets[at];
            asset.addresses.extend(addresses);
            asset.last_cell = if all_read { cell.into() } else { Box::default() };
        }
        let asset = &mut self.assets[at];
        asset.findings += 1;
        asset.score = asset.score.max(finding.score);
        asset.rating = asset.rating.max(finding.rating);
        let name = row.cell(Column::AssetName).trim_ascii();
        if !name.is_empty() && (asset.name.is_empty() || name < asset.name.as_bytes()) {
            asset.name = String::from_utf8_lossy(name).into();
        }
        if finding.rating.is_some_and(Rating::is_high_or_critical) {
            let known = is_true(row.cell(Column::HasCisaKevExploit));
            let exploit = is_true(row.cell(Column::HasExploit));
            for id in CveId::find_all(&text(row.cell(Column::Name))) {
                keep(
                    &mut asset.cves,
                    RankedCve::new(id, known, exploit, finding.score, finding.rating),
                );
            }
        }
    }

    /// The usable addresses of a cell, and whether all of it read; what did not is counted.
    fn addresses(&mut self, cell: &[u8]) -> (BTreeSet<Address>, bool) {
        let cell = text(cell);
        let (mut addresses, mut all_read) = (BTreeSet::new(), true);
        let parts = cell.split(|char: char| matches!(char, ',' | ';' | '|') || char.is_whitespace());
        let parts = parts.map(|part| part.trim_matches(|char| matches!(char, '[' | ']' | '"' | '\'')));
        for part in parts.filter(|part| !part.is_empty()) {
            match self.policy.read_address(part) {
                Ok(address) => {
                    addresses.insert(address);
                }
                Err(problem) => {
                    all_read = false;
                    self.skip(problem.reason(), 1);
                }
            }
        }
        (addresses, all_read)
    }

    fn skip(&mut self, reason: &str, number: u64) {
        if number == 0 {
            return;
        }
        match self.skipped.get_mut(reason) {
            Some(count) => *count += number,
            None => {
                self.skipped.insert(reason.to_owned(), number);
            }
        }
    }

    pub(super) fn finish(mut self, rows: u64, columns: Vec<String>, warnings: Vec<Warning>) -> ReportFacts {
        let mut keys: Vec<Option<AssetKey>> = self.assets.iter().map(|_| None).collect();
        for (id, at) in self.by_asset_id {
            keys[at] = Some(AssetKey::AssetId(text(&id).into()));
        }
        for (id, at) in self.by_provider_id {
            keys[at] = Some(AssetKey::ProviderUniqueId(text(&id).into()));
        }
        for (addresses, at) in self.by_addresses {
            self.assets[at].addresses.extend(addresses.iter().copied());
            keys[at] = Some(AssetKey::Addresses(addresses));
        }
        let keys = keys
            .into_iter()
            .map(|key| key.expect("an asset is made with its key"));
        let mut assets: Vec<_> = keys.zip(self.assets).collect();
        assets.sort_unstable_by(|(one, _), (other, _)| by_stored_form(one, other));
        let homeless = assets
            .iter()
            .filter(|(_, asset)| asset.addresses.is_empty())
            .count();
        if homeless > 0 {
            self.skipped
                .insert("asset_without_address".to_owned(), homeless as u64);
        }
        ReportFacts {
            rows,
            findings: self.findings,
            columns,
            skipped: self.skipped,
            warnings,
            assets,
        }
    }
}

/// Compares keys by their stored forms, which are made only where the kinds differ or are lists.
fn by_stored_form(one: &AssetKey, other: &AssetKey) -> std::cmp::Ordering {
    match (one, other) {
        (AssetKey::AssetId(one), AssetKey::AssetId(other))
        | (AssetKey::ProviderUniqueId(one), AssetKey::ProviderUniqueId(other)) => one.cmp(other),
        _ => one.to_stored().cmp(&other.to_stored()),
    }
}

/// The position of the asset with an identity, made where it is new.
fn position(known: &mut HashMap<Box<[u8]>, usize>, assets: &mut Vec<Asset>, identity: &[u8]) -> usize {
    if let Some(at) = known.get(identity) {
        return *at;
    }
    let at = assets.len();
    known.insert(identity.into(), at);
    assets.push(Asset::default());
    at
}

/// Puts a CVE among the best of an asset, which stay exact: see [`keep_best`].
fn keep(cves: &mut Vec<RankedCve>, cve: RankedCve) {
    if let Some(known) = cves.iter_mut().find(|known| known.id() == cve.id()) {
        *known = cve.max(*known);
        return;
    }
    cves.push(cve);
    if cves.len() > MAX_CVES_PER_ASSET {
        keep_best(cves, MAX_CVES_PER_ASSET);
    }
}

/// A cell as text; what is not UTF-8 becomes the replacement character, and so never part of an id or address.
fn text(cell: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(cell)
}
