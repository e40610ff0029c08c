//! The client of Wiz: sign-in, the report and its runs, and the download of the report file.
//!
//! ```text
//!  WizAccounts ──▶ WizClient ──▶ token ──▶ GraphQL ──▶ Report, ReportRun ──▶ ReportDownload ──▶ bytes
//!  token and rate of each service account, shared by all its clients          (pre-signed URL, no token)
//! ```
//!
//! What stands here are single steps; when to take which, and how long to wait, is the worker's part.

mod accounts;
mod answer;
mod client;
mod download;
mod error;
mod file;
#[cfg(test)]
mod laws;
mod patience;
mod probe;
mod queries;
mod report;
mod report_calls;
mod request;
#[cfg(test)]
mod tests;
mod token;

pub use accounts::WizAccounts;
pub use client::WizClient;
pub use download::ReportDownload;
pub use error::WizError;
pub use patience::WaitListener;
pub use probe::Sight;
pub use report::{FoundReport, Report, ReportRun, ReportRunStatus, ReportUrl};
pub use request::{AskedFindings, ColumnChoice, ReportRequest};
