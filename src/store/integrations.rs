//! The table `integrations`.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::owner::write_on;
use super::seal::Sealed;
use super::{AuditEntry, ClaimedRun, RunStart, Store, StoreError, audit, run_start, runs};
use crate::domain::{
    AllowedHosts, ApiEndpoint, ClientSecret, Integration, IntegrationId, IntegrationSettings, ReportId,
    RunRecord, SettingsTag, Timestamp, TokenUrl, Trigger, UpdateInterval, WizConnection, WizCredentials,
};

/// An integration to be made.
#[derive(Clone, Debug)]
pub struct NewIntegration {
    /// Its id, which its secret is bound to.
    pub id: IntegrationId,
    /// Its settings.
    pub settings: IntegrationSettings,
    /// The secret of its service account.
    pub client_secret: ClientSecret,
}

/// The report of an integration in Wiz.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReport {
    /// Its id.
    pub id: ReportId,
    /// What it was last asked, as text; `None` when that is not known.
    pub asked: Option<String>,
}

impl Store {
    /// Makes an integration, and in the same transaction a run of it when `run` is given.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], or when the database cannot.
    pub async fn create_integration(
        &self,
        new: &NewIntegration,
        run: Option<&RunStart>,
        entry: &AuditEntry,
        now: Timestamp,
    ) -> Result<Option<RunRecord>, StoreError> {
        let sealed = self.keyring.seal(new.client_secret.expose(), &new.id.to_string());
        let mut tx = self.write().await?;
        let inserted = sqlx::query(
            "INSERT INTO integrations (id, name, enabled, update_interval_s, api_endpoint, token_url, client_id, \
             client_secret, client_secret_key, client_secret_set_at, tag, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $10, $10)",
        )
        .bind(new.id.to_string())
        .bind(new.settings.name.as_str())
        .bind(new.settings.enabled)
        .bind(new.settings.update_interval.as_secs())
        .bind(new.settings.wiz.api_endpoint.to_string())
        .bind(new.settings.wiz.token_url.to_string())
        .bind(&new.settings.wiz.client_id)
        .bind(sealed.bytes)
        .bind(sealed.key_id)
        .bind(now.as_millis())
        .execute(&mut *tx)
        .await;
        inserted.map_err(name_taken)?;
        let mut entry = entry.clone();
        let print = self.keyring.fingerprint(new.client_secret.expose());
        note_secret(&mut entry.new_object, &print);
        audit::append(&mut tx, &entry, now).await?;
        let run = match run {
            Some(start) => Some(run_start::start(&mut tx, new.id, start, None, now).await?.record),
            None => None,
        };
        tx.commit().await?;
        Ok(run)
    }

