//! Wiz: the token URL, GraphQL, and the files of report runs.
//!
//! It keeps its own view of the protocol and shares nothing with the client in [`crate::wiz`], so that a mistake of one
//! shows at the other.

mod account;
mod coercion;
mod download;
mod file;
mod findings;
mod graphql;
mod query;
mod reports;
mod runs;
mod schema;
mod spec;
mod token;
mod values;
mod views;

use std::collections::{BTreeMap, VecDeque};

use crate::domain::Timestamp;

pub(super) use download::report_file;
pub(super) use graphql::graphql;
pub(super) use schema::Schema;
pub(super) use token::token;
pub(super) use views::report_views;
pub use views::{ReportView, RunView};

/// What the simulated Wiz keeps.
#[derive(Debug, Default)]
pub(super) struct WizState {
    /// Tokens, and when they expire.
    tokens: BTreeMap<String, Timestamp>,
    reports: reports::Reports,
    /// Signatures of URLs: the run, and when they expire.
    urls: BTreeMap<String, (String, Timestamp)>,
    /// When the last requests came, for the rate.
    recent: VecDeque<Timestamp>,
}

impl WizState {
    /// Deletes all reports.
    pub(super) fn delete_reports(&mut self) {
        let ids: Vec<_> = self.reports.all().map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.reports.delete(&id);
        }
    }
}
