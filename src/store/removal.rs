//! The end of integrations: at once, with their labels left where they are, or by a run that removes the labels first.

use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use super::runs::{self, Newest};
use super::{
    AuditAction, AuditEntry, CancelOrder, RunStart, StartedRun, Store, StoreError, audit, departures,
    integrations, owner, run_start,
};
use crate::domain::{IntegrationId, RunFlags, RunRecord, SettingsTag, Timestamp, Trigger};

/// A removal that began.
#[derive(Clone, Debug)]
pub struct StartedRemoval {
    /// Its run.
    pub run: StartedRun,
    /// A run that was waiting, and was ended for it.
    pub ended: Option<RunRecord>,
}

/// What the audit log is to tell of a deletion once it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    by: CancelOrder,
    /// The integration as it was.
    integration: Option<serde_json::Value>,
}

impl Deletion {
    /// What the entry of the request tells.
    pub(super) fn new(entry: &AuditEntry) -> Self {
        Self {
            by: CancelOrder::by(&entry.actor, DELETED),
            integration: entry.original_object.clone(),
        }
    }
}

/// Why the runs of an integration that goes end.
const DELETED: &str = "the integration was deleted";

impl Store {
    /// Removes an integration: a run under way is cancelled, its facts go, and so do the ledger's pairs that no other
    /// integration wants, in all accounts. Labels in Fusion stay; runs and audit records too.
    ///
    /// It is gone by one short transaction. Its pairs leave the ledger by [`Store::work_off_arrears`].
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
        // What it keeps back has to stand in the ledger, to leave with it.
        let mut tx = self.write_without_arrears().await?;
        check_tag(&mut tx, id, tag).await?;
        let entry = &self.with_secret(&mut tx, id, entry).await?;
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
    ) -> Result<StartedRemoval, StoreError> {
        let mut tx = self.write().await?;
        check_tag(&mut tx, id, tag).await?;
        let entry = &self.with_secret(&mut tx, id, entry).await?;
        let mut ended = None;
        let active = runs::newest(&mut tx, id, Newest::Active).await?;
        if let Some(other) = active.filter(|run| run.trigger != Trigger::Removal) {
            let order = CancelOrder::by(&entry.actor, DELETED);
            runs::cancel_unfinished(&mut tx, id, &order, now).await?;
            let after = runs::record(&runs::row_of(&mut tx, other.id).await?)?;
            if !after.state.is_final() {
                tx.commit().await?;
                return Err(StoreError::RunEnding(other.id));
            }
            ended = Some(after);
        }
        let start = RunStart::new(entry.actor.clone(), Trigger::Removal, RunFlags::default());
        let started = run_start::start(&mut tx, id, &start, None, now).await?;
        if !started.joined {
            owner::note_deletion(&mut tx, started.record.id, entry).await?;
        }
        tx.commit().await?;
        Ok(StartedRemoval { run: started, ended })
    }
}

impl Store {
    /// The entry with the mark of the integration's secret.
    async fn with_secret(
        &self,
        tx: &mut SqliteConnection,
        id: IntegrationId,
        entry: &AuditEntry,
    ) -> Result<AuditEntry, StoreError> {
        let print = self.fingerprint_of(&integrations::row_of(tx, id).await?, id)?;
        let mut entry = entry.clone();
        integrations::note_secret(&mut entry.original_object, &print);
        Ok(entry)
    }
}

/// Deletes the integration whose labels a run removed, in the transaction that ends the run.
pub(super) async fn complete(
    tx: &mut SqliteConnection,
    run: &RunRecord,
    deletion: Deletion,
    now: Timestamp,
) -> Result<(), StoreError> {
    let name: Option<String> = sqlx::query_scalar("SELECT name FROM integrations WHERE id = $1")
        .bind(run.integration.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    erase(tx, run.integration).await?;
    let entry = AuditEntry {
        actor: deletion.by.actor(),
        action: AuditAction::Delete,
        description: format!(
            "Integration {} was deleted, after the run {} had removed its labels",
            name.unwrap_or_default(),
            run.id
        ),
        original_id: run.integration.to_string(),
        original_object: deletion.integration,
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
    departures::depart(tx, id).await?;
    // The rows of facts and plans are swept later, some thousand at a time.
    for statement in [
        "UPDATE fact_sets SET state = 'stale' WHERE integration_id = $1",
        "UPDATE runs SET plan = 'dropped' WHERE integration_id = $1 AND plan = 'kept'",
        "DELETE FROM integrations WHERE id = $1",
    ] {
        sqlx::query(statement)
            .bind(id.to_string())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}
