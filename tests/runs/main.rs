//! Runs from end to end: the real workers and the real API on a file database, against the stateful simulator. What counts
//! is which labels Fusion holds in the end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adoption;
mod attempts;
mod bad_reports;
mod basics;
mod cancel;
mod check;
mod complaints;
mod credentials;
mod doubt;
mod events;
mod faults;
mod figures;
mod healing;
mod holds;
mod joining;
mod last_report;
mod pages;
mod plans;
mod reasons;
mod removal;
mod report;
#[path = "../common/reports.rs"]
mod reports;
mod retention;
mod rig;
mod schedule;
mod verification;
