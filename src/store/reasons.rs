//! Why an address carries its labels: what the ledger knows of its pairs, and the assets that facts in force name at it.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::plan_pages::carrier;
use super::{AccountId, Carrier, Store, StoreError};
use crate::domain::{Address, AssetKey, Context, IntegrationId, Labels, RunId, Timestamp};

/// All that is known of one address, in the state of one moment.
#[derive(Clone, Debug)]
pub struct AddressReasons {
    /// What the ledger knows of its pairs, by context.
    pub pairs: Vec<PairReason>,
    /// The assets that facts in force name at it: the integration's own first, then by integration, name and key.
    pub assets: Vec<AssetReason>,
}

/// What the ledger knows of one pair, and how that came about.
#[derive(Clone, Debug)]
pub struct PairReason {
    /// The context.
    pub context: Context,
    /// The value that Fusion last acknowledged.
    pub acknowledged: Option<Labels>,
    /// Whether something was sent since without an answer, or Fusion was seen to hold something else.
    pub in_doubt: bool,
    /// The run that keeps its removal back.
    pub held_by: Option<RunId>,
    /// When Fusion last acknowledged something for it.
    pub acknowledged_at: Option<Timestamp>,
    /// When Fusion last acknowledged another value than before.
    pub changed_at: Option<Timestamp>,
    /// The run that sent that value.
    pub changed_by: Option<RunId>,
    /// The last run that sent it, or found Fusion to differ; `None` for a pair that was adopted.
    pub run: Option<RunId>,
}

/// An asset that facts in force name at an address.
#[derive(Clone, Debug)]
pub struct AssetReason {
    /// The integration whose report names it.
    pub integration: IntegrationId,
    /// That integration's name.
    pub integration_name: String,
    /// What makes it the same asset elsewhere.
    pub key: AssetKey,
    /// Its name; empty when the report gives none.
    pub name: String,
    /// Its part in the address.
    pub part: Carrier,
    /// The time of the first report, of those without a gap up to the last one, that had it.
    pub first_seen_at: Timestamp,
    /// The time of the last report that had it.
    pub last_seen_at: Timestamp,
    /// The integration whose newer report also has it: that one's facts count, wherever they place the asset.
    pub superseded_by: Option<IntegrationId>,
}

impl Store {
    /// Why an address carries its labels; without an account nothing of the ledger is read.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such integration, or when the database cannot.
    pub async fn reasons(
        &self,
        integration: IntegrationId,
        account: Option<AccountId>,
        ip: Address,
    ) -> Result<AddressReasons, StoreError> {
        let mut tx = self.read().await?;
        let exists = sqlx::query("SELECT 1 FROM integrations WHERE id = $1").bind(integration.to_string());
        if exists.fetch_optional(&mut *tx).await?.is_none() {
            return Err(StoreError::NotFound("integration"));
        }
        let pairs = match account {
            Some(account) => pairs(&mut tx, account, ip).await?,
            None => Vec::new(),
        };
        Ok(AddressReasons {
            pairs,
            assets: assets(&mut tx, integration, ip).await?,
        })
    }
}

async fn pairs(
    tx: &mut SqliteConnection,
    account: AccountId,
    ip: Address,
) -> Result<Vec<PairReason>, StoreError> {
    let rows = sqlx::query("SELECT * FROM ledger WHERE account = $1 AND ip = $2 ORDER BY context")
        .bind(account.0)
        .bind(ip.to_stored())
        .fetch_all(tx)
        .await?;
    rows.iter().map(pair).collect()
}

fn pair(row: &SqliteRow) -> Result<PairReason, StoreError> {
    let time = |column: &str| -> Result<Option<Timestamp>, StoreError> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
    };
    let run = |column: &'static str| -> Result<Option<RunId>, StoreError> {
        let id = row
            .try_get::<Option<&str>, _>(column)?
            .filter(|id| !id.is_empty());
        id.map(|id| id.parse().map_err(|_| StoreError::corrupt(column)))
            .transpose()
    };
    let acknowledged: Option<String> = row.try_get("acknowledged")?;
    Ok(PairReason {
        context: Context::read(row.try_get("context")?)
            .ok_or_else(|| StoreError::corrupt("ledger.context"))?,
        acknowledged: acknowledged
            .map(Labels::from_lines)
            .transpose()
            .map_err(|_| StoreError::corrupt("ledger.acknowledged"))?,
        in_doubt: row.try_get::<Option<&str>, _>("sent")?.is_some(),
        held_by: run("held_by")?,
        acknowledged_at: time("acknowledged_at")?,
        changed_at: time("changed_at")?,
        changed_by: run("changed_by")?,
        run: run("run_id")?,
    })
}

/// `CROSS JOIN` keeps the order: the few sets first, in which the address is then looked up.
async fn assets(
    tx: &mut SqliteConnection,
    integration: IntegrationId,
    ip: Address,
) -> Result<Vec<AssetReason>, StoreError> {
    let rows = sqlx::query(
        "SELECT a.ip, a.asset_no, f.findings, f.score, f.rating, f.cves, f.asset_key, f.name, \
             coalesce(f.first_seen_at, s.report_run_at) AS first_seen_at, s.report_run_at, s.integration_id, \
             s.integration_id = $1 AS own, i.name AS integration_name, \
             (SELECT newer.integration_id FROM fact_sets newer CROSS JOIN facts same \
                 WHERE newer.state = 'in_force' AND (newer.report_run_at, newer.id) > (s.report_run_at, s.id) \
                 AND same.fact_set = newer.id AND same.asset_key = f.asset_key \
                 ORDER BY newer.report_run_at DESC, newer.id DESC LIMIT 1) AS superseded_by \
         FROM fact_sets s CROSS JOIN fact_addresses a CROSS JOIN facts f CROSS JOIN integrations i \
         WHERE s.state = 'in_force' AND a.fact_set = s.id AND a.ip = $2 \
         AND f.fact_set = a.fact_set AND f.asset_no = a.asset_no AND i.id = s.integration_id \
         ORDER BY own DESC, i.name, f.name, f.asset_key",
    )
    .bind(integration.to_string())
    .bind(ip.to_stored())
    .fetch_all(tx)
    .await?;
    rows.iter().map(asset).collect()
}

fn asset(row: &SqliteRow) -> Result<AssetReason, StoreError> {
    let id = |text: &str| -> Result<IntegrationId, StoreError> {
        text.parse()
            .map_err(|_| StoreError::corrupt("fact_sets.integration_id"))
    };
    let time =
        |column: &str| -> Result<Timestamp, StoreError> { Ok(Timestamp::from_millis(row.try_get(column)?)) };
    Ok(AssetReason {
        integration: id(row.try_get("integration_id")?)?,
        integration_name: row.try_get("integration_name")?,
        key: AssetKey::from_stored(row.try_get("asset_key")?)
            .ok_or_else(|| StoreError::corrupt("facts.asset_key"))?,
        name: row.try_get("name")?,
        part: carrier(row, row.try_get("own")?)?,
        first_seen_at: time("first_seen_at")?,
        last_seen_at: time("report_run_at")?,
        superseded_by: row
            .try_get::<Option<&str>, _>("superseded_by")?
            .map(id)
            .transpose()?,
    })
}
