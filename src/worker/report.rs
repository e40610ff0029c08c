//! The report in Wiz: found or made, changed when it asks for something else, run again, and waited for.

use std::time::Duration;

use super::attempt::Attempt;
use super::interruption::Interruption;
use super::pace::Pace;
use crate::domain::{Failure, FailureKind, Phase, Progress, ReportId, ReportRunId, Warning};
use crate::store::{Rerun, StoredReport};
use crate::wiz::{ColumnChoice, ReportRequest, ReportRun, ReportRunStatus, WizError};

/// The pauses between two looks at a report grow by half, from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// How long Wiz may take to show the run that it was asked for.
const NEW_RUN_PATIENCE: Duration = Duration::from_mins(10);

/// How long to look for a run that an earlier attempt may have asked for, before it is asked for again.
const LOST_RUN_PATIENCE: Duration = Duration::from_secs(10);

/// How often the report is made or found anew when Wiz loses it in between.
const MAX_LOSSES: u32 = 2;

/// What came of the order to run the report again.
enum NewRun {
    /// It was given.
    Ordered(Rerun),
    /// Wiz, or the way to it, did not take it.
    Refused(Rerun, WizError),
    /// Wiz does not know the stored report any more.
    Lost,
}

impl Attempt {
    /// Chooses the run of the integration's report that is read: a new one, unless an earlier attempt asked for it or the
    /// last one is to do.
    pub(super) async fn request_report(&mut self) -> Result<ReportRunId, Interruption> {
        if let Some(report_run) = &self.run.checkpoint.report_run {
            return Ok(report_run.clone());
        }
        self.show(Phase::RequestingReport, Progress::default()).await?;
        if let Some(report_run) = self.choose_last_run().await? {
            return Ok(report_run);
        }
        if let Some(rerun) = self.run.checkpoint.rerun.clone()
            && let Some(report_run) = self.find_new_run(&rerun, LOST_RUN_PATIENCE).await?
        {
            return self.keep_run(report_run).await;
        }
        for _ in 0..=MAX_LOSSES {
            let rerun = match self.start_new_run().await? {
                NewRun::Ordered(rerun) => rerun,
                NewRun::Refused(rerun, error) => return self.reuse_run(&rerun, error).await,
                NewRun::Lost => continue,
            };
            let found = self.find_new_run(&rerun, NEW_RUN_PATIENCE).await?;
            let report_run = found.ok_or_else(|| {
                Failure::passing(
                    FailureKind::Report,
                    "Wiz took the order to run the report again, but shows no new run of it.",
                )
            })?;
            return self.keep_run(report_run).await;
        }
        let message =
            "The report vanished from Wiz each time that it was made or found. Look at who deletes it there.";
        Err(Failure::passing(FailureKind::Report, message).into())
    }

    /// Waits until a run of the report has its file.
    pub(super) async fn wait_for_report(&mut self, id: &ReportRunId) -> Result<ReportRun, Interruption> {
        let mut pauses = Pauses::default();
        // The percentage at the first look, and the time of it.
        let mut first: Option<(u8, Pace)> = None;
        loop {
            let Some(run) = self.wiz()?.report_run(id).await? else {
                return self
                    .give_up_run("Wiz does not know the run of the report any more.")
                    .await;
            };
            match run.status {
                ReportRunStatus::Completed => return Ok(run),
                ReportRunStatus::Queued | ReportRunStatus::InProgress => {
                    let waiting = run.status == ReportRunStatus::Queued;
                    let clock = self.workers.clock.clone();
                    let (from, pace) = first.get_or_insert_with(|| (run.progress, Pace::new(clock)));
                    let (made, all) = (run.progress.saturating_sub(*from), 100 - *from);
                    let progress = Progress {
                        percent: Some(run.progress),
                        eta_s: pace.seconds_left(made.into(), all.into()),
                        detail: waiting.then(|| "the report waits for its turn in Wiz".to_owned()),
                        ..Progress::default()
                    };
                    self.show(Phase::WaitingForReport, progress).await?;
                    self.workers.clock.sleep(pauses.next()).await;
                }
                ReportRunStatus::Failed => {
                    let reason = run.failed_reason.as_deref().unwrap_or("it gives no reason");
                    return self
                        .give_up_run(&format!("Wiz could not make the report: {reason}."))
                        .await;
                }
                ReportRunStatus::Expired => {
                    return self
                        .give_up_run("The file of the report expired before it was read.")
                        .await;
                }
            }
        }
    }

