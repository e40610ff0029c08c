//! wiz-context keeps the IP context labels of a Netography Fusion account equal to what Wiz knows of its vulnerable
//! assets. This is the map of the code.
//!
//! ```text
//!  Wiz                                                                             Netography Fusion
//! report ─▶ pipeline::read_report ─▶ pipeline::merge_into ─▶ pipeline::compare ─▶ pipeline::Batcher ─▶ labels
//!  (gzip)    facts per asset          facts per address       add · change ·       within Fusion's limits
//!                                                             remove ▲
//!                                                          store: facts in force, ledger
//! ```
//!
//! - [`domain`]: the nouns, valid by construction.
//! - [`pipeline`]: the verbs, pure, in the order of the data.
//! - [`store`]: the database, and the only SQL.
//! - [`http`]: the API in the shapes of Fusion's own calls. [`worker`]: when runs happen, and what is wanted.
//! - [`wiz`], [`fusion`]: the clients of the neighbours, over [`outgoing`]: the one way out, which decides what may be
//!   connected to.
//! - [`simulator`]: the two neighbours as servers, and made-up reports.
//! - [`startup`]: the service as a whole, from its [`config`] to its end; [`commands`]: the commands of the program.
//! - [`clock`]: the one source of time. [`metrics`]: the figures for Prometheus. [`telemetry`]: the log. [`shutdown`]: the
//!   one place that starts and ends tasks. `incoming`: the one accept loop. `key_file`: the keys beside the database.
//!
//! Words: an *integration* is the connection to one Wiz tenant. A *run* makes the labels equal to a *report*, which lists
//! *findings*. *Facts* are what a report says of each *asset*. A *pair* is an address and a *context* (`cve` …), for which
//! Fusion holds one value: its *labels*. The *ledger* knows per pair what Fusion last acknowledged, and what was sent since
//! without an answer. A *plan* is the difference between facts and ledger.

pub mod clock;
pub mod commands;
pub mod config;
pub mod domain;
pub mod fusion;
pub mod http;
mod incoming;
mod key_file;
pub mod metrics;
pub mod outgoing;
pub mod pipeline;
pub mod shutdown;
pub mod simulator;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod wiz;
pub mod worker;
