//! The end of integrations: at once, with their labels left where they are, or by a run that removes the labels first.

use sqlx::SqliteConnection;

use super::runs::{self, Newest};
use super::{
    Actor, AuditAction, AuditEntry, CancelOrder, RunStart, StartedRun, Store, StoreError, audit, holds,
    integrations, ledger, queue, run_start,
};
use crate::domain::{IntegrationId, RunFlags, RunRecord, SettingsTag, Timestamp, Trigger};

/// Why the runs of an integration that goes end.
const DELETED: &str = "the integration was deleted";

impl Store {
    /// Removes an integration: a run under way is cancelled, its facts go, and so do the ledger's pairs that no other
    /// integration wants, in all accounts. Labels in Fusion stay; runs and audit records too.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::StaleTag`] when `tag` is given and not the present one, or when the
    /// database cannot.
    pub async fn delete_integration(
        &self,
        id: IntegrationId,
        tag: Option<SettingsTag>,
        entry: &AuditEntry,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        check_tag(&mut tx, id, tag).await?;
        let order = CancelOrder::by(&entry.actor, DELETED);
        runs::cancel_unfinished(&mut tx, id, &order, now).await?;
        erase(&mut tx, id).await?;
        audit::append(&mut tx, entry, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Starts the run that removes an integration's labels, and with its success the integration; joins it when it is
    /// under way. Another run under way is cancelled first: while somebody works on it, that takes a moment, after which
    /// this call is to be made again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::StaleTag`] when `tag` is given and not the present one,
    /// [`StoreError::RunEnding`] while another run comes to its end, or when the database cannot.
    pub async fn start_removal(
        &self,
        id: IntegrationId,
        tag: Option<SettingsTag>,
        entry: &AuditEntry,
        now: Timestamp,
    ) -> Result<StartedRun, StoreError> {
        let mut tx = self.write().await?;
        check_tag(&mut tx, id, tag).await?;
        let active = runs::newest(&mut tx, id, Newest::Active).await?;
        if let Some(other) = active.filter(|run| run.trigger != Trigger::Removal) {
            let order = CancelOrder::by(&entry.actor, DELETED);
            runs::cancel_unfinished(&mut tx, id, &order, now).await?;
            let after = runs::record(&runs::row_of(&mut tx, other.id).await?)?;
            if !after.state.is_final() {
                tx.commit().await?;
                return Err(StoreError::RunEnding(other.id));
            }
        }
        let start = RunStart::new(entry.actor.clone(), Trigger::Removal, RunFlags::default());
        let started = run_start::start(&mut tx, id, &start, None, now).await?;
        if !started.joined {
            queue::note_deletion(&mut tx, started.record.id, entry.original_object.as_ref()).await?;
        }
        tx.commit().await?;
        Ok(started)
    }
}

/// Deletes the integration whose labels a run removed, in the transaction that ends the run.
pub(super) async fn complete(
    tx: &mut SqliteConnection,
    run: &RunRecord,
    requested_by: String,
    deleted: Option<serde_json::Value>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let name: Option<String> = sqlx::query_scalar("SELECT name FROM integrations WHERE id = $1")
        .bind(run.integration.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    erase(tx, run.integration).await?;
    let entry = AuditEntry {
        actor: Actor::named(requested_by),
        action: AuditAction::Delete,
        description: format!(
            "Integration {} was deleted, after the run {} had removed its labels",
            name.unwrap_or_default(),
            run.id
        ),
        original_id: run.integration.to_string(),
        original_object: deleted,
        new_object: None,
    };
    audit::append(tx, &entry, now).await
}

async fn check_tag(
    tx: &mut SqliteConnection,
    id: IntegrationId,
    tag: Option<SettingsTag>,
) -> Result<(), StoreError> {
    let present = integrations::tag_of(tx, id).await?;
    match tag {
        Some(tag) if tag != present => Err(StoreError::StaleTag),
        _ => Ok(()),
    }
}

async fn erase(tx: &mut SqliteConnection, id: IntegrationId) -> Result<(), StoreError> {
    ledger::forget_integration(tx, id).await?;
    holds::release(tx, id, None).await?;
    for delete in [
        "DELETE FROM fact_addresses WHERE fact_set IN (SELECT id FROM fact_sets WHERE integration_id = $1)",
        "DELETE FROM facts WHERE fact_set IN (SELECT id FROM fact_sets WHERE integration_id = $1)",
        "DELETE FROM fact_sets WHERE integration_id = $1",
        "DELETE FROM integrations WHERE id = $1",
    ] {
        sqlx::query(delete).bind(id.to_string()).execute(&mut *tx).await?;
    }
    Ok(())
}