    /// Lets the next attempt ask for another run.
    pub(super) async fn give_up_run<T>(&mut self, message: &str) -> Result<T, Interruption> {
        self.run.checkpoint.report_run = None;
        self.run.checkpoint.rerun = None;
        self.save_checkpoint().await?;
        Err(Failure::passing(FailureKind::Report, message).into())
    }

    pub(super) async fn keep_run(&mut self, run: ReportRun) -> Result<ReportRunId, Interruption> {
        self.run.checkpoint.report_run = Some(run.id.clone());
        self.save_checkpoint().await?;
        Ok(run.id)
    }

    /// Orders a new run: of the report as it is, of a changed one, or the first of one that is made.
    async fn start_new_run(&mut self) -> Result<NewRun, Interruption> {
        let Some(mut report) = self.known_report().await? else {
            return self.create_report().await.map(NewRun::Ordered);
        };
        if self.run.checkpoint.creating.is_some() {
            // Made by an attempt that did not hear the answer: its first run is the new one.
            return self.remember_rerun(report, None).await.map(NewRun::Ordered);
        }
        if !self.asks_what_it_should(&report) {
            match self.update_report(&report).await? {
                Some(updated) => {
                    report = updated;
                    self.run.checkpoint.changed = true;
                }
                None => return Ok(NewRun::Lost),
            }
        }
        let previous = self.wiz()?.newest_report_run(&report.id).await?;
        let rerun = self.remember_rerun(report, previous).await?;
        match self.wiz()?.rerun_report(&rerun.report).await {
            Ok(_) => Ok(NewRun::Ordered(rerun)),
            Err(error) if error.is_not_found() => self.forget_report().await.map(|()| NewRun::Lost),
            Err(error) => Ok(NewRun::Refused(rerun, error)),
        }
    }

    /// The integration's report: the stored one, or the one of its name. `None` when there is none.
    pub(super) async fn known_report(&mut self) -> Result<Option<StoredReport>, Interruption> {
        let stored = self.workers.store.report(self.integration.id).await?;
        if let Some(stored) = stored
            && self.wiz()?.report(&stored.id).await?.is_some()
        {
            return Ok(Some(stored));
        }
        let name = self.report_name();
        let Some(found) = self.wiz()?.find_report(&name).await? else {
            self.run.checkpoint.creating = None;
            return Ok(None);
        };
        if found.matches > 1 {
            let message = format!(
                "Wiz has {} reports named {name}; the oldest is used. Delete the others in Wiz.",
                found.matches
            );
            self.warn(&Warning::new("report_name_repeated", message)).await?;
        }
        let asked = self.run.checkpoint.creating.clone();
        self.store_report(found.report.id, asked).await.map(Some)
    }

    /// Makes the report, with as many of the columns as the tenant knows.
    async fn create_report(&mut self) -> Result<Rerun, Interruption> {
        let mut columns = ColumnChoice::default();
        loop {
            let request = self.request(columns);
            self.run.checkpoint.creating = Some(request.asked());
            self.save_checkpoint().await?;
            match self.wiz()?.create_report(&request).await {
                Ok(report) => {
                    tracing::info!(report.id = %report.id, "made the report in Wiz");
                    let report = self.store_report(report.id, Some(request.asked())).await?;
                    // Its first run is the new one, whether it shows already or not.
                    return self.remember_rerun(report, None).await;
                }
                Err(error) => columns = narrower(columns, error)?,
            }
        }
    }

