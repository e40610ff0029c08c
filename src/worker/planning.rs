//! The plan: what the facts want, compared with what the ledger knows, a page of addresses at a time.

use super::attempt::Attempt;
use super::interruption::Interruption;
use super::pace::{Pace, percent};
use super::wanted::{Wanted, wanted_addresses};
use crate::domain::{Address, Change, Counts, IntegrationId, Pair, Phase, Progress, Trigger, Warning};
use crate::pipeline::{Comparison, compare, is_held};
use crate::store::{FactSetId, FactView, Hold, Orders, PlanQuery, Planning, Store, StoreError};

/// Steps that are written down in one transaction: some tenths of a second, so that other writers get their turn.
const STEPS_PER_WRITE: usize = 20_000;

/// And how many bytes of labels they may have, for addresses with hundreds of CVEs.
const BYTES_PER_WRITE: usize = 4 << 20;

/// A plan that is in force: its steps are worked out again, page by page, while they are carried out.
pub(super) struct Plan {
    /// The orders that it follows.
    pub(super) orders: Orders,
    /// Its pages; `None` when nothing of it is to be carried out.
    pub(super) pages: Option<PlanPages>,
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
    query: PlanQuery,
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
    /// How many addresses it has, wanted or in the ledger.
    addresses: u64,
    /// The integration's own addresses.
    own: OwnAddresses,
    /// The pairs that the integration had part in, where other facts stand in for those in force; sorted.
    had_part: Vec<Pair>,
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

/// What a plan comes to before it is in force.
#[derive(Default)]
struct Draft {
    counts: Counts,
    /// The pairs that the integration wants.
    pairs: u64,
    /// How many it had part in.
    had_part: u64,
    /// How many of them are to be removed.
    removals: u64,
    /// Whether it compared for a run that sends everything.
    full: bool,
}

impl Attempt {
    /// Works the plan out; the first time, that brings the facts of `set`, if there is one, into force.
    pub(super) async fn plan(&mut self, set: Option<FactSetId>) -> Result<Plan, Interruption> {
        self.show(Phase::Planning, Progress::default()).await?;
        if self.run.checkpoint.planned {
            return self.rest_of_plan(set).await;
        }
        let view = self.view(set).await?;
        let replaces_facts = view.replaces_facts();
        let draft = self.draft(view).await?;
        let (hold, warning) = self.judge(&draft, replaces_facts);
        let (pairs, counts) = (draft.pairs, draft.counts_with(hold));
        // First the warning, which says how to approve: nothing may be held without it.
        if let Some(warning) = warning {
            self.warn(&warning).await?;
        }
        let planning = Planning {
            set,
            account: self.workers.fusion.as_ref().map(|target| target.account),
            counts,
            pairs,
            hold,
        };
        let (store, now) = (self.workers.store.clone(), self.now());
        self.orders = store.plan_facts(&mut self.run, &planning, now).await?;
        self.run.record.counts = counts;
        self.advanced = true;
        store.work_off_arrears().await?;
        tracing::info!(
            dry_run = self.orders.dry_run,
            added = counts.added,
            changed = counts.changed,
            removed = counts.removed,
            held = counts.held,
            unchanged = counts.unchanged,
            "planned"
        );
        // Where the comparison found nothing to send, it need not be made again for the push; but a start that joined meanwhile
        // may ask for more.
        let is_empty = steps(&counts) == 0 && self.orders.full == draft.full;
        let pages = if self.run.checkpoint.planned && !is_empty {
            Some(self.pages_to_push(set).await?)
        } else {
            None
        };
        Ok(Plan {
            orders: self.orders.clone(),
            pages,
            steps: steps(&counts),
            left: steps(&counts),
        })
    }

