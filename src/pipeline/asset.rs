//! An asset while its report is read: as little memory as it takes, since there is one of each.

use super::best::BestCves;
use super::cell::Problems;
use crate::domain::{Address, AssetFacts, AssetKey, Rating, Score};

/// The longest cell of addresses that is remembered: longer ones are rare, and are read again each time.
const MAX_REMEMBERED_CELL_BYTES: usize = 4 << 10;

/// What makes an asset the same asset in other rows, borrowed from one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum KeyRef<'a> {
    // In the order of the keys' stored forms.
    AssetId(&'a str),
    Addresses(&'a [Address]),
    ProviderUniqueId(&'a str),
}

impl KeyRef<'_> {
    pub(super) fn to_key(self) -> AssetKey {
        match self {
            Self::AssetId(id) => AssetKey::AssetId(id.into()),
            Self::ProviderUniqueId(id) => AssetKey::ProviderUniqueId(id.into()),
            Self::Addresses(addresses) => AssetKey::Addresses(addresses.into()),
        }
    }
}

/// The folded findings of an asset.
#[derive(Clone, Debug)]
pub(super) struct Asset {
    key: AssetKey,
    name: Box<str>,
    findings: u64,
    addresses: Vec<Address>,
    pub(super) cves: BestCves,
    /// The last cell of addresses, as it stood there, and what was skipped in it: mostly all rows of an asset agree.
    last_cell: Box<[u8]>,
    last_problems: Option<Box<Problems>>,
    score: Option<Score>,
    rating: Option<Rating>,
}

impl Asset {
    /// An asset without findings.
    pub(super) fn new(key: KeyRef<'_>) -> Self {
        Self {
            key: key.to_key(),
            name: Box::default(),
            findings: 0,
            addresses: Vec::new(),
            cves: BestCves::new(),
            last_cell: Box::default(),
            last_problems: None,
            score: None,
            rating: None,
        }
    }

    /// What makes it the same asset in other rows.
    pub(super) fn key(&self) -> KeyRef<'_> {
        match &self.key {
            AssetKey::AssetId(id) => KeyRef::AssetId(id),
            AssetKey::ProviderUniqueId(id) => KeyRef::ProviderUniqueId(id),
            AssetKey::Addresses(addresses) => KeyRef::Addresses(addresses),
        }
    }

    pub(super) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Takes one more finding.
    pub(super) fn add_finding(&mut self, name: &str, score: Option<Score>, rating: Option<Rating>) {
        self.findings += 1;
        self.score = self.score.max(score);
        self.rating = self.rating.max(rating);
        if !name.is_empty() && (self.name.is_empty() || name < &*self.name) {
            self.name = name.into();
        }
    }

    /// What was skipped in a cell of addresses, if its addresses are known already.
    pub(super) fn problems_of_last(&self, cell: &[u8]) -> Option<Problems> {
        let is_last = *self.last_cell == *cell && !cell.is_empty();
        is_last.then(|| self.last_problems.as_deref().copied().unwrap_or_default())
    }

    /// Takes the addresses of a cell, and remembers the cell.
    pub(super) fn add_addresses(&mut self, addresses: &[Address], cell: &[u8], problems: &Problems) {
        for address in addresses {
            if let Err(at) = self.addresses.binary_search(address) {
                self.addresses.insert(at, *address);
            }
        }
        if cell.len() <= MAX_REMEMBERED_CELL_BYTES {
            self.last_cell = cell.into();
            self.last_problems = (!problems.is_none()).then(|| Box::new(*problems));
        }
    }

    /// The facts in their full form.
    pub(super) fn into_facts(self) -> AssetFacts {
        AssetFacts {
            key: self.key,
            name: self.name,
            findings: self.findings,
            score: self.score,
            rating: self.rating,
            addresses: self.addresses,
            cves: self.cves.to_ranked(),
        }
    }

    /// How many findings there are, the highest score and the highest rating.
    pub(super) const fn severity(&self) -> (u64, Option<Score>, Option<Rating>) {
        (self.findings, self.score, self.rating)
    }
}