    /// Lets the report ask what it should; `None` when Wiz does not know it any more.
    async fn update_report(&mut self, report: &StoredReport) -> Result<Option<StoredReport>, Interruption> {
        let mut columns = ColumnChoice::default();
        loop {
            let request = self.request(columns);
            match self.wiz()?.update_report(&report.id, &request).await {
                Ok(_) => {
                    tracing::info!(report.id = %report.id, "changed what the report in Wiz asks");
                    let asked = Some(request.asked());
                    return self.store_report(report.id.clone(), asked).await.map(Some);
                }
                Err(error) if error.is_not_found() => return self.forget_report().await.map(|()| None),
                Err(error) => columns = narrower(columns, error)?,
            }
        }
    }

    /// The first run of the report that is newer than the remembered one; `None` when it does not show in time.
    async fn find_new_run(
        &mut self,
        rerun: &Rerun,
        patience: Duration,
    ) -> Result<Option<ReportRun>, Interruption> {
        let mut pauses = Pauses::default();
        let until = self.now() + patience;
        loop {
            let newest = self.wiz()?.newest_report_run(&rerun.report).await?;
            let is_new = |run: &ReportRun| match &rerun.previous {
                None => true,
                Some((id, run_at)) => run.id != *id && run.run_at >= *run_at,
            };
            if let Some(run) = newest.filter(is_new) {
                return Ok(Some(run));
            }
            if self.now() >= until {
                return Ok(None);
            }
            let detail = Some("waits until Wiz shows the new run of the report".to_owned());
            let progress = Progress {
                detail,
                ..Progress::default()
            };
            self.show(Phase::RequestingReport, progress).await?;
            self.workers.clock.sleep(pauses.next()).await;
        }
    }

    async fn remember_rerun(
        &mut self,
        report: StoredReport,
        previous: Option<ReportRun>,
    ) -> Result<Rerun, Interruption> {
        let previous = previous.map(|run| (run.id, run.run_at));
        let rerun = Rerun {
            report: report.id,
            previous,
        };
        self.run.checkpoint.rerun = Some(rerun.clone());
        self.run.checkpoint.asked = report.asked;
        self.run.checkpoint.creating = None;
        self.save_checkpoint().await?;
        Ok(rerun)
    }

    async fn store_report(&self, id: ReportId, asked: Option<String>) -> Result<StoredReport, Interruption> {
        let report = StoredReport { id, asked };
        let store = &self.workers.store;
        store.save_report(&self.run, Some(&report), self.now()).await?;
        Ok(report)
    }

    async fn forget_report(&mut self) -> Result<(), Interruption> {
        self.run.checkpoint.rerun = None;
        self.save_checkpoint().await?;
        Ok(self
            .workers
            .store
            .save_report(&self.run, None, self.now())
            .await?)
    }

    /// Whether a report asks what would be asked now, by one of the choices of columns.
    pub(super) fn asks_what_it_should(&self, report: &StoredReport) -> bool {
        let choices = std::iter::successors(Some(ColumnChoice::default()), |columns| columns.fallback());
        choices
            .into_iter()
            .any(|columns| report.asked.as_ref() == Some(&self.request(columns).asked()))
    }

    fn request(&self, columns: ColumnChoice) -> ReportRequest {
        ReportRequest {
            name: self.report_name(),
            columns,
            asset_types: self.workers.settings.asset_types.clone(),
        }
    }

    fn report_name(&self) -> String {
        self.workers.settings.report_name(&self.integration.settings.name)
    }
}

/// The columns to ask for next when Wiz refuses some; other errors, and the last refusal, stay errors.
fn narrower(columns: ColumnChoice, error: WizError) -> Result<ColumnChoice, Interruption> {
    match columns.fallback().filter(|_| error.is_bad_user_input()) {
        Some(fallback) => {
            tracing::info!(?fallback, "Wiz refuses the columns; asking for fewer");
            Ok(fallback)
        }
        None => Err(error.into()),
    }
}

/// Pauses that grow by half.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause + pause / 2).min(LAST_PAUSE);
        pause
    }
}
