//! The plan: what the facts want, compared with what the ledger knows, a page of addresses at a time.

use super::attempt::Attempt;
use super::interruption::Interruption;
use super::wanted::{Wanted, wanted_addresses};
use crate::domain::{Address, Change, Counts, Phase, Progress, RunId};
use crate::pipeline::{Comparison, compare};
use crate::store::{AccountId, FactSetId, FactView, Orders, Store, StoreError};

/// A plan that is in force: its steps are worked out again, page by page, while they are carried out.
pub(super) struct Plan {
    /// The orders that it follows.
    pub(super) orders: Orders,
    pub(super) pages: PlanPages,
    /// All its steps, those of earlier attempts included.
    pub(super) steps: u64,
    /// Those that are left.
    pub(super) left: u64,
}

/// The pages of a plan, one after the other.
#[derive(Clone)]
pub(super) struct PlanPages {
    store: Store,
    view: FactView,
    account: Option<AccountId>,
    /// The full push that only its own sendings count for.
    confirmed_by: Option<RunId>,
    at: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Start,
    Address(Address),
    End,
}

/// One page of a plan.
pub(super) struct Page {
    /// The integration's own addresses.
    own: OwnAddresses,
    /// What has to be sent.
    pub(super) comparison: Comparison,
}

/// What a run counts of the integration's own addresses.
#[derive(Default)]
struct OwnAddresses {
    addresses: u64,
    shared: u64,
    pairs: u64,
}

impl Attempt {
    /// Works the plan out and counts it; the first time, that brings the facts into force.
    pub(super) async fn plan(&mut self, set: FactSetId) -> Result<Plan, Interruption> {
        self.show(Phase::Planning, Progress::default()).await?;
        let own = (!self.run.checkpoint.planned).then_some(set);
        let mut pages = self.plan_pages(own).await?;
        let read = self.run.record.counts;
        let mut counts = Counts {
            findings: read.findings,
            assets: read.assets,
            ..Counts::default()
        };
        let mut pairs = 0;
        while let Some(page) = pages.next().await? {
            counts.addresses += page.own.addresses;
            counts.shared_addresses += page.own.shared;
            pairs += page.own.pairs;
            counts.unchanged += page.comparison.unchanged;
            for change in &page.comparison.changes {
                *match change {
                    Change::Add(_) => &mut counts.added,
                    Change::Change { .. } => &mut counts.changed,
                    Change::Remove { .. } => &mut counts.removed,
                } += 1;
            }
        }
        let left = steps(&counts);
        if self.run.checkpoint.planned {
            let steps = steps(&self.run.record.counts).max(left);
            return Ok(Plan {
                orders: self.orders.clone(),
                pages: self.plan_pages(None).await?,
                steps,
                left,
            });
        }
        let (store, now) = (self.workers.store.clone(), self.now());
        let has_account = self.workers.fusion.is_some();
        let planned = store.plan_facts(&mut self.run, set, &counts, pairs, has_account, now);
        self.orders = planned.await?;
        self.run.record.counts = counts;
        self.advanced = true;
        tracing::info!(
            dry_run = self.orders.dry_run,
            added = counts.added,
            changed = counts.changed,
            removed = counts.removed,
            unchanged = counts.unchanged,
            "planned"
        );
        // Read again with the orders as they were when the facts came into force.
        let own = self.orders.dry_run.then_some(set);
        Ok(Plan {
            orders: self.orders.clone(),
            pages: self.plan_pages(own).await?,
            steps: left,
            left,
        })
    }

    async fn plan_pages(&self, own: Option<FactSetId>) -> Result<PlanPages, Interruption> {
        let store = self.workers.store.clone();
        let view = store.fact_view(self.integration.id, own).await?;
        Ok(PlanPages {
            store,
            view,
            account: self.workers.fusion.as_ref().map(|target| target.account),
            confirmed_by: self.orders.full.then_some(self.run.id()),
            at: Place::Start,
        })
    }
}

impl PlanPages {
    /// The next page; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, StoreError> {
        let start = match self.at {
            Place::Start => None,
            Place::Address(start) => Some(start),
            Place::End => return Ok(None),
        };
        let page = self
            .store
            .plan_page(&self.view, self.account, start, self.confirmed_by)
            .await?;
        self.at = page.next.map_or(Place::End, Place::Address);
        let mut own = OwnAddresses::default();
        let count = |wanted: Wanted| {
            if wanted.own {
                own.addresses += 1;
                own.shared += u64::from(wanted.assets > 1);
                own.pairs += wanted.address.facts.pairs();
            }
            wanted.address
        };
        let addresses: Vec<_> = wanted_addresses(&page.carriers).map(count).collect();
        let comparison = compare(&addresses, &page.ledger, false);
        Ok(Some(Page { own, comparison }))
    }
}

fn steps(counts: &Counts) -> u64 {
    counts.added + counts.changed + counts.removed
}
