//! What the service does with callers that mean it no good, or do badly: over real sockets, byte by byte.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod abuse;
mod bodies;
mod browsers;
mod connections;
mod cursors;
mod rate;
mod rig;
