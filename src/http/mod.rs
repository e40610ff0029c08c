//! The HTTP API: extract, one call, map.
//!
//! Answers come in Fusion's envelope, errors as problems. The routes with their documents are gathered in [`router()`]; who
//! calls is decided in `auth`, before any handler.

mod addresses;
mod adoption;
mod api_keys;
mod approval;
mod audit;
mod audit_search;
mod auth;
mod browser;
mod check;
mod deletion;
mod envelope;
mod events;
mod extract;
mod faults;
mod health;
mod idempotency;
mod integration_body;
mod integrations;
mod json;
#[cfg(test)]
mod laws;
mod negotiation;
mod notes;
mod openapi;
mod openapi_bodies;
mod paging;
mod plan;
mod problem;
mod rate_limit;
mod records;
mod refusal_examples;
mod refusals;
mod request_id;
mod router;
mod rules;
mod run_calls;
mod runs;
mod server;
mod state;
mod status;
mod verification;

pub use idempotency::UnderWay;
pub use notes::Notes;
pub use openapi::openapi_json;
pub use router::router;
pub use server::serve;
pub use state::{AdminKey, ApiSettings, AppState};
