//! The ledger's entries, and the changes that follow from comparing them with what is wanted.

use super::{Address, AddressFacts, LabelRecord, Labels, Pair};

/// What the ledger knows of one pair of a Fusion account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The pair.
    pub pair: Pair,
    /// The value that Fusion last acknowledged; `None` when it never acknowledged one.
    pub acknowledged: Option<Labels>,
    /// Whether something was sent since that Fusion did not answer: what it holds is then unknown.
    pub in_doubt: bool,
    /// Whether its removal is kept back until a person approves it.
    pub held: bool,
}

/// An address that should carry labels, with the facts they follow from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedAddress {
    /// The address.
    pub ip: Address,
    /// Its merged facts, at least one finding.
    pub facts: AddressFacts,
}

/// One step of a plan: what has to be sent for one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The pair is to hold this value; the ledger knows of none.
    Add(LabelRecord),
    /// The pair is to hold this value instead of another, or of one that is unknown.
    Change {
        /// The record to send.
        record: LabelRecord,
        /// What Fusion acknowledged last, if anything.
        before: Option<Labels>,
    },
    /// The pair is to hold nothing.
    Remove {
        /// The pair to delete.
        pair: Pair,
        /// What Fusion acknowledged last, if anything.
        before: Option<Labels>,
    },
    /// The pair is to hold nothing, but its removal is kept back: it keeps its value.
    Hold {
        /// The pair.
        pair: Pair,
        /// What Fusion acknowledged last, if anything.
        before: Option<Labels>,
    },
}

impl Change {
    /// The pair that changes.
    pub const fn pair(&self) -> Pair {
        match self {
            Self::Add(record) | Self::Change { record, .. } => record.pair,
            Self::Remove { pair, .. } | Self::Hold { pair, .. } => *pair,
        }
    }

    /// What Fusion acknowledged last, if anything.
    pub const fn before(&self) -> Option<&Labels> {
        match self {
            Self::Add(_) => None,
            Self::Change { before, .. } | Self::Remove { before, .. } | Self::Hold { before, .. } => {
                before.as_ref()
            }
        }
    }

    /// What the pair is to hold, if anything.
    pub const fn after(&self) -> Option<&Labels> {
        match self {
            Self::Add(record) | Self::Change { record, .. } => Some(&record.labels),
            Self::Remove { .. } | Self::Hold { .. } => None,
        }
    }
}
