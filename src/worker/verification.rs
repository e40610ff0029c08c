//! The verification: what Fusion holds, compared with what the ledger says that it holds.
//!
//! ```text
//!  Fusion: all of a context, where one answer carries it ─┐
//!          else address by address                        ├─▶ verify ─▶ in doubt, and steps of the plan ─▶ (repair) push
//!  store:  a page of the ledger, beside what is wanted ───┘
//! ```
//!
//! A page is read and compared in the turn to plan and push, so that nobody writes in between. Where each address is read,
//! other runs get their turn between two pages.

use std::num::NonZeroU32;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::attempt::Attempt;
use super::interruption::Interruption;
use super::pace::{Pace, percent};
use super::wanted::wanted_addresses;
use super::workers::FusionTarget;
use crate::domain::{Address, Context, LedgerEntry, Pair, Phase, Progress, WantedAddress, Warning};
use crate::outgoing::RateLimiter;
use crate::pipeline::{Seen, verify};
use crate::store::{PlanPage, PlanQuery, Verified};

/// How often Fusion is asked for an address, at most. It publishes no limit; this leaves room for everybody else.
const READS_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).expect("not zero");

/// Rows of a page: some five hundred addresses, half a minute where each is asked for. Nobody else plans for so long.
const PAGE_ROWS: u32 = 2_000;

/// Reads under way at a time: enough to keep that rate where an answer takes a fifth of a second.
const READS_UNDER_WAY: usize = 4;

/// A verification under way.
struct Reading {
    target: FusionTarget,
    source: Source,
    verified: Verified,
    /// A pair that the ledger does not know.
    example: Option<Pair>,
    /// How many addresses are to be compared.
    total: u64,
    /// How many of them an earlier attempt compared.
    before: u64,
    pace: Pace,
}

/// How a verification reads Fusion.
enum Source {
    /// Everything was read at once; what the ledger knows, or is wanted, is taken out page by page.
    Whole(Seen),
    /// Each address has to be asked for.
    ByAddress(Arc<RateLimiter>),
}

/// A page of the ledger beside what is wanted there.
struct Page {
    /// All that is wanted.
    wanted: Vec<WantedAddress>,
    /// What is compared: the entries of the integration's own addresses, and of nobody's.
    entries: Vec<LedgerEntry>,
    /// These addresses.
    addresses: Vec<Address>,
    /// The wanted addresses that are other integrations' only.
    others: Vec<Address>,
}

impl Attempt {
    /// Compares the ledger with Fusion. What differs is in doubt from then on, so that the push of a repair, or the next
    /// run, makes it right.
    pub(super) async fn verify(&mut self) -> Result<(), Interruption> {
        let target = self.sign_in_to_push().await?;
        if self.run.checkpoint.planned {
            return Ok(());
        }
        let mut turn = self.wait_for_turn().await?;
        let mut reading = self.begin_reading(target).await?;
        while self.verify_page(&mut reading).await? {
            // What was read at once is good for this turn only.
            if matches!(reading.source, Source::ByAddress(_)) {
                drop(turn);
                turn = self.wait_for_turn().await?;
            }
        }
        drop(turn);
        self.conclude(reading).await
    }

    /// Begins to read, or goes on where the last attempt came to.
    async fn begin_reading(&mut self, target: FusionTarget) -> Result<Reading, Interruption> {
        let store = &self.workers.store;
        let total = store
            .addresses_to_verify(self.integration.id, target.account)
            .await?;
        let (source, verified) = if let Some(verified) = self.run.checkpoint.verified {
            (self.by_address(), verified)
        } else {
            store.begin_plan(&self.run, self.now()).await?;
            (self.source(&target).await?, Verified::default())
        };
        let pace = Pace::new(self.workers.clock.clone());
        Ok(Reading {
            target,
            source,
            verified,
            example: None,
            total,
            before: verified.addresses,
            pace,
        })
    }

    /// Reads all contexts at once, unless one of them is more than an answer carries.
    async fn source(&self, target: &FusionTarget) -> Result<Source, Interruption> {
        let mut all = Seen::new();
        // Every address has a count, so that this context is the first to be too much.
        for context in Context::ALL.into_iter().rev() {
            let Some(held) = target.client.labels_in(context).await? else {
                tracing::info!(%context, "one answer does not carry the context, so each address is read");
                return Ok(self.by_address());
            };
            all.extend(
                held.into_iter()
                    .map(|(ip, labels)| (Pair { ip, context }, labels)),
            );
        }
        Ok(Source::Whole(all))
    }

    fn by_address(&self) -> Source {
        let limiter = RateLimiter::new(self.workers.clock.clone(), READS_PER_SECOND);
        Source::ByAddress(Arc::new(limiter))
    }

    /// Compares the next page; whether there is another.
    async fn verify_page(&mut self, reading: &mut Reading) -> Result<bool, Interruption> {
        let store = self.workers.store.clone();
        let query = PlanQuery {
            account: Some(reading.target.account),
            rows: Some(PAGE_ROWS),
            ..PlanQuery::default()
        };
        // Other runs may have planned since the last page.
        let view = store.fact_view(self.integration.id, None, None).await?;
        let page = store.plan_page(&view, &query, reading.verified.next).await?;
        let next = page.next;
        let compared = Page::new(&page);
        let seen = match &mut reading.source {
            Source::Whole(all) => take_known(all, &compared, &page.ledger),
            Source::ByAddress(_) => self.read_addresses(reading, &compared.addresses).await?,
        };
        let found = verify(&compared.wanted, &compared.entries, &seen);
        let verified = &mut reading.verified;
        verified.next = next;
        verified.addresses += compared.addresses.len() as u64;
        verified.agreeing += found.agreeing;
        verified.unknown += found.unknown.len() as u64;
        reading.example = reading.example.or_else(|| found.unknown.first().copied());
        let resumes = matches!(reading.source, Source::ByAddress(_)) && next.is_some();
        let (account, now) = (reading.target.account, self.now());
        let resumes = resumes.then_some(reading.verified);
        store
            .append_verified(&mut self.run, account, &found.differences, resumes, now)
            .await?;
        self.advanced |= resumes.is_some();
        self.show(
            Phase::Planning,
            compared_so_far(reading, reading.verified.addresses),
        )
        .await?;
        Ok(next.is_some())
    }

