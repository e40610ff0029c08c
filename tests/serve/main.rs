//! The program `wiz-context serve`: how it starts, what it refuses, how it ends, and that it keeps its secrets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(target_os = "linux")]
mod core_dumps;
mod cut_off;
mod every_call;
mod health;
mod in_process;
mod keys;
mod labels;
mod life;
mod lost;
mod needles;
mod panics;
mod prints;
mod priority;
mod program;
mod proxied;
mod random_kills;
#[path = "../common/reports.rs"]
mod reports;
mod secrets;
mod settings;
mod world;
