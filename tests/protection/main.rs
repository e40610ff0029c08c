//! What the service does with callers that mean it no good, or do badly: over real sockets, byte by byte.

mod abuse;
mod browsers;
mod connections;
mod rate;
mod rig;
