//! One attempt at a run: the path from the sign-in to the end, each step skipping what an earlier attempt did.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use super::interruption::{Interruption, broke_down};
use super::phase_timer::PhaseTimer;
use super::planning::Plan;
use super::waits::tell_of_waits;
use super::workers::Workers;
use crate::domain::{FailureKind, Integration, Phase, Progress, RunRecord, Timestamp, Warning};
use crate::store::{ClaimedRun, Completion, Orders};
use crate::wiz::WizClient;

/// The turn to plan and push: one run has it at a time, for all push to one Fusion account.
pub(super) type Turn = Arc<Mutex<()>>;

/// An attempt under way.
pub(super) struct Attempt {
    pub(super) workers: Workers,
    pub(super) run: ClaimedRun,
    pub(super) integration: Integration,
    /// The way to Wiz, where a report is fetched.
    wiz: Option<WizClient>,
    pub(super) orders: Orders,
    /// Whether anything was done that need not be done again.
    pub(super) advanced: bool,
    /// What was shown last.
    shown: Option<(Phase, Progress)>,
    timer: PhaseTimer,
    turn: Turn,
}

impl Attempt {
    /// Begins an attempt: reads the settings as they are now.
    pub(super) async fn begin(workers: Workers, run: ClaimedRun, turn: Turn) -> Result<Self, Interruption> {
        let id = run.record.integration;
        let integration = workers.store.integration(id).await?;
        // Only who fetches a report needs the secret: one that cannot be opened any more must not stop a removal.
        let wiz = if run.record.trigger.fetches_report() {
            let client = workers.wiz.client(workers.store.wiz_credentials(id).await?);
            Some(client.patient(tell_of_waits(&workers, &run)))
        } else {
            None
        };
        let full_push_every = workers.settings.full_push_every;
        let (has_account, now) = (workers.fusion.is_some(), workers.clock.now());
        let begun = workers
            .store
            .begin_attempt(&run, integration.tag, has_account, full_push_every, now);
        let orders = begun.await?;
        let timer = PhaseTimer::new(workers.metrics.clone(), workers.clock.clone());
        Ok(Self {
            workers,
            run,
            integration,
            wiz,
            orders,
            advanced: false,
            shown: None,
            timer,
            turn,
        })
    }

    /// Brings the run to its end, from where the last attempt left it. Once `stop` is cancelled it ends soon.
    pub(super) async fn carry_out(&mut self, stop: &CancellationToken) -> Result<RunRecord, Interruption> {
        let basis = unless_stopped(stop, self.basis()).await?;
        let _turn = unless_stopped(stop, self.wait_for_turn()).await?;
        loop {
            let mut plan = unless_stopped(stop, self.plan(basis)).await?;
            // It stops by itself, once Fusion has answered what is under way.
            self.push(&mut plan, stop).await?;
            if let Some(record) = self.complete(&plan).await? {
                return Ok(record);
            }
        }
    }

    /// Shows what the run does, and hears what is asked of it by now.
    pub(super) async fn show(&mut self, phase: Phase, mut progress: Progress) -> Result<(), Interruption> {
        self.note_time(phase, &mut progress);
        let store = &self.workers.store;
        self.orders = store
            .save_progress(&self.run, phase, &progress, self.now())
            .await?;
        self.shown = Some((phase, progress));
        self.timer.enter(phase);
        self.workers.desk.run_moved(self.run.id());
        Ok(())
    }

    /// Keeps how far the present phase came, also when the run was told to end.
    pub(super) async fn keep(&mut self, mut progress: Progress) -> Result<(), Interruption> {
        if let Some((phase, _)) = self.shown {
            self.note_time(phase, &mut progress);
        }
        let store = &self.workers.store;
        Ok(store.keep_progress(&self.run, &progress, self.now()).await?)
    }

    /// Notes when something last moved: now, unless it stands as it was shown last.
    fn note_time(&self, phase: Phase, progress: &mut Progress) {
        let last = self.shown.as_ref().filter(|(shown, _)| *shown == phase);
        let unmoved = last.filter(|(_, shown)| shown.is_where(progress));
        progress.updated_at = unmoved.map_or_else(|| Some(self.now()), |(_, shown)| shown.updated_at);
    }

    /// Warns a person on the run's record.
    pub(super) async fn warn(&self, warning: &Warning) -> Result<(), Interruption> {
        tracing::warn!(code = warning.code, "{}", warning.message);
        Ok(self
            .workers
            .store
            .add_warning(&self.run, warning, self.now())
            .await?)
    }

    /// Writes the checkpoint down, and hears what is asked of the run by now.
    pub(super) async fn save_checkpoint(&mut self) -> Result<(), Interruption> {
        self.orders = self.workers.store.save_checkpoint(&self.run, self.now()).await?;
        Ok(())
    }

    /// The way to Wiz.
    pub(super) fn wiz(&self) -> Result<WizClient, Interruption> {
        self.wiz.clone().ok_or_else(|| broke_down().into())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.workers.clock.now()
    }

    /// Finds out at once whether the run could come to its end: hours of waiting for a report would be lost on wrong
    /// credentials.
    pub(super) async fn sign_in(&mut self) -> Result<(), Interruption> {
        if self.run.checkpoint.facts.is_none() {
            self.show(Phase::SigningIn, Progress::default()).await?;
            let wiz = self.wiz()?;
            wiz.sign_in().await?;
            // Without the permission to read findings Wiz may make an empty report. Any other answer says nothing here.
            if let Err(error) = wiz.sees_finding().await
                && error.failure().kind == FailureKind::Permission
            {
                return Err(error.into());
            }
        }
        if let Some(target) = self.workers.fusion.as_ref().filter(|_| !self.orders.dry_run)
            && let Err(error) = target.client.sign_in().await
            && !error.failure().retryable
        {
            return Err(error.into());
        }
        Ok(())
    }

    /// Waits until no other run plans or pushes. What others decided and left to be written in the ledger is written then.
    pub(super) async fn wait_for_turn(&mut self) -> Result<OwnedMutexGuard<()>, Interruption> {
        let turn = self.turn().await?;
        self.workers.store.work_off_arrears().await?;
        Ok(turn)
    }

    async fn turn(&mut self) -> Result<OwnedMutexGuard<()>, Interruption> {
        if let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() {
            return Ok(turn);
        }
        let detail = Some("waits until another run of the same Fusion account has pushed".to_owned());
        let progress = Progress {
            detail,
            ..Progress::default()
        };
        self.show(Phase::Planning, progress).await?;
        Ok(Arc::clone(&self.turn).lock_owned().await)
    }

    /// Ends the run as succeeded; `None` when a start that joined it asked for more than was done.
    async fn complete(&mut self, plan: &Plan) -> Result<Option<RunRecord>, Interruption> {
        // Whoever sees the end is to find the phases counted.
        self.timer.leave();
        let completion = self
            .workers
            .store
            .complete_run(&self.run, &plan.orders, self.now());
        match completion.await? {
            Completion::Ended(record) => Ok(Some(*record)),
            Completion::MoreAsked(orders) => {
                self.orders = orders;
                Ok(None)
            }
        }
    }
}

/// Takes a step unless the work is to stop, also in its middle.
async fn unless_stopped<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, Interruption>>,
) -> Result<T, Interruption> {
    stop.run_until_cancelled(work)
        .await
        .unwrap_or(Err(Interruption::Stopped))
}
