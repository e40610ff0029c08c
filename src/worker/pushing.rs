//! The push: the plan's steps in batches, several under way at a time. Each batch's pairs are in doubt in the ledger before
//! it goes out, until Fusion's answer settles them.

use std::collections::VecDeque;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::attempt::Attempt;
use super::interruption::{Interruption, broke_down};
use super::pace::{Pace, percent};
use super::planning::{Plan, PlanPages};
use super::workers::{FusionTarget, Workers};
use crate::domain::{Failure, FailureKind, LabelRecord, Pair, Phase, Progress, Trigger, Warning};
use crate::fusion::PushOutcome;
use crate::pipeline::{Batch, Batcher};
use crate::store::{ClaimedRun, StoreError};

/// What one batch, or all so far, came to.
#[derive(Default)]
struct Tally {
    settled: u64,
    rejected: u64,
    /// The first pair that was refused, with Fusion's reason.
    example: Option<(Pair, String)>,
    count_differs: bool,
    /// Why pairs were left in doubt.
    failed: Option<Interruption>,
}

/// What it takes to send a batch, and to settle what became of it.
#[derive(Clone)]
struct Sending {
    workers: Workers,
    target: FusionTarget,
    run: ClaimedRun,
}

impl Attempt {
    /// Carries a plan out; a dry run's stays a plan. Once `stop` is cancelled nothing more is sent.
    pub(super) async fn push(
        &mut self,
        plan: &mut Plan,
        stop: &CancellationToken,
    ) -> Result<(), Interruption> {
        let target = self.workers.fusion.clone().filter(|_| !plan.orders.dry_run);
        let (Some(target), Some(pages)) = (target, &mut plan.pages) else {
            return Ok(());
        };
        let done = plan.steps - plan.left;
        self.show(Phase::Pushing, pushed(done, plan.steps)).await?;
        let sending = Sending {
            workers: self.workers.clone(),
            target,
            run: self.run.clone(),
        };
        let mut batches = Batches::new(pages);
        let mut pace = Pace::new(self.workers.clock.clone());
        let mut tally = Tally::default();
        // Tasks of their own: one that holds the database's only writer must never wait until this loop comes round. They
        // end with the attempt.
        let mut under_way = JoinSet::new();
        loop {
            // What is under way is settled, also when nothing more is to be sent.
            let go_on = tally.failed.is_none() && under_way.len() < self.workers.settings.push_concurrency;
            if go_on {
                match batches.next(stop).await {
                    Ok(Some(batch)) => {
                        under_way.spawn(sending.clone().send(batch).in_current_span());
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => tally.failed = Some(error),
                }
            }
            let Some(sent) = under_way.join_next().await else {
                break;
            };
            tally.add(sent.unwrap_or_else(|_| Tally::broken()));
            if pace.is_due() {
                let progress = Progress {
                    rows_per_s: pace.per_second(tally.settled),
                    eta_s: pace.seconds_left(tally.settled + tally.rejected, plan.left),
                    ..pushed(done + tally.settled, plan.steps)
                };
                if let Err(error) = self.show(Phase::Pushing, progress).await {
                    tally.failed.get_or_insert(error);
                }
            }
        }
        self.advanced |= tally.settled > 0;
        let (store, now) = (&self.workers.store, self.now());
        store.count_rejected(&self.run, tally.rejected, now).await?;
        tracing::info!(settled = tally.settled, rejected = tally.rejected, "pushed");
        self.report_refusals(&tally, done).await?;
        let all = pushed(done + tally.settled, plan.steps);
        if let Some(failed) = tally.failed {
            self.keep(all).await?;
            return Err(failed);
        }
        self.show(Phase::Pushing, all).await
    }

    /// Tells of records that Fusion refused. When it took none, now or in the `done` steps before, that is the run's failure.
    async fn report_refusals(&self, tally: &Tally, done: u64) -> Result<(), Interruption> {
        if tally.count_differs {
            let message = "Fusion acknowledged batches with another count than was sent. A run with ?full=true sends all \
                           labels again.";
            self.warn(&Warning::new("count_differs", message)).await?;
        }
        let Some((pair, reason)) = &tally.example else {
            return Ok(());
        };
        let refused = format!(
            "Fusion refused {} of the records that were sent; the first is {pair}: {reason}",
            tally.rejected
        );
        let unchanged = self.run.record.counts.unchanged;
        let takes_nothing = tally.settled + done + unchanged == 0;
        // An integration whose labels are still there must not be forgotten.
        let is_removal = self.run.record.trigger == Trigger::Removal;
        if (takes_nothing || is_removal) && tally.failed.is_none() {
            return Err(Failure::permanent(FailureKind::FusionRejected, refused).into());
        }
        self.warn(&Warning::new("records_rejected", refused)).await
    }
}

/// The batches of a plan, packed from its pages as they are asked for.
struct Batches<'a> {
    pages: &'a mut PlanPages,
    packing: Option<Batcher>,
    packed: VecDeque<Batch>,
}

