//! When runs happen, and what if they die: the schedule, the queue, the path of one run; and what becomes of its record.
//!
//! ```text
//! scheduler ─┐                          ┌─▶ heartbeat
//!  (API) ────┴▶ store: queue ─▶ queue ─▶ execution ─▶ attempt: sign in ─▶ report ─▶ download ─▶ planning ─▶ pushing
//!        desk: wakes, ends work          └─▶ back to the queue, or the run's end
//!  (API) ─────▶ check: whether a run could come to its end
//! ```

mod attempt;
mod basis;
mod check;
mod desk;
mod download;
mod execution;
mod housekeeping;
mod interruption;
mod last_report;
mod pace;
mod phase_timer;
mod planning;
mod pushing;
mod queue;
mod report;
mod schedule;
mod scheduler;
mod verification;
mod waits;
mod wanted;
mod workers;

pub use check::Checker;
pub use desk::Desk;
pub use schedule::next_run_at;
pub use wanted::{labels_of_parts, wanted_records};
pub use workers::{FusionTarget, RunSettings, Workers};
