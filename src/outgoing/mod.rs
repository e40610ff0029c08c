//! Outgoing HTTP: the one client factory and the one way to send, for Wiz and Fusion alike.
//!
//! ```text
//!  wiz/ ─┐                ┌─ address rules (guard) ─▶ which addresses may be reached, again at every redirect
//!        ├─▶ Call ─▶ send ┤
//! fusion/┘                └─ quick retries ─▶ only what may be repeated, on the injected clock
//! ```
//!
//! Neither bodies, nor queries of URLs, nor tokens are ever logged or part of an error's text.

mod call;
mod client;
mod error;
mod guard;
mod limiter;
mod proxies;
mod public;
mod redirect;
mod resolver;
mod retry_after;
mod send;
#[cfg(test)]
pub(crate) mod test_server;
mod token_answer;
mod token_cache;

pub(crate) use call::{Call, Repeat};
pub use client::{Outgoing, OutgoingError, OutgoingSettings};
pub(crate) use error::{SendError, neighbours_words, one_line};
pub(crate) use limiter::RateLimiter;
pub(crate) use retry_after::{read_seconds, retry_after};
pub(crate) use send::Answer;
pub(crate) use token_answer::NoToken;
pub(crate) use token_cache::{FreshToken, TokenCache};