    /// What Fusion holds at some addresses, in the contexts of this service.
    async fn read_addresses(
        &mut self,
        reading: &mut Reading,
        addresses: &[Address],
    ) -> Result<Seen, Interruption> {
        let Source::ByAddress(limiter) = &reading.source else {
            return Ok(Seen::new());
        };
        let (client, limiter) = (reading.target.client.clone(), Arc::clone(limiter));
        let reads = addresses.iter().copied().map(move |ip| {
            let (client, limiter) = (client.clone(), Arc::clone(&limiter));
            async move {
                limiter.turn().await;
                client.labels_of(ip).await.map(|held| (ip, held))
            }
        });
        let mut answers = futures_util::stream::iter(reads).buffer_unordered(READS_UNDER_WAY);
        let (mut seen, mut done) = (Seen::new(), reading.verified.addresses);
        while let Some((ip, held)) = answers.try_next().await? {
            for labels in held {
                if let Some(context) = Context::read(&labels.context) {
                    seen.insert(Pair { ip, context }, labels.labels);
                }
            }
            done += 1;
            if reading.pace.is_due() {
                self.show(Phase::Planning, compared_so_far(reading, done)).await?;
            }
        }
        Ok(seen)
    }

    /// Writes down what the comparison came to.
    async fn conclude(&mut self, mut reading: Reading) -> Result<(), Interruption> {
        if let Source::Whole(rest) = &reading.source {
            reading.verified.unknown += rest.len() as u64;
            reading.example = reading.example.or_else(|| rest.keys().next().copied());
        }
        let (store, now) = (self.workers.store.clone(), self.now());
        let counts = store
            .conclude_verification(&mut self.run, &reading.verified, now)
            .await?;
        self.run.record.counts = counts;
        self.advanced = true;
        let (differing, unknown) = (
            counts.added + counts.changed + counts.removed + counts.held,
            reading.verified.unknown,
        );
        tracing::info!(
            addresses = counts.addresses,
            agreeing = counts.unchanged,
            differing,
            unknown,
            "verified"
        );
        if differing > 0 && self.orders.dry_run {
            let message = format!(
                "Fusion does not hold {differing} pairs as the ledger had them; they are in doubt now. The next run makes them \
                 right, or a verification with ?repair=true. The run's plan names them."
            );
            self.warn(&Warning::new("labels_differ", message)).await?;
        }
        if unknown > 0 {
            let example = reading
                .example
                .map_or_else(String::new, |pair| format!(", {pair} for one"));
            let message = format!(
                "Fusion holds {unknown} pairs in this service's contexts that the ledger does not know and nothing wants\
                 {example}. Another product wrote them, or a former installation of this service, or this one after the \
                 backup that was restored. They are left alone; those of this service can be adopted: POST \
                 /api/v1/labels/adopt."
            );
            self.warn(&Warning::new("labels_unknown", message)).await?;
        }
        Ok(())
    }
}

impl Page {
    fn new(page: &PlanPage) -> Self {
        let (mut wanted, mut others) = (Vec::new(), Vec::new());
        for one in wanted_addresses(&page.carriers) {
            if !one.own {
                others.push(one.address.ip);
            }
            wanted.push(one.address);
        }
        let entries = page.ledger.iter();
        let entries = entries.filter(|entry| others.binary_search(&entry.pair.ip).is_err());
        let entries: Vec<_> = entries.cloned().collect();
        let mut addresses: Vec<_> = entries.iter().map(|entry| entry.pair.ip).collect();
        addresses.dedup();
        Self {
            wanted,
            entries,
            addresses,
            others,
        }
    }
}

/// Takes what stands at the page's addresses, by the ledger or because they are wanted, out of all that was read; gives
/// what is to be compared. What is left in the end stands where nobody here has anything.
fn take_known(all: &mut Seen, page: &Page, ledger: &[LedgerEntry]) -> Seen {
    let known = ledger.iter().map(|entry| entry.pair.ip);
    let wanted = page.wanted.iter().map(|wanted| wanted.ip);
    let pairs = known
        .chain(wanted)
        .flat_map(|ip| Context::ALL.map(|context| Pair { ip, context }));
    pairs
        .filter_map(|pair| all.remove(&pair).map(|labels| (pair, labels)))
        .filter(|(pair, _)| page.others.binary_search(&pair.ip).is_err())
        .collect()
}

fn compared_so_far(reading: &Reading, done: u64) -> Progress {
    let total = reading.total.max(done);
    let (now, whole) = (done - reading.before, total - reading.before);
    Progress {
        rows: done,
        rows_total: Some(total),
        rows_per_s: reading.pace.per_second(now),
        percent: Some(percent(done, total)),
        eta_s: reading.pace.seconds_left(now, whole),
        detail: Some("compares what Fusion holds with the ledger, address by address".to_owned()),
        ..Progress::default()
    }
}
