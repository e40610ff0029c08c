//! The program `wiz-context serve`: how it starts, what it refuses, how it ends, and that it keeps its secrets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod health;
mod in_process;
mod keys;
mod life;
mod program;
mod secrets;
mod settings;
