//! Removals that are kept back: marks on the ledger's pairs, and their approval.
//!
//! A mark names the run that kept the removal back and that run's integration. While it stands no run removes the pair;
//! the integration's next plan judges afresh, and its marks take the place of those before (`marks`).

use sqlx::SqliteConnection;

use super::runs::{self, to_json};
use super::{
    Actor, AuditAction, AuditEntry, FactSetId, RunStart, StartedRun, Store, StoreError, audit, integrations,
    run_start,
};
use crate::domain::{RunFlags, RunId, Timestamp, Trigger};

impl Store {
    /// The facts that an approval brings into force: those of the report without findings that the run `held` kept back.
    /// `None` when it kept removals only.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn facts_kept_back(&self, held: RunId) -> Result<Option<FactSetId>, StoreError> {
        let set = sqlx::query_scalar("SELECT id FROM fact_sets WHERE run_id = $1 AND state = 'staged'");
        let set = set.bind(held.to_string()).fetch_optional(&self.readers).await?;
        Ok(set.map(FactSetId))
    }

    /// Starts a run that applies what the run `held` still keeps back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such run or its integration is gone, [`StoreError::NothingHeld`] when it
    /// keeps nothing back any more, those of [`Store::start_run`], or when the database cannot.
    pub async fn approve_run(
        &self,
        held: RunId,
        actor: Actor,
        now: Timestamp,
    ) -> Result<StartedRun, StoreError> {
        let mut tx = self.write().await?;
        let before = runs::record(&runs::row_of(&mut tx, held).await?)?;
        integrations::tag_of(&mut tx, before.integration).await?;
        if !keeps_back(&mut tx, held).await? {
            return Err(StoreError::NothingHeld);
        }
        let start = RunStart::new(actor, Trigger::Approval, RunFlags::default());
        let started = run_start::start(&mut tx, before.integration, &start, Some(held), now).await?;
        let entry = AuditEntry {
            actor: start.actor,
            action: AuditAction::RunApprove,
            description: format!("What the run {held} kept back was approved"),
            original_id: before.integration.to_string(),
            original_object: Some(to_json(&before)),
            new_object: Some(to_json(&started.record)),
        };
        audit::append(&mut tx, &entry, now).await?;
        tx.commit().await?;
        Ok(started)
    }
}

/// Whether a run keeps back anything: removals, or a report without findings.
async fn keeps_back(tx: &mut SqliteConnection, run: RunId) -> Result<bool, StoreError> {
    let kept = sqlx::query_scalar(
        // The marks of a plan that a newer one replaced may still stand: those of the newer are then still to be written.
        "SELECT EXISTS (SELECT 1 FROM ledger l JOIN runs r ON r.integration_id = l.held_for \
             WHERE r.id = $1 AND l.held_by = $1 AND NOT EXISTS ( \
                 SELECT 1 FROM runs n WHERE n.integration_id = r.integration_id AND n.id <> r.id AND n.marks IS NOT NULL)) \
         OR EXISTS (SELECT 1 FROM fact_sets s JOIN runs r ON r.id = s.run_id \
             WHERE s.run_id = $1 AND s.state = 'staged' AND r.state = 'held') \
         OR EXISTS (SELECT 1 FROM runs WHERE id = $1 AND marks IS NOT NULL AND hold <> 'nothing')",
    );
    Ok(kept.bind(run.to_string()).fetch_one(tx).await?)
}
