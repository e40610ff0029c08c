//! The client of Netography Fusion: sign-in by `NETOSECRET`, and the IP labels.
//!
//! ```text
//!  NETOSECRET ─▶ FusionAccount ─▶ signed JWT ─▶ token ─┐
//!                                                      ├─▶ put, delete ─▶ push: a refused batch is halved
//!  label records, pairs (at most a batch at a time) ───┘
//! ```
//!
//! What is to be sent, and what an acknowledgement settles, is the caller's part.

mod answer;
mod client;
mod error;
mod jwt;
mod labels;
#[cfg(test)]
mod laws;
mod netosecret;
mod push;
#[cfg(test)]
mod tests;
mod token;

pub use client::FusionClient;
pub use error::FusionError;
pub use labels::{Acknowledged, HeldLabels};
pub use netosecret::{AccountKey, FusionAccount, NetosecretError};
pub use push::PushOutcome;
