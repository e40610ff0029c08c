//! An asset while its report is read: in as little memory as it takes, and close together, since nearly each row visits
//! another one.

use super::best::BestCves;
use super::cell::Problems;
use crate::domain::{Address, AssetFacts, AssetKey, Rating, Score};

/// The longest cell of addresses that is remembered: longer ones are rare, and are read again each time.
const MAX_REMEMBERED_CELL_BYTES: usize = 4 << 10;

/// What makes an asset the same asset in other rows, borrowed from one of them: the kind, then the text or the stored
/// forms of the addresses. Orders like [`AssetKey::to_stored`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeyRef<'a> {
    kind: KeyKind,
    bytes: &'a [u8],
}

impl<'a> KeyRef<'a> {
    pub(super) const fn new(kind: KeyKind, bytes: &'a [u8]) -> Self {
        Self { kind, bytes }
    }
}

/// What an asset is known by. In the order of the stored forms of [`AssetKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum KeyKind {
    AssetId,
    Addresses,
    ProviderUniqueId,
}

/// The folded findings of an asset.
#[derive(Clone, Debug)]
pub(super) struct Asset {
    /// The key, the name, and the last cell of addresses as it stood there: mostly all rows of an asset agree in all of
    /// them, so they are compared together.
    bytes: Vec<u8>,
    key_length: u32,
    name_length: u32,
    kind: KeyKind,
    rating: Option<Rating>,
    score: Option<Score>,
    findings: u64,
    addresses: Vec<Address>,
    cves: BestCves,
    /// What was skipped in the last cell of addresses.
    last_problems: Option<Box<Problems>>,
}

impl Asset {
    /// An asset without findings.
    pub(super) fn new(key: KeyRef<'_>) -> Self {
        Self {
            bytes: key.bytes.to_vec(),
            key_length: length(key.bytes),
            name_length: 0,
            kind: key.kind,
            rating: None,
            score: None,
            findings: 0,
            addresses: Vec::new(),
            cves: BestCves::new(),
            last_problems: None,
        }
    }

    /// What makes it the same asset in other rows.
    pub(super) fn key(&self) -> KeyRef<'_> {
        KeyRef::new(self.kind, &self.bytes[..self.key_length as usize])
    }

    /// Its name, UTF-8; empty when there is none.
    pub(super) fn name(&self) -> &[u8] {
        &self.bytes[self.key_length as usize..self.cell_start()]
    }

    /// The addresses of all its rows, sorted, each once.
    pub(super) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The CVEs of its findings.
    pub(super) const fn cves(&self) -> &BestCves {
        &self.cves
    }

    /// Likewise, to keep one more.
    pub(super) const fn cves_mut(&mut self) -> &mut BestCves {
        &mut self.cves
    }

    /// How many findings there are, the highest score and the highest rating.
    pub(super) const fn severity(&self) -> (u64, Option<Score>, Option<Rating>) {
        (self.findings, self.score, self.rating)
    }

    /// Takes one more finding.
    pub(super) fn add_finding(&mut self, score: Option<Score>, rating: Option<Rating>) {
        self.findings += 1;
        self.score = self.score.max(score);
        self.rating = self.rating.max(rating);
    }

    /// Takes a name; of several the least stays.
    pub(super) fn add_name(&mut self, name: &str) {
        let name = name.as_bytes();
        if !name.is_empty() && (self.name_length == 0 || name < self.name()) {
            self.bytes
                .splice(self.key_length as usize..self.cell_start(), name.iter().copied());
            self.name_length = length(name);
        }
    }

    /// What is skipped in a cell of addresses, if it is the last one again: then its addresses are known already.
    pub(super) fn problems_of_last(&self, cell: &[u8]) -> Option<Problems> {
        let is_last = !cell.is_empty() && self.bytes[self.cell_start()..] == *cell;
        is_last.then(|| self.last_problems.as_deref().copied().unwrap_or_default())
    }

    /// Takes the addresses of a cell, and remembers the cell.
    pub(super) fn add_addresses(&mut self, addresses: &[Address], cell: &[u8], problems: &Problems) {
        for address in addresses {
            if let Err(at) = self.addresses.binary_search(address) {
                self.addresses.reserve_exact(1);
                self.addresses.insert(at, *address);
            }
        }
        if cell.len() <= MAX_REMEMBERED_CELL_BYTES {
            self.bytes.truncate(self.cell_start());
            self.bytes.reserve_exact(cell.len());
            self.bytes.extend_from_slice(cell);
            self.last_problems = (!problems.is_none()).then(|| Box::new(*problems));
        }
    }

    /// The facts in their full form.
    pub(super) fn into_facts(self) -> AssetFacts {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned().into_boxed_str();
        let key = match self.kind {
            KeyKind::AssetId => AssetKey::AssetId(text(self.key().bytes)),
            KeyKind::ProviderUniqueId => AssetKey::ProviderUniqueId(text(self.key().bytes)),
            // Each row of such an asset has these addresses, and no others.
            KeyKind::Addresses => AssetKey::Addresses(self.addresses.clone().into()),
        };
        AssetFacts {
            key,
            name: text(self.name()),
            findings: self.findings,
            score: self.score,
            rating: self.rating,
            addresses: self.addresses,
            cves: self.cves.to_ranked(),
        }
    }

    const fn cell_start(&self) -> usize {
        self.key_length as usize + self.name_length as usize
    }
}

fn length(cell: &[u8]) -> u32 {
    u32::try_from(cell.len()).expect("the size of read cells is bounded")
}
