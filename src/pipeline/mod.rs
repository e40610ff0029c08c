//! From the bytes of a report to the steps that make Fusion's labels follow it: pure functions, without async, clock, log
//! or SQL, in the order of the data.
//!
//! ```text
//! bytes ─▶ decode ─▶ scan ─▶ finding ─▶ collect ─▶ merge ─▶ label ─▶ plan ─▶ batch
//!          gzip or   cells   score,     facts per  facts    label    steps   requests
//!          plain     by      rating,    asset      per      records  against within
//!                    header  CVEs                  address           ledger  limits
//! ```
//!
//! One pass over the bytes, and no allocation for a row once its asset is known: memory grows with assets and their CVEs,
//! never with rows, nor with the size of cells that nobody reads.

mod asset;
mod batch;
mod best;
mod cell;
mod collect;
mod decode;
mod error;
mod finding;
mod header;
mod hold;
mod index;
mod label;
#[cfg(test)]
mod laws;
mod merge;
mod part;
mod plan;
mod read;
#[cfg(any(test, fuzzing))]
mod reference;
mod scan;
#[cfg(test)]
mod scan_laws;
mod verify;

pub use batch::{Batch, Batcher, MAX_BATCH_ITEMS, MAX_BATCH_LABELS};
pub use error::{MAX_CELL_BYTES, ReportError};
pub use hold::{REMOVALS_NEVER_HELD, is_held};
pub use label::label_records;
pub use merge::{AddressMerge, ReportAddresses, merge_into};
pub use plan::{Comparison, compare};
pub use read::{ReadProgress, ReportFacts, check_row_count, read_report};
#[cfg(any(test, fuzzing))]
pub use reference::hold_scanner_to_csv;
pub use verify::{Seen, Verification, verify};
