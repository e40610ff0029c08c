//! When runs happen, and what is wanted: the schedule, the desk between API and workers, the labels that facts give.

mod desk;
mod schedule;
mod wanted;
mod workers;

pub use desk::Desk;
pub use schedule::next_run_at;
pub use wanted::wanted_records;
pub use workers::{FusionTarget, RunSettings, Workers};
