//! Removals that are kept back: marks on the ledger's pairs, and their approval.
//!
//! A mark names the run that kept the removal back and that run's integration. While it stands no run removes the pair;
//! the integration's next plan takes all its marks away and judges afresh.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::facts::ROWS_PER_STATEMENT;
use super::runs::{self, to_json};
use super::{
    AccountId, Actor, AuditAction, AuditEntry, FactSetId, RunStart, StartedRun, Store, StoreError, audit,
    integrations, run_start,
};
use crate::domain::{IntegrationId, Pair, RunFlags, RunId, Timestamp, Trigger};

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
        "SELECT EXISTS (SELECT 1 FROM ledger WHERE held_for = (SELECT integration_id FROM runs WHERE id = $1) \
             AND held_by = $1) \
         OR EXISTS (SELECT 1 FROM fact_sets s JOIN runs r ON r.id = s.run_id \
             WHERE s.run_id = $1 AND s.state = 'staged' AND r.state = 'held')",
    );
    Ok(kept.bind(run.to_string()).fetch_one(tx).await?)
}

/// Keeps the removals of pairs back.
pub(super) async fn hold(
    tx: &mut SqliteConnection,
    account: AccountId,
    run: RunId,
    integration: IntegrationId,
    pairs: &[Pair],
) -> Result<(), StoreError> {
    for chunk in pairs.chunks(ROWS_PER_STATEMENT) {
        let mut mark = QueryBuilder::<Sqlite>::new("UPDATE ledger SET held_by = ");
        mark.push_bind(run.to_string());
        mark.push(", held_for = ").push_bind(integration.to_string());
        mark.push(" WHERE account = ").push_bind(account.0);
        push_pairs(&mut mark, chunk);
        mark.build().execute(&mut *tx).await?;
    }
    Ok(())
}

/// Says in a run's plan that the removals of pairs are kept back.
pub(super) async fn note_hold(
    tx: &mut SqliteConnection,
    run: RunId,
    pairs: &[Pair],
) -> Result<(), StoreError> {
    for chunk in pairs.chunks(ROWS_PER_STATEMENT) {
        let mut step = QueryBuilder::<Sqlite>::new("UPDATE plan_steps SET change = 'hold' WHERE run_id = ");
        step.push_bind(run.to_string());
        push_pairs(&mut step, chunk);
        step.build().execute(&mut *tx).await?;
    }
    Ok(())
}

/// Takes the marks away that an integration has in an account, or without one in all.
pub(super) async fn release(
    tx: &mut SqliteConnection,
    integration: IntegrationId,
    account: Option<AccountId>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE ledger SET held_by = NULL, held_for = NULL WHERE held_for = $1 AND account = coalesce($2, account)",
    )
    .bind(integration.to_string())
    .bind(account.map(|account| account.0))
    .execute(tx)
    .await?;
    Ok(())
}

/// How many pairs are kept back for an integration.
pub(super) async fn count_held(
    connection: &mut SqliteConnection,
    integration: IntegrationId,
) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger WHERE held_for = $1")
        .bind(integration.to_string())
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(count).unwrap_or_default())
}

fn push_pairs(sql: &mut QueryBuilder<Sqlite>, pairs: &[Pair]) {
    sql.push(" AND (ip, context) IN (");
    sql.push_values(pairs, |mut row, pair| {
        row.push_bind(pair.ip.to_stored())
            .push_bind(pair.context.as_str());
    });
    sql.push(")");
}