    /// What is left of the plan that an earlier attempt made.
    async fn rest_of_plan(&mut self, set: Option<FactSetId>) -> Result<Plan, Interruption> {
        let (mut pages, mut left) = (self.pages_to_push(set).await?, 0);
        let mut compared = Compared::new(self, &pages);
        while let Some(page) = pages.next().await? {
            if let Some(progress) = compared.add(&page) {
                self.show(Phase::Planning, progress).await?;
            }
            left += page
                .comparison
                .changes
                .iter()
                .filter(|change| is_sent(change))
                .count() as u64;
        }
        Ok(Plan {
            orders: self.orders.clone(),
            pages: Some(self.pages_to_push(set).await?),
            steps: steps(&self.run.record.counts).max(left),
            left,
        })
    }

    /// Compares what the facts want with the ledger, counts that, and writes the steps down. Removals that may be kept back
    /// are written as kept back, and counted apart.
    async fn draft(&mut self, view: FactView) -> Result<Draft, Interruption> {
        let (store, read) = (self.workers.store.clone(), self.run.record.counts);
        let mut draft = Draft::default();
        (draft.counts.findings, draft.counts.assets) = (read.findings, read.assets);
        store.begin_plan(&self.run, self.now()).await?;
        let mut pages = self.pages(view, Some(self.integration.id));
        draft.full = pages.query.confirmed_by.is_some();
        let may_hold = self.run.record.trigger.fetches_report();
        let mut compared = Compared::new(self, &pages);
        let (mut steps, mut bytes) = (Vec::new(), 0);
        while let Some(page) = pages.next().await? {
            if let Some(progress) = compared.add(&page) {
                self.show(Phase::Planning, progress).await?;
            }
            let from = steps.len();
            draft.add(page, may_hold, &mut steps);
            bytes += steps[from..].iter().map(size).sum::<usize>();
            if steps.len() >= STEPS_PER_WRITE || bytes >= BYTES_PER_WRITE {
                store.append_plan(&self.run, &steps, self.now()).await?;
                steps.clear();
                bytes = 0;
            }
        }
        store.append_plan(&self.run, &steps, self.now()).await?;
        Ok(draft)
    }

    /// Decides what the plan keeps back, and says so. What a person asked to remove is removed.
    fn judge(&self, draft: &Draft, replaces_facts: bool) -> (Hold, Option<Warning>) {
        let (removals, had_part) = (draft.removals, draft.had_part);
        let percent = self.workers.settings.hold_removals_percent;
        if !self.run.record.trigger.fetches_report() {
            (Hold::Nothing, None)
        } else if draft.counts.findings == 0 && replaces_facts {
            let warning = Warning::new(
                "no_findings",
                format!(
                    "The report has no finding that counts, though the one before had some; nothing was pushed, and {removals} \
                     labels stay. Likely causes: the service account lost the permission read:vulnerabilities or its global \
                     scope, it belongs to a project only, or the asset types that are asked for have no findings. If it is \
                     true, approve it: POST /api/v1/runs/{}/approve.",
                    self.run.id()
                ),
            );
            (Hold::Everything, Some(warning))
        } else if is_held(removals, had_part, percent) {
            let warning = Warning::new(
                "removals_held",
                format!(
                    "{removals} of the {had_part} pairs of this integration would be removed, which is more than {percent} % \
                     (WIZ_CONTEXT_HOLD_REMOVALS_PERCENT). They keep their labels. Look at the run's plan; if it is true, \
                     approve it: POST /api/v1/runs/{}/approve.",
                    self.run.id()
                ),
            );
            (Hold::Removals, Some(warning))
        } else {
            (Hold::Nothing, None)
        }
    }

    /// The pages of a plan that is in force. What an approval applies is held until it is removed, and the facts of a removal
    /// are never in force.
    async fn pages_to_push(&self, set: Option<FactSetId>) -> Result<PlanPages, StoreError> {
        let trigger = self.run.record.trigger;
        let view = self.view(set.filter(|_| trigger == Trigger::Removal)).await?;
        let judges = matches!(trigger, Trigger::Approval | Trigger::Removal);
        let judges_for = judges.then_some(self.integration.id);
        Ok(self.pages(view, judges_for))
    }

    async fn view(&self, own: Option<FactSetId>) -> Result<FactView, StoreError> {
        let confirmed_at = self.run.checkpoint.confirmed_at;
        let store = &self.workers.store;
        store.fact_view(self.integration.id, own, confirmed_at).await
    }

