//! `serve`: the service itself.
//!
//! ```text
//!  flags, environment ─▶ ServeArgs ─▶ Config ─▶ startup ─▶ Service, until a signal comes
//! ```

mod args;
mod read;
mod run;
mod secret_setting;
#[cfg(test)]
mod tests;

pub use args::ServeArgs;
pub(in crate::commands) use read::{database_url, encryption_keys, listen_address};
pub use run::run;
