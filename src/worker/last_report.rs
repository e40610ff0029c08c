//! The last run of the report in place of a new one: because it was asked for, or because Wiz refuses a new one so soon.

use std::time::Duration;

use super::attempt::Attempt;
use super::interruption::Interruption;
use crate::domain::{Failure, FailureKind, ReportChoice, ReportRunId, Timestamp, Warning};
use crate::store::Rerun;
use crate::wiz::{ReportRun, ReportRunStatus, WizError};

/// How old the newest run of a report is at most when a refused rerun means "too soon": Wiz's product pages tell of one
/// rerun in 24 hours, and the clocks differ.
const TOO_SOON: Duration = Duration::from_hours(25);

/// A refusal that is not in Wiz's published table may pass, so only one that comes in so many attempts in a row is believed.
const UNKNOWN_REFUSALS: u32 = 3;

impl Attempt {
    /// The last run of the report that completed, if the run is to read that one.
    pub(super) async fn choose_last_run(&mut self) -> Result<Option<ReportRunId>, Interruption> {
        if self.orders.report != ReportChoice::Last {
            return Ok(None);
        }
        let Some(report) = self.known_report().await? else {
            return Err(nothing_to_reuse("The integration has no report in Wiz yet").into());
        };
        let Some(last) = self.wiz()?.last_completed_run(&report.id).await? else {
            return Err(nothing_to_reuse("No run of the integration's report in Wiz has its file").into());
        };
        if !self.asks_what_it_should(&report) {
            self.warn(&asked_before()).await?;
        }
        self.run.checkpoint.asked = report.asked;
        self.run.checkpoint.rerun = Some(Rerun {
            report: report.id,
            previous: None,
        });
        let last = self.keep_run(last).await?;
        if self.orders.report == ReportChoice::Last {
            return Ok(Some(last));
        }
        // A start that joined meanwhile asks for a new report.
        self.run.checkpoint.report_run = None;
        self.run.checkpoint.rerun = None;
        self.save_checkpoint().await?;
        Ok(None)
    }

    /// The newest run of the report that can be read, when a rerun was refused because it came too soon; else the refusal
    /// stays the failure that it is.
    pub(super) async fn reuse_run(
        &mut self,
        rerun: &Rerun,
        error: WizError,
    ) -> Result<ReportRunId, Interruption> {
        if !self.may_be_too_soon(&error) {
            return Err(error.into());
        }
        let newest = self.wiz()?.newest_report_run(&rerun.report).await?;
        let now = self.now();
        let Some(newest) = newest.filter(|run| now.since(run.run_at) <= TOO_SOON) else {
            return Err(error.into());
        };
        let reused = match newest.status {
            ReportRunStatus::Queued | ReportRunStatus::InProgress | ReportRunStatus::Completed => {
                Some(newest)
            }
            ReportRunStatus::Failed | ReportRunStatus::Expired => {
                self.wiz()?.last_completed_run(&rerun.report).await?
            }
        };
        let Some(reused) = reused else {
            return Err(error.into());
        };
        let refusal = error.failure().message;
        self.warn(&reused_warning(&reused, now, &refusal)).await?;
        if self.run.checkpoint.changed {
            self.run.checkpoint.asked = None;
            self.warn(&asked_before()).await?;
        }
        self.keep_run(reused).await
    }

    /// Whether a refused rerun may mean that it came too soon. Wiz has no code for it, so this goes by what is left: a rerun
    /// carries nothing but the id of a report that Wiz knows, so whatever Wiz refuses in it, it cannot be the question.
    fn may_be_too_soon(&self, error: &WizError) -> bool {
        let failure = error.failure();
        failure.kind == FailureKind::Report && (!failure.retryable || self.run.fruitless >= UNKNOWN_REFUSALS)
    }
}

fn nothing_to_reuse(what: &str) -> Failure {
    Failure::permanent(
        FailureKind::Report,
        format!(
            "{what}, so there is no last report to read. Run without report=last, which has Wiz make one."
        ),
    )
}

fn asked_before() -> Warning {
    let message = "The report that is read was asked for under other settings or another name than those of now. The next new \
                   report is asked for by these.";
    Warning::new("report_asked_before", message)
}

fn reused_warning(run: &ReportRun, now: Timestamp, refusal: &str) -> Warning {
    let age = now.since(run.run_at).as_secs();
    let age = match (age / 3600, age % 3600 / 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    };
    Warning::new(
        "report_reused",
        format!(
            "Wiz would not run the report again so soon; the run of {} is read in its place, which is {age} old. ({refusal})",
            run.run_at
        ),
    )
}
