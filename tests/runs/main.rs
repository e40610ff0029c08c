//! Runs from end to end: the real workers and the real API on a file database, against the stateful simulator. What counts
//! is which labels Fusion holds in the end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_reports;
mod basics;
mod chance;
mod check;
mod credentials;
mod doubt;
mod faults;
mod joining;
mod last_report;
mod report;
#[path = "../common/reports.rs"]
mod reports;
mod rig;
mod schedule;
