//! A plan's pages: who carries each address by the facts in force, beside what the ledger knows of it.
//!
//! A page is read in one transaction, so that its two sides are of one moment, and ends before an address that it could not
//! read to its end.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{AccountId, FactSetId, Store, StoreError, arrears, ledger};
use crate::domain::{
    Address, Context, IntegrationId, LedgerEntry, Pair, RankedCve, Rating, RunId, Score, Timestamp,
};

/// Rows that each query of a plan's page aims at: some MiB, and past this a larger page gains nothing.
const PAGE_ROWS: u32 = 8_000;

/// The facts that labels follow from: one set per integration.
#[derive(Clone, Debug)]
pub struct FactView {
    sets: Vec<FactSetId>,
    own: Option<FactSetId>,
    /// The integration's facts in force, where others stand in for them.
    before: Option<FactSetId>,
    /// Whether those say anything.
    replaces_facts: bool,
    /// The newest set's addresses, and those of the others, each with its own: about as many as there are to compare.
    addresses: u64,
    /// Per set the assets that a newer report of another integration also has.
    superseded: HashMap<FactSetId, HashSet<i64>>,
}

/// An asset's part in an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// The address.
    pub ip: Address,
    /// Whether the asset is one of the integration that the view was made for.
    pub own: bool,
    /// How many of its findings count.
    pub findings: u64,
    /// Their highest score.
    pub score: Option<Score>,
    /// Their highest rating.
    pub rating: Option<Rating>,
    /// Its CVEs.
    pub cves: Vec<RankedCve>,
}

/// What the ledger is to be read for.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanQuery {
    /// The Fusion account; without one nothing of the ledger is read.
    pub account: Option<AccountId>,
    /// A run whose own sendings alone count: a pair counts as in doubt unless that run sent it.
    pub confirmed_by: Option<RunId>,
    /// The integration whose kept removals are judged afresh: its marks do not count.
    pub judges_for: Option<IntegrationId>,
    /// Rows that a page aims at, four to an address with all labels. `None`: as many as pay.
    pub rows: Option<u32>,
}

/// All that is known of a range of addresses, in the state of one moment.
#[derive(Clone, Debug, Default)]
pub struct PlanPage {
    /// Which assets carry them, by address.
    pub carriers: Vec<Carrier>,
    /// What the ledger knows of them, by pair.
    pub ledger: Vec<LedgerEntry>,
    /// The pairs that the integration had part in, where other facts stand in for those in force: by those in force, or
    /// kept back for it and judged afresh. Sorted, each once.
    pub had_part: Vec<Pair>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<Address>,
}