    /// Replaces the settings of an integration whose tag is still `tag`, and its secret when one is given. Ends a run
    /// under way, as cancelled with the reason `edited`, when the integration now points elsewhere.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::StaleTag`], [`StoreError::NameTaken`], [`StoreError::RunUnderWay`] while the
    /// integration is being removed, or when the database cannot.
    pub async fn update_integration(
        &self,
        id: IntegrationId,
        tag: SettingsTag,
        settings: &IntegrationSettings,
        client_secret: Option<&ClientSecret>,
        entry: &AuditEntry,
        now: Timestamp,
    ) -> Result<Integration, StoreError> {
        let sealed = client_secret.map(|secret| self.keyring.seal(secret.expose(), &id.to_string()));
        let (bytes, key_id) = sealed.map_or((None, None), |sealed| (Some(sealed.bytes), Some(sealed.key_id)));
        let mut tx = self.write().await?;
        let row = row_of(&mut tx, id).await?;
        let print_before = self.fingerprint_of(&row, id)?;
        let before = integration(&row)?;
        if before.tag != tag {
            return Err(StoreError::StaleTag);
        }
        let active = runs::newest(&mut tx, id, runs::Newest::Active).await?;
        if let Some(removal) = active.filter(|run| run.trigger == Trigger::Removal) {
            return Err(StoreError::RunUnderWay(removal.id, removal.trigger));
        }
        // Another tenant has another report.
        let moved = before.settings.wiz != settings.wiz;
        let row = sqlx::query(
            "UPDATE integrations SET name = $2, enabled = $3, update_interval_s = $4, api_endpoint = $5, token_url = $6, \
             client_id = $7, client_secret = coalesce($8, client_secret), \
             client_secret_key = coalesce($9, client_secret_key), \
             client_secret_set_at = CASE WHEN $8 IS NULL THEN client_secret_set_at ELSE $10 END, \
             report_id = CASE WHEN $11 THEN NULL ELSE report_id END, \
             report_asked = CASE WHEN $11 THEN NULL ELSE report_asked END, tag = tag + 1, updated_at = $10 \
             WHERE id = $1 RETURNING *",
        )
        .bind(id.to_string())
        .bind(settings.name.as_str())
        .bind(settings.enabled)
        .bind(settings.update_interval.as_secs())
        .bind(settings.wiz.api_endpoint.to_string())
        .bind(settings.wiz.token_url.to_string())
        .bind(&settings.wiz.client_id)
        .bind(bytes)
        .bind(key_id)
        .bind(now.as_millis())
        .bind(moved)
        .fetch_one(&mut *tx)
        .await;
        let after = integration(&row.map_err(name_taken)?)?;
        let mut entry = entry.clone();
        let print = client_secret.map(|secret| self.keyring.fingerprint(secret.expose()));
        note_secret(&mut entry.original_object, &print_before);
        note_secret(&mut entry.new_object, print.as_ref().unwrap_or(&print_before));
        audit::append(&mut tx, &entry, now).await?;
        if moved {
            let order = super::CancelOrder::edited(&entry.actor);
            runs::cancel_unfinished(&mut tx, id, &order, now).await?;
        }
        tx.commit().await?;
        Ok(after)
    }

    /// One integration.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot.
    pub async fn integration(&self, id: IntegrationId) -> Result<Integration, StoreError> {
        integration(&row_of(&mut *self.readers.acquire().await?, id).await?)
    }

    /// What a sign-in of the integration takes, with the secret opened.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Seal`] when the secret cannot be opened, or when the database cannot.
    pub async fn wiz_credentials(&self, id: IntegrationId) -> Result<WizCredentials, StoreError> {
        let row = row_of(&mut *self.readers.acquire().await?, id).await?;
        let opened = self.keyring.open(&sealed(&row)?, &id.to_string())?;
        let connection = integration(&row)?.settings.wiz;
        Ok(WizCredentials {
            connection,
            client_secret: ClientSecret::new(opened.as_str()),
        })
    }

    /// The mark of an integration's secret for the audit log.
    pub(super) fn fingerprint_of(&self, row: &SqliteRow, id: IntegrationId) -> Result<String, StoreError> {
        let opened = self.keyring.open(&sealed(row)?, &id.to_string());
        Ok(match opened {
            Ok(secret) => self.keyring.fingerprint(&secret),
            Err(_) => "fingerprint:unknown".to_owned(),
        })
    }

    /// The integration's report in Wiz, once it has one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot.
    pub async fn report(&self, id: IntegrationId) -> Result<Option<StoredReport>, StoreError> {
        let row = row_of(&mut *self.readers.acquire().await?, id).await?;
        let report_id: Option<String> = row.try_get("report_id")?;
        let asked = row.try_get("report_asked")?;
        Ok(report_id.map(|id| StoredReport {
            id: ReportId::new(id),
            asked,
        }))
    }

