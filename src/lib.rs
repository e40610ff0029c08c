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
//!   one place that starts and ends tasks. `incoming`: the one accept loop. `key_file`: the keys beside the database. `core_dumps`: that
//!   there are none. [`behind`]: the threads of runs, which the API's go before.
//!
//! One run, step by step; each step can be the last of a process, and the next process goes on from it:
//!
//! 1. [`http`] (*Create and Run*, *Run*) or the schedule puts a run into the queue, which is the table `runs`.
//! 2. [`worker`] claims it for the length of a lease, reads the integration's settings, and signs in at Wiz and Fusion.
//! 3. The integration's one report is found or made in Wiz, changed when it asks for something else, and run again.
//! 4. When Wiz has made it, its file streams through [`pipeline::read_report`] in constant memory. A report that is not
//!    whole ends the run here, and nothing has changed.
//! 5. What it says of each asset is staged in [`store`] under the run.
//! 6. One run at a time plans: its facts come into force, are merged with those of the other integrations by address, and
//!    are compared with the ledger. When that would remove a great part of the labels, the removals are held.
//! 7. The differences go to Fusion in batches. Before a batch goes out its pairs are in doubt; Fusion's answer settles them.
//! 8. The run ends; its record and the audit log tell what it read and did.
//!
//! Words: an *integration* is the connection to one Wiz tenant. A *run* makes the labels equal to a *report*, which lists
//! *findings*. *Facts* are what a report says of each *asset*. A *pair* is an address and a *context* (`cve` …), for which
//! Fusion holds one value: its *labels*. The *ledger* knows per pair what Fusion last acknowledged, and what was sent since
//! without an answer. A *plan* is the difference between facts and ledger. A *hold* keeps removals back until a person
//! approves them.

pub mod behind;
pub mod clock;
pub mod commands;
pub mod config;
mod core_dumps;
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
