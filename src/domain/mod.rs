//! The nouns of the service: values that are valid by construction, without I/O, clock, log or SQL.
//!
//! Text from outside becomes one of these types at the edge, once; the rest of the service never checks it again.

mod address;
mod allowed_hosts;
mod api_key;
mod attempt;
mod audit_search;
#[cfg(test)]
mod audit_search_laws;
mod check;
mod cve;
mod endpoint;
#[cfg(test)]
mod endpoint_laws;
mod facts;
mod failure;
mod figures;
mod ids;
mod installation;
mod integration;
mod label;
mod ledger;
mod origin;
mod policy;
mod rating;
mod report;
mod retention;
mod run;
mod score;
mod secret;
mod time;

pub use address::{Address, AddressProblem};
pub use allowed_hosts::AllowedHosts;
pub use api_key::{ApiKeyName, ApiKeyNameError, ApiKeyRecord, Role};
pub use attempt::{AttemptOutcome, AttemptRecord};
pub use audit_search::{AuditCondition, AuditField, AuditSearchError};
pub use check::{CheckName, CheckState, CheckStep, ConnectionCheck};
pub use cve::{CompactCve, CveId, RankedCve};
pub use endpoint::{ApiEndpoint, Endpoint, EndpointError, TokenUrl};
pub use facts::{AddressFacts, AssetFacts, AssetKey, MAX_CVES_PER_ADDRESS, MAX_CVES_PER_ASSET};
pub use failure::{Failure, FailureKind};
pub use figures::Figures;
pub use ids::{ApiKeyId, AuditId, IntegrationId, ReportId, ReportRunId, RunId};
pub use installation::{InstallationName, InstallationNameError};
pub use integration::{
    Integration, IntegrationName, IntegrationSettings, NameError, SettingsTag, UpdateInterval,
    UpdateIntervalError, WizConnection, WizCredentials,
};
pub use label::{Context, LabelRecord, LabelTextError, Labels, Pair};
pub use ledger::{Change, LedgerEntry, WantedAddress};
pub use origin::{Origin, OriginError};
pub use policy::{AssetType, Policy, RowCountRule};
pub use rating::Rating;
pub use report::REPORT_COLUMNS;
pub use retention::Retention;
pub use run::{
    Cancellation, Certificate, Counts, Phase, Progress, Proof, ReportChoice, RunFlags, RunRecord, RunState,
    Skipped, Trigger, Verdict, Warning,
};
pub use score::Score;
pub use secret::{ApiKey, BearerToken, ClientSecret, SharedSecret};
pub use time::Timestamp;