    /// Remembers the report in Wiz of a run's integration, or forgets it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`], or when the database cannot.
    pub async fn save_report(
        &self,
        run: &ClaimedRun,
        report: Option<&StoredReport>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        write_on(&mut tx, run, now).await?;
        let updated = sqlx::query("UPDATE integrations SET report_id = $2, report_asked = $3 WHERE id = $1")
            .bind(run.record.integration.to_string())
            .bind(report.map(|report| report.id.as_str()))
            .bind(report.and_then(|report| report.asked.as_deref()))
            .execute(&mut *tx)
            .await?;
        if updated.rows_affected() != 1 {
            return Err(StoreError::NotFound("integration"));
        }
        tx.commit().await?;
        Ok(())
    }
}

/// The sealed secret of a row.
pub(super) fn sealed(row: &SqliteRow) -> Result<Sealed, StoreError> {
    Ok(Sealed {
        key_id: row.try_get("client_secret_key")?,
        bytes: row.try_get("client_secret")?,
    })
}

/// Puts the mark of the secret where the secret would be in an object of an audit record.
pub(super) fn note_secret(object: &mut Option<serde_json::Value>, print: &str) {
    if let Some(wiz) = object.as_mut().and_then(|object| object.get_mut("wiz")) {
        wiz["clientsecret"] = print.into();
    }
}

pub(super) async fn row_of(
    connection: &mut SqliteConnection,
    id: IntegrationId,
) -> Result<SqliteRow, StoreError> {
    let row = sqlx::query("SELECT * FROM integrations WHERE id = $1").bind(id.to_string());
    row.fetch_optional(connection)
        .await?
        .ok_or(StoreError::NotFound("integration"))
}

/// The version of an integration's settings.
pub(super) async fn tag_of(
    connection: &mut SqliteConnection,
    id: IntegrationId,
) -> Result<SettingsTag, StoreError> {
    Ok(SettingsTag(row_of(connection, id).await?.try_get("tag")?))
}

fn name_taken(error: sqlx::Error) -> StoreError {
    if StoreError::is_unique_violation(&error) {
        StoreError::NameTaken
    } else {
        error.into()
    }
}

fn integration(row: &SqliteRow) -> Result<Integration, StoreError> {
    integration_with_id(row, "id")
}

/// The integration of a row that also has the columns of another table, so that its id goes by the name `id_column`.
pub(super) fn integration_with_id(row: &SqliteRow, id_column: &str) -> Result<Integration, StoreError> {
    let corrupt = StoreError::corrupt;
    let text = |column: &str| row.try_get::<String, _>(column);
    // The URLs were checked when they were stored; a setting that has become narrower since must not make the
    // integration unreadable. Whether requests may go there is decided anew at each request.
    let wiz = WizConnection {
        api_endpoint: stored_url(&text("api_endpoint")?, ApiEndpoint::read)
            .ok_or_else(|| corrupt("integrations.api_endpoint"))?,
        token_url: stored_url(&text("token_url")?, TokenUrl::read)
            .ok_or_else(|| corrupt("integrations.token_url"))?,
        client_id: text("client_id")?,
    };
    let time = |column: &str| row.try_get(column).map(Timestamp::from_millis);
    Ok(Integration {
        id: text(id_column)?.parse().map_err(|_| corrupt("integrations.id"))?,
        settings: IntegrationSettings {
            name: text("name")?.parse().map_err(|_| corrupt("integrations.name"))?,
            enabled: row.try_get("enabled")?,
            update_interval: UpdateInterval::try_from(row.try_get::<i64, _>("update_interval_s")?)
                .map_err(|_| corrupt("integrations.update_interval_s"))?,
            wiz,
        },
        tag: SettingsTag(row.try_get("tag")?),
        client_secret_set_at: time("client_secret_set_at")?,
        created_at: time("created_at")?,
        updated_at: time("updated_at")?,
    })
}

fn stored_url<T, E>(text: &str, read: impl Fn(&str, &AllowedHosts) -> Result<T, E>) -> Option<T> {
    let url = url::Url::parse(text).ok()?;
    let mut itself = AllowedHosts::default();
    itself.allow(url.host_str()?, None);
    read(text, &itself).ok()
}