impl Store {
    /// The facts in force of all integrations, those of `integration` replaced by `own` where given. A report that says what
    /// is in force already gives its time by `confirmed_at`.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn fact_view(
        &self,
        integration: IntegrationId,
        own: Option<FactSetId>,
        confirmed_at: Option<Timestamp>,
    ) -> Result<FactView, StoreError> {
        let mut tx = self.read().await?;
        let rows = sqlx::query(
            "SELECT id, integration_id = $1 AS own, state = 'in_force' AS in_force, addresses FROM fact_sets \
             WHERE (id = $2 AND state <> 'stale') OR state = 'in_force' \
             ORDER BY CASE id WHEN $2 THEN coalesce($3, report_run_at) ELSE report_run_at END DESC, id DESC",
        )
        .bind(integration.to_string())
        .bind(own.map(|set| set.0))
        .bind(confirmed_at.map(Timestamp::as_millis))
        .fetch_all(&mut *tx)
        .await?;
        let mut view = FactView {
            sets: Vec::new(),
            own: None,
            before: None,
            replaces_facts: false,
            addresses: 0,
            superseded: HashMap::new(),
        };
        for row in &rows {
            let set = FactSetId(row.try_get("id")?);
            if row.try_get("own")? {
                // Facts that are confirmed stand in for themselves.
                if own.is_some() && row.try_get("in_force")? {
                    view.before = Some(set);
                    view.replaces_facts = has_facts(&mut tx, set).await?;
                }
                if own.is_some_and(|own| own != set) {
                    continue;
                }
                view.own = Some(set);
            }
            view.addresses += row.try_get::<u64, _>("addresses")?;
            let superseded = superseded(&mut tx, set, &view.sets).await?;
            if !superseded.is_empty() {
                view.superseded.insert(set, superseded);
            }
            view.sets.push(set);
        }
        Ok(view)
    }

    /// All that is known of the next addresses from `start` on (`None`: from the first): who carries them, and what the
    /// ledger knows, in the state of one moment.
    ///
    /// # Errors
    /// [`StoreError::FactsChanged`] when the view is out of date, or the ledger is behind what was decided; or when the
    /// database cannot.
    pub async fn plan_page(
        &self,
        view: &FactView,
        query: &PlanQuery,
        start: Option<Address>,
    ) -> Result<PlanPage, StoreError> {
        let mut tx = self.read().await?;
        view.check(&mut tx).await?;
        if query.account.is_some() && arrears::are_any(&mut tx).await? {
            return Err(StoreError::FactsChanged);
        }
        let mut limit = query.rows.unwrap_or(PAGE_ROWS);
        loop {
            let mut page = PlanPage::default();
            // The page ends before the first address that one of the queries may not have read to its end. Each bounds those
            // that follow, and the ledger comes first, which has most rows.
            let mut range = Range {
                start,
                end: None,
                limit,
            };
            if let Some(account) = query.account {
                let cut = ledger::read_range(&mut tx, query, account, range, &mut page).await?;
                range.end_before(cut);
            }
            for set in &view.sets {
                let cut = read_carriers(&mut tx, view, *set, range, &mut page.carriers).await?;
                range.end_before(cut);
            }
            if let Some(before) = view.before {
                let cut = read_had_part(&mut tx, before, range, &mut page.had_part).await?;
                range.end_before(cut);
            }
            page.next = range.end;
            if page.next.is_some() && page.next <= start {
                // One address has more rows than the page.
                limit = limit.saturating_mul(4);
                continue;
            }
            if let Some(end) = page.next {
                page.carriers.retain(|carrier| carrier.ip < end);
                page.ledger.retain(|entry| entry.pair.ip < end);
                page.had_part.retain(|pair| pair.ip < end);
            }
            page.had_part.sort_unstable();
            page.had_part.dedup();
            page.carriers.sort_by_key(|carrier| carrier.ip);
            return Ok(page);
        }
    }
}

/// A range of addresses, and the most rows to read of it.
#[derive(Clone, Copy)]
pub(super) struct Range {
    start: Option<Address>,
    end: Option<Address>,
    limit: u32,
}

impl Range {
    /// From which stored form on.
    pub(super) fn from(&self) -> Vec<u8> {
        self.start.map(Address::to_stored).unwrap_or_default()
    }

    /// Before which stored form; no address has that of the byte 7, which all others order before.
    pub(super) fn to(&self) -> Vec<u8> {
        self.end.map_or_else(|| vec![7], Address::to_stored)
    }

    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    fn end_before(&mut self, cut: Option<Address>) {
        self.end = match (self.end, cut) {
            (Some(end), Some(cut)) => Some(end.min(cut)),
            (end, cut) => end.or(cut),
        };
    }

    /// The address of the last row when the limit cut more off.
    pub(super) fn cut(
        &self,
        rows: &[SqliteRow],
        column: &'static str,
    ) -> Result<Option<Address>, StoreError> {
        let cut = rows.len() >= usize::try_from(self.limit).unwrap_or(usize::MAX);
        rows.last()
            .filter(|_| cut)
            .map(|row| address(row, column))
            .transpose()
    }
}

impl FactView {
    /// About how many addresses there are to compare: those of all its sets, each with its own.
    pub const fn addresses(&self) -> u64 {
        self.addresses
    }

    /// Whether other facts stand in for facts in force that say anything.
    pub const fn replaces_facts(&self) -> bool {
        self.replaces_facts
    }

    /// Checks that its sets are still what labels follow from: an integration may have been deleted since it was made.
    async fn check(&self, tx: &mut SqliteConnection) -> Result<(), StoreError> {
        for set in self.sets.iter().chain(&self.before) {
            let state: Option<String> = sqlx::query_scalar("SELECT state FROM fact_sets WHERE id = $1")
                .bind(set.0)
                .fetch_optional(&mut *tx)
                .await?;
            if state.is_none_or(|state| state == "stale") {
                return Err(StoreError::FactsChanged);
            }
        }
        Ok(())
    }
}

async fn has_facts(tx: &mut SqliteConnection, set: FactSetId) -> Result<bool, StoreError> {
    let any = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM facts WHERE fact_set = $1)");
    Ok(any.bind(set.0).fetch_one(tx).await?)
}