    fn pages(&self, view: FactView, judges_for: Option<IntegrationId>) -> PlanPages {
        PlanPages {
            store: self.workers.store.clone(),
            view,
            query: PlanQuery {
                account: self.workers.fusion.as_ref().map(|target| target.account),
                confirmed_by: self.orders.full.then_some(self.run.id()),
                judges_for,
                rows: None,
            },
            at: Place::Start,
        }
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
        let page = self.store.plan_page(&self.view, &self.query, start).await?;
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
        let wanted: Vec<_> = wanted_addresses(&page.carriers).map(count).collect();
        let comparison = compare(&wanted, &page.ledger);
        let known = page.ledger.chunk_by(|one, other| one.pair.ip == other.pair.ip);
        let unwanted = known.filter(|known| {
            let ip = known[0].pair.ip;
            wanted.binary_search_by_key(&ip, |wanted| wanted.ip).is_err()
        });
        Ok(Some(Page {
            addresses: (wanted.len() + unwanted.count()) as u64,
            own,
            had_part: page.had_part,
            comparison,
        }))
    }
}

impl Draft {
    /// Counts a page, and gives its steps.
    fn add(&mut self, page: Page, may_hold: bool, steps: &mut Vec<Change>) {
        let counts = &mut self.counts;
        counts.addresses += page.own.addresses;
        counts.shared_addresses += page.own.shared;
        counts.unchanged += page.comparison.unchanged;
        self.pairs += page.own.pairs;
        self.had_part += page.had_part.len() as u64;
        for change in page.comparison.changes {
            *match &change {
                Change::Add(_) => &mut counts.added,
                Change::Change { .. } => &mut counts.changed,
                Change::Remove { .. } => &mut counts.removed,
                // What is kept back for others is no step of this plan.
                Change::Hold { .. } => continue,
            } += 1;
            steps.push(match change {
                Change::Remove { pair, before } if may_hold && page.had_part.binary_search(&pair).is_ok() => {
                    self.removals += 1;
                    Change::Hold { pair, before }
                }
                change => change,
            });
        }
    }

    /// The counts of the plan when it keeps something back.
    const fn counts_with(&self, hold: Hold) -> Counts {
        let mut counts = self.counts;
        match hold {
            Hold::Nothing => {}
            Hold::Removals => (counts.removed, counts.held) = (counts.removed - self.removals, self.removals),
            Hold::Everything => {
                (counts.added, counts.changed, counts.removed) = (0, 0, 0);
                counts.held = self.removals;
            }
        }
        counts
    }
}

/// The bytes of the labels in a step.
fn size(step: &Change) -> usize {
    let labels = [step.before(), step.after()].into_iter().flatten();
    labels.map(|labels| labels.as_lines().len()).sum()
}

/// How far the comparison has come, in addresses.
struct Compared {
    pace: Pace,
    addresses: u64,
    total: u64,
}

impl Compared {
    fn new(attempt: &Attempt, pages: &PlanPages) -> Self {
        Self {
            pace: Pace::new(attempt.workers.clock.clone()),
            addresses: 0,
            total: pages.view.addresses(),
        }
    }

    /// Counts a page; the progress when it is to be shown.
    fn add(&mut self, page: &Page) -> Option<Progress> {
        self.addresses += page.addresses;
        self.pace.is_due().then(|| {
            // Where facts share addresses there are fewer, and more where the ledger holds others: the end tells.
            let total = self.total.max(self.addresses);
            Progress {
                rows: self.addresses,
                rows_total: Some(total),
                rows_per_s: self.pace.per_second(self.addresses),
                percent: Some(percent(self.addresses, total)),
                eta_s: self.pace.seconds_left(self.addresses, total),
                detail: Some(
                    "compares what the reports say with what Fusion holds, address by address".to_owned(),
                ),
                ..Progress::default()
            }
        })
    }
}

fn is_sent(change: &Change) -> bool {
    !matches!(change, Change::Hold { .. })
}

fn steps(counts: &Counts) -> u64 {
    counts.added + counts.changed + counts.removed
}
