//! What the figures for Prometheus say of the database.

use sqlx::Row as _;

use super::{Store, StoreError, runs};
use crate::domain::{Figures, IntegrationId};

impl Store {
    /// What the database holds.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn figures(&self) -> Result<Figures, StoreError> {
        let mut reader = self.readers.acquire().await?;
        let counted = sqlx::query(
            "SELECT state, count(*) AS number FROM runs WHERE state IN ('queued', 'running') GROUP BY state",
        );
        let mut figures = Figures::default();
        for row in counted.fetch_all(&mut *reader).await? {
            let number = u64::try_from(row.try_get::<i64, _>("number")?).unwrap_or_default();
            match row.try_get::<&str, _>("state")? {
                "queued" => figures.queued = number,
                _ => figures.running = number,
            }
        }
        let size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
        let bytes: i64 = sqlx::query_scalar(size).fetch_one(&mut *reader).await?;
        figures.database_bytes = u64::try_from(bytes).unwrap_or_default();
        let integrations = sqlx::query("SELECT id, name FROM integrations ORDER BY name");
        for row in integrations.fetch_all(&mut *reader).await? {
            let id: IntegrationId = row
                .try_get::<&str, _>("id")?
                .parse()
                .map_err(|_| StoreError::corrupt("integrations.id"))?;
            let newest = runs::newest(&mut reader, id, runs::Newest::Success).await?;
            let made = newest
                .and_then(|run| run.certificate)
                .map(|certificate| certificate.report_run_at);
            figures.reports.push((row.try_get("name")?, made));
        }
        Ok(figures)
    }
}