/// The assets of `set` that one of the `newer` sets also has.
async fn superseded(
    tx: &mut SqliteConnection,
    set: FactSetId,
    newer: &[FactSetId],
) -> Result<HashSet<i64>, StoreError> {
    let mut superseded = HashSet::new();
    for newer in newer {
        let rows = sqlx::query_scalar::<_, i64>(
            "SELECT old.asset_no FROM facts old JOIN facts new ON new.fact_set = $2 AND new.asset_key = old.asset_key \
             WHERE old.fact_set = $1",
        );
        superseded.extend(rows.bind(set.0).bind(newer.0).fetch_all(&mut *tx).await?);
    }
    Ok(superseded)
}

/// Reads who carries the addresses from `start` on in one set. Returns the address that the limit cut off, if any.
async fn read_carriers(
    tx: &mut SqliteConnection,
    view: &FactView,
    set: FactSetId,
    range: Range,
    carriers: &mut Vec<Carrier>,
) -> Result<Option<Address>, StoreError> {
    let rows = sqlx::query(
        "SELECT a.ip, a.asset_no, f.findings, f.score, f.rating, f.cves FROM fact_addresses a \
         JOIN facts f ON f.fact_set = a.fact_set AND f.asset_no = a.asset_no \
         WHERE a.fact_set = $1 AND a.ip >= $2 AND a.ip < $3 ORDER BY a.ip, a.asset_no LIMIT $4",
    )
    .bind(set.0)
    .bind(range.from())
    .bind(range.to())
    .bind(range.limit)
    .fetch_all(tx)
    .await?;
    let superseded = view.superseded.get(&set);
    for row in &rows {
        if superseded.is_some_and(|assets| {
            row.try_get("asset_no")
                .is_ok_and(|number| assets.contains(&number))
        }) {
            continue;
        }
        carriers.push(carrier(row, view.own == Some(set))?);
    }
    range.cut(&rows, "fact_addresses.ip")
}

/// Reads the pairs that a set wants at the addresses from `start` on. Returns the address that the limit cut off, if any.
async fn read_had_part(
    tx: &mut SqliteConnection,
    set: FactSetId,
    range: Range,
    pairs: &mut Vec<Pair>,
) -> Result<Option<Address>, StoreError> {
    let rows = sqlx::query(
        "SELECT a.ip, max(length(f.cves) > 0) AS cve, max(f.rating IS NOT NULL) AS cvss_rating, \
         max(f.score IS NOT NULL) AS cvss_score, TRUE AS vuln_count \
         FROM fact_addresses a JOIN facts f ON f.fact_set = a.fact_set AND f.asset_no = a.asset_no \
         WHERE a.fact_set = $1 AND a.ip >= $2 AND a.ip < $3 GROUP BY a.ip ORDER BY a.ip LIMIT $4",
    )
    .bind(set.0)
    .bind(range.from())
    .bind(range.to())
    .bind(range.limit)
    .fetch_all(tx)
    .await?;
    for row in &rows {
        let ip = address(row, "fact_addresses.ip")?;
        for context in Context::ALL {
            if row.try_get(context.as_str())? {
                pairs.push(Pair { ip, context });
            }
        }
    }
    range.cut(&rows, "fact_addresses.ip")
}

/// The address of a row.
pub(super) fn address(row: &SqliteRow, column: &'static str) -> Result<Address, StoreError> {
    Address::from_stored(row.try_get("ip")?).ok_or_else(|| StoreError::corrupt(column))
}

/// An asset's part in an address, by a row of `fact_addresses` joined with `facts`.
pub(super) fn carrier(row: &SqliteRow, own: bool) -> Result<Carrier, StoreError> {
    let corrupt = StoreError::corrupt;
    let (cves, rest) = row.try_get::<&[u8], _>("cves")?.as_chunks();
    if !rest.is_empty() {
        return Err(corrupt("facts.cves"));
    }
    let score: Option<u8> = row.try_get("score")?;
    let rating: Option<u8> = row.try_get("rating")?;
    Ok(Carrier {
        ip: address(row, "fact_addresses.ip")?,
        own,
        findings: u64::try_from(row.try_get::<i64, _>("findings")?).map_err(|_| corrupt("facts.findings"))?,
        score: score
            .map(|score| Score::from_tenths(score).ok_or_else(|| corrupt("facts.score")))
            .transpose()?,
        rating: rating
            .map(|rating| Rating::from_level(rating).ok_or_else(|| corrupt("facts.rating")))
            .transpose()?,
        cves: cves.iter().map(|cve| RankedCve::from_stored(*cve)).collect(),
    })
}