impl<'a> Batches<'a> {
    fn new(pages: &'a mut PlanPages) -> Self {
        Self {
            pages,
            packing: Some(Batcher::new()),
            packed: VecDeque::new(),
        }
    }

    /// The next batch; `None` after the last.
    async fn next(&mut self, stop: &CancellationToken) -> Result<Option<Batch>, Interruption> {
        while self.packed.is_empty() {
            let Some(packing) = &mut self.packing else {
                return Ok(None);
            };
            match self.pages.next().await? {
                Some(page) => {
                    let changes = page.comparison.changes.into_iter();
                    self.packed
                        .extend(changes.filter_map(|change| packing.push(change)));
                }
                None => self
                    .packed
                    .extend(self.packing.take().into_iter().flat_map(Batcher::finish)),
            }
        }
        if stop.is_cancelled() {
            return Err(Interruption::Stopped);
        }
        Ok(self.packed.pop_front())
    }
}

impl Sending {
    /// Sends a batch, and settles in the ledger what became of it.
    async fn send(self, batch: Batch) -> Tally {
        let sent = match batch {
            Batch::Put(records) => self.put(&records).await,
            Batch::Delete(pairs) => self.delete(&pairs).await,
        };
        sent.unwrap_or_else(|error| Tally {
            failed: Some(error.into()),
            ..Tally::default()
        })
    }

    async fn put(&self, records: &[LabelRecord]) -> Result<Tally, StoreError> {
        let (store, now) = (&self.workers.store, self.workers.clock.now());
        store
            .doubt_puts(&self.run, self.target.account, records, now)
            .await?;
        let outcome = self.target.client.push_labels(records).await;
        self.settle("put", outcome).await
    }

    async fn delete(&self, pairs: &[Pair]) -> Result<Tally, StoreError> {
        let (store, now) = (&self.workers.store, self.workers.clock.now());
        store
            .doubt_deletes(&self.run, self.target.account, pairs, now)
            .await?;
        let outcome = self.target.client.push_removals(pairs).await;
        self.settle("delete", outcome).await
    }

    async fn settle(&self, call: &'static str, outcome: PushOutcome) -> Result<Tally, StoreError> {
        let (store, account, now) = (&self.workers.store, self.target.account, self.workers.clock.now());
        if !outcome.acknowledged.is_empty() {
            store
                .settle(&self.run, account, &outcome.acknowledged, now)
                .await?;
        }
        let (acknowledged, rejected) = (outcome.acknowledged.len() as u64, outcome.rejected.len() as u64);
        self.workers.metrics.pairs_pushed(call, acknowledged, rejected);
        if rejected > 0 {
            let pairs: Vec<_> = outcome.rejected.iter().map(|(pair, _)| *pair).collect();
            store.settle_refused(&self.run, account, &pairs, now).await?;
        }
        Ok(Tally {
            settled: acknowledged,
            rejected,
            example: outcome.rejected.into_iter().next(),
            count_differs: outcome.count_differs,
            failed: outcome.error.map(Interruption::from),
        })
    }
}

impl Tally {
    /// What a batch came to whose sending broke down.
    fn broken() -> Self {
        Self {
            failed: Some(broke_down().into()),
            ..Self::default()
        }
    }

    fn add(&mut self, batch: Self) {
        self.settled += batch.settled;
        self.rejected += batch.rejected;
        self.example = self.example.take().or(batch.example);
        self.count_differs |= batch.count_differs;
        self.failed = match (self.failed.take(), batch.failed) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
    }
}

/// The progress of a push, in pairs.
fn pushed(done: u64, steps: u64) -> Progress {
    Progress {
        rows: done,
        rows_total: Some(steps),
        percent: Some(percent(done, steps)),
        ..Progress::default()
    }
}
