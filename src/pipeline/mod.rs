//! The verbs, in the order of the data, pure: no async, no clock, no log, no SQL.
//!
//! ```text
//! bytes ─▶ decode ─▶ scan ─▶ header, finding ─▶ collect ─▶ merge ─▶ label ─▶ plan ─▶ batch
//!         (gzip?)   records   findings          per asset   per address  records   changes
//! ```

mod batch;
mod collect;
mod decode;
mod error;
mod finding;
mod header;
mod label;
mod merge;
mod plan;
mod read;
mod scan;

pub use batch::{Batch, Batcher};
pub use collect::ReportFacts;
pub use error::ReportError;
pub use label::label_records;
pub use merge::merge_into;
pub use plan::{Comparison, compare};
pub use read::{ReadProgress, check_row_count, read_report};
