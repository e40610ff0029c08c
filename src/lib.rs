//! wiz-context
pub mod clock;
pub mod commands;
pub mod domain;
pub mod fusion;
pub mod http;
pub mod outgoing;
pub mod pipeline;
pub mod shutdown;
pub mod simulator;
pub mod store;
pub mod wiz;
pub mod worker;
