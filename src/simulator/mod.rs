//! The two neighbours as servers: Wiz and Fusion on one address, with state, with rules, and with faults on demand.
//!
//! ```text
//!            POST /oauth/token  ─┐                       ┌─ POST /api/v1/auth/token
//!            POST /graphql      ─┼─ wiz/         fusion/ ┼─ PUT, DELETE /api/v1/labels/ips/bulk
//!            GET  /report-files ─┘    │             │    └─ GET /api/v1/labels/ips/…
//!  generator/ ─▶ source ─▶ reports, runs, files   labels
//!                         faults, violations: /simulator/… and the handle [`Simulator`]
//! ```
//!
//! Tests, the demo and a rehearsal before real accounts are used all run against it. It refuses what the real ones
//! refuse, notes as *violations* what they might let pass, and shares no code with the clients.

mod answer;
mod control;
mod fault;
mod fusion;
pub mod generator;
mod handle;
mod server;
mod settings;
mod shared;
mod source;
mod wiz;

#[cfg(test)]
mod tests;

pub use fault::{Effect, Ending, Fault, StatusFault};
pub use generator::{Column, GeneratorSettings, Header};
pub use handle::Simulator;
pub use settings::SimulatorSettings;
pub use wiz::{ReportView, RunView};
