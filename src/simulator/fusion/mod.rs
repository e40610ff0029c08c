//! Fusion: sign-in and the labels of IP addresses.
//!
//! Like the other neighbour's, its rules are written from the published interface and share nothing with the client.

mod labels;
mod requests;
mod rules;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Timestamp;

use labels::LabelStore;
pub(super) use requests::{all_of_context, bulk, of_address, one, one_pair};
pub(super) use token::{netosecret, token};

/// What the simulated Fusion keeps.
#[derive(Debug, Default)]
pub(super) struct FusionState {
    /// Tokens, and when they expire.
    tokens: BTreeMap<String, Timestamp>,
    /// The ids of the signed requests for them.
    used_ids: BTreeSet<String>,
    /// The labels.
    pub(super) labels: LabelStore,
}
