//! Integrations with what their status and their schedule need to know: one statement, so that they show one state of the
//! database, and cost one turn through a connection's thread however many there are.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::integrations::integration_with_id;
use super::runs::{Newest, record};
use super::{Store, StoreError};
use crate::domain::{Integration, IntegrationId, RunRecord, Timestamp};

/// What the schedule and the status need to know of an integration beside its settings.
#[derive(Clone, Debug)]
pub struct IntegrationOverview {
    /// The integration.
    pub integration: Integration,
    /// The last start that the schedule counts from.
    pub last_started_at: Option<Timestamp>,
    /// Addresses with facts in force.
    pub addresses: u64,
    /// Pairs that those facts want.
    pub pairs: u64,
    /// Pairs whose removal is kept back.
    pub held: u64,
    /// The run under way.
    pub active_run: Option<RunRecord>,
    /// The run that ended last.
    pub last_run: Option<RunRecord>,
    /// The last real run that succeeded.
    pub last_success: Option<RunRecord>,
}

/// Which integrations are meant.
enum Wanted<'a> {
    One(IntegrationId),
    /// By name, after this one, at most so many.
    Page(&'a str, u32),
}

impl Store {
    /// One integration with what a status needs.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot.
    pub async fn integration_overview(&self, id: IntegrationId) -> Result<IntegrationOverview, StoreError> {
        let found = self.overviews(Wanted::One(id)).await?.pop();
        found.ok_or(StoreError::NotFound("integration"))
    }

    /// The integrations after the name `after`, by name, at most `limit`, each with what a status needs.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn integrations(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<IntegrationOverview>, StoreError> {
        self.overviews(Wanted::Page(after.unwrap_or_default(), limit))
            .await
    }

    async fn overviews(&self, wanted: Wanted<'_>) -> Result<Vec<IntegrationOverview>, StoreError> {
        let mut sql = QueryBuilder::<Sqlite>::new("WITH wanted AS MATERIALIZED (SELECT integrations.*");
        for (which, column) in NEWEST {
            sql.push(format_args!(
                ", (SELECT id FROM runs WHERE integration_id = integrations.id AND {} ORDER BY id DESC LIMIT 1) AS {column}",
                which.condition()
            ));
        }
        sql.push(
            ", (SELECT count(*) FROM ledger WHERE held_for = integrations.id) AS held FROM integrations WHERE ",
        );
        match wanted {
            Wanted::One(id) => sql.push("id = ").push_bind(id.to_string()),
            Wanted::Page(after, limit) => sql
                .push("name > ")
                .push_bind(after.to_owned())
                .push(" ORDER BY name LIMIT ")
                .push_bind(limit)
                // SQLite prepares a statement anew for each value of a limit that is a bare parameter.
                .push(" + 0"),
        };
        // The columns of a run keep their names, as `record` reads them; of the integration only the id's is the same.
        sql.push(
            ") SELECT wanted.id AS wanted_id, name, enabled, update_interval_s, api_endpoint, token_url, client_id, \
             client_secret_set_at, tag, last_started_at, wanted.created_at AS created_at, updated_at, \
             newest_active, newest_ended, newest_success, held, addresses, pairs, runs.* \
             FROM wanted \
             LEFT JOIN fact_sets ON fact_sets.integration_id = wanted.id AND fact_sets.state = 'in_force' \
             LEFT JOIN runs ON runs.id IN (newest_active, newest_ended, newest_success) \
             ORDER BY name",
        );
        let rows = sql.build().fetch_all(&self.readers).await?;
        rows.chunk_by(|row, next| wanted_id(row) == wanted_id(next))
            .map(overview)
            .collect()
    }
}

/// The runs that an overview tells of.
const NEWEST: [(Newest, &str); 3] = [
    (Newest::Active, "newest_active"),
    (Newest::Ended, "newest_ended"),
    (Newest::Success, "newest_success"),
];

fn wanted_id(row: &SqliteRow) -> Option<&str> {
    row.try_get("wanted_id").ok()
}

/// The overview of an integration from its rows, of which there is one for each of its runs, but at least one.
fn overview(rows: &[SqliteRow]) -> Result<IntegrationOverview, StoreError> {
    let [first, ..] = rows else {
        return Err(StoreError::NotFound("integration"));
    };
    let number = |column: &str| -> Result<u64, StoreError> {
        let value: Option<i64> = first.try_get(column)?;
        Ok(u64::try_from(value.unwrap_or_default()).unwrap_or_default())
    };
    let run = |column: &str| -> Result<Option<RunRecord>, StoreError> {
        let Some(id) = first.try_get::<Option<&str>, _>(column)? else {
            return Ok(None);
        };
        let row = rows.iter().find(|row| row.try_get("id").ok() == Some(id));
        row.map(record).transpose()
    };
    Ok(IntegrationOverview {
        integration: integration_with_id(first, "wanted_id")?,
        last_started_at: first
            .try_get::<Option<i64>, _>("last_started_at")?
            .map(Timestamp::from_millis),
        addresses: number("addresses")?,
        pairs: number("pairs")?,
        held: number("held")?,
        active_run: run("newest_active")?,
        last_run: run("newest_ended")?,
        last_success: run("newest_success")?,
    })
}
