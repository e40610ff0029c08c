//! The end of history: records of runs, and of the audit log, that are kept no longer.

use sqlx::{QueryBuilder, Sqlite};

use super::{Store, StoreError};
use crate::domain::Timestamp;

/// Records that are deleted in one transaction, so that other writers get their turn in between.
const PRUNE_ROWS: usize = 100;

/// The runs that may go. What may go stays so: a run's plan, marks and facts are its own doing, and it has ended.
///
/// A run that ended and is too old, or has too many newer ones of its integration, unless something hangs on it: removals
/// that it holds back, facts that came by it, an approval of it under way. Of an integration that is there still, its last
/// run, its last success and the runs whose plans are kept stay too; one that was deleted has no status to show them in.
const MAY_GO: &str = "\
    WITH ended AS ( \
        SELECT id, integration_id, finished_at, coalesce(plan, '') AS plan, \
            row_number() OVER (PARTITION BY integration_id ORDER BY id DESC) AS place \
        FROM runs WHERE finished_at IS NOT NULL), \
    successes AS ( \
        SELECT integration_id, max(id) AS id FROM runs \
        WHERE state = 'succeeded' AND dry_run = 0 AND trigger NOT IN ('removal', 'verify') GROUP BY integration_id) \
    SELECT ended.id FROM ended \
    LEFT JOIN integrations ON integrations.id = ended.integration_id \
    LEFT JOIN successes ON successes.id = ended.id \
    WHERE (ended.finished_at < $1 OR ended.place > $2) \
        AND (integrations.id IS NULL OR (ended.place > 1 AND successes.id IS NULL AND ended.plan <> 'kept')) \
        AND NOT EXISTS ( \
            SELECT 1 FROM ledger WHERE held_for = ended.integration_id AND held_by = ended.id) \
        AND NOT EXISTS (SELECT 1 FROM fact_sets WHERE run_id = ended.id AND state <> 'stale') \
        AND ended.id NOT IN (SELECT id FROM runs WHERE marks IS NOT NULL) \
        AND ended.id NOT IN ( \
            SELECT approves FROM runs WHERE state IN ('queued', 'running') AND approves IS NOT NULL) \
    ORDER BY ended.id";

impl Store {
    /// Deletes the records of runs that ended before a time, or that have as many as `newest` newer ones of their
    /// integration, but for those that something hangs on. Gives how many.
    ///
    /// Cursors of lists stay good: they name a place in the order, not a record.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn prune_runs(&self, ended_before: Timestamp, newest: u32) -> Result<u64, StoreError> {
        let runs: Vec<String> = sqlx::query_scalar(MAY_GO)
            .bind(ended_before.as_millis())
            .bind(newest)
            .fetch_all(&self.readers)
            .await?;
        // The plans of deleted integrations are kept still.
        for some in runs.chunks(PRUNE_ROWS) {
            let mut drop =
                QueryBuilder::<Sqlite>::new("UPDATE runs SET plan = 'dropped' WHERE plan = 'kept'");
            push_runs(&mut drop, some);
            let mut tx = self.write().await?;
            drop.build().execute(&mut *tx).await?;
            tx.commit().await?;
        }
        self.sweep_plans().await?;
        let mut pruned = 0;
        for some in runs.chunks(PRUNE_ROWS) {
            let mut delete = QueryBuilder::<Sqlite>::new("DELETE FROM runs WHERE finished_at IS NOT NULL");
            push_runs(&mut delete, some);
            let mut tx = self.write().await?;
            pruned += delete.build().execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
        }
        Ok(pruned)
    }

    /// Deletes the audit records from before a time, from the oldest on and without a gap; the newest one stays in any
    /// case, and the hash of the last one that goes stays as the anchor of the others. Gives how many.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        // Where a clock was set back, records follow that are older than those before them: they wait for these.
        let first_kept: Option<i64> = sqlx::query_scalar(
            "SELECT coalesce((SELECT min(number) FROM audit WHERE timestamp_ms >= $1), (SELECT max(number) FROM audit))",
        )
        .bind(before.as_millis())
        .fetch_one(&self.readers)
        .await?;
        let mut pruned = 0;
        loop {
            let mut tx = self.write().await?;
            // The chain begins behind the anchor, so that it stays whole; only what lies before it can be deleted.
            let moved = sqlx::query(
                "UPDATE audit_anchor SET (number, hash) = (SELECT number, hash FROM audit WHERE number = last.number), \
                 deleted = deleted + last.count, moved_at = $3 \
                 FROM (SELECT max(number) AS number, count(*) AS count FROM \
                 (SELECT number FROM audit WHERE number < $1 ORDER BY number LIMIT $2)) AS last \
                 WHERE last.number IS NOT NULL",
            )
            .bind(first_kept)
            .bind(i64::try_from(PRUNE_ROWS).unwrap_or(i64::MAX))
            .bind(before.as_millis())
            .execute(&mut *tx)
            .await?;
            if moved.rows_affected() == 0 {
                return Ok(pruned);
            }
            let deleted = sqlx::query("DELETE FROM audit WHERE number <= (SELECT number FROM audit_anchor)")
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            pruned += deleted.rows_affected();
        }
    }
}

fn push_runs(sql: &mut QueryBuilder<Sqlite>, runs: &[String]) {
    sql.push(" AND id IN (");
    let mut ids = sql.separated(", ");
    for run in runs {
        ids.push_bind(run.clone());
    }
    sql.push(")");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::domain::{IntegrationId, RunId};
    use crate::store::database::tests::store;
    use crate::store::{Actor, AuditAction, AuditEntry, AuditQuery, RunsQuery, audit};

    /// Hours into the test.
    fn at(hours: u64) -> Timestamp {
        Timestamp::from_millis(1_795_493_090_000) + Duration::from_hours(hours)
    }

    async fn execute(store: &Store, sql: String) {
        let mut tx = store.write().await.unwrap();
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn integration(store: &Store, name: &str) -> IntegrationId {
        let id = IntegrationId::new(at(0));
        let sql = format!(
            "INSERT INTO integrations (id, name, enabled, update_interval_s, api_endpoint, token_url, client_id, \
             client_secret, client_secret_key, client_secret_set_at, tag, created_at, updated_at) \
             VALUES ('{id}', '{name}', 1, 86400, '', '', '', x'00', 'k', 0, 1, 0, 0)"
        );
        execute(store, sql).await;
        id
    }

    /// A run that was asked for at a time and, unless it is under way, ended an hour later.
    async fn run(store: &Store, integration: IntegrationId, state: &str, asked: Timestamp) -> RunId {
        let (id, asked_ms) = (RunId::new(asked), asked.as_millis());
        let finished = match state {
            "queued" | "running" => "NULL".to_owned(),
            _ => (asked + Duration::from_hours(1)).as_millis().to_string(),
        };
        let sql = format!(
            "INSERT INTO runs (id, integration_id, state, trigger, requested_by, dry_run, full, resume_at, queued_at, \
             finished_at) VALUES ('{id}', '{integration}', '{state}', 'manual', 'admin', 0, 0, {asked_ms}, {asked_ms}, \
             {finished})"
        );
        execute(store, sql).await;
        id
    }

    async fn set(store: &Store, run: RunId, what: &str) {
        execute(store, format!("UPDATE runs SET {what} WHERE id = '{run}'")).await;
    }

    /// The ids of the runs that are there, the newest first.
    async fn runs(store: &Store, before: Option<RunId>, limit: u32) -> Vec<RunId> {
        let query = RunsQuery {
            integration: None,
            before,
            limit,
        };
        let records = store.runs(&query).await.unwrap();
        records.iter().map(|record| record.id).collect()
    }

    #[tokio::test]
    async fn runs_go_that_are_old_or_have_too_many_newer_ones_of_their_integration() {
        let (store, _folder) = store().await;
        let (one, two) = (integration(&store, "one").await, integration(&store, "two").await);
        let of_two = run(&store, two, "failed", at(0)).await;
        let mut of_one = Vec::new();
        for hour in 0..10 {
            of_one.push(run(&store, one, "failed", at(hour)).await);
        }
        // The first three ended before the fourth hour.
        assert_eq!(store.prune_runs(at(4), 1000).await.unwrap(), 3);
        assert_eq!(store.run(of_one[3]).await.unwrap().id, of_one[3]);
        // A page was read; its cursor outlives the run that it names.
        let page = runs(&store, None, 5).await;
        let cursor = *page.last().unwrap();
        assert_eq!(store.prune_runs(at(4), 3).await.unwrap(), 4);
        assert!(!runs(&store, None, 100).await.contains(&cursor));
        assert_eq!(runs(&store, Some(cursor), 100).await, [of_two]);
        assert_eq!(store.prune_runs(at(4), 3).await.unwrap(), 0);
        assert_eq!(runs(&store, None, 3).await, [of_one[9], of_one[8], of_one[7]]);
    }

    #[tokio::test]
    async fn what_something_hangs_on_stays_however_old_it_is() {
        let (store, _folder) = store().await;
        let account = store.fusion_account("api.netography.com", "acme").await.unwrap();
        let one = integration(&store, "one").await;
        let mut stay = Vec::new();
        for (hour, state) in (0..).zip(["staging", "staged", "in_force", "dry"]) {
            let with_facts = run(&store, one, "failed", at(hour)).await;
            let sql = format!(
                "INSERT INTO fact_sets (integration_id, run_id, state, report_run_at, created_at) \
                 VALUES ('{one}', '{with_facts}', '{state}', 0, 0)"
            );
            execute(&store, sql).await;
            stay.push(with_facts);
        }
        let with_stale_facts = run(&store, one, "failed", at(4)).await;
        let sql = format!(
            "INSERT INTO fact_sets (integration_id, run_id, state, report_run_at, created_at) \
             VALUES ('{one}', '{with_stale_facts}', 'stale', 0, 0)"
        );
        execute(&store, sql).await;
        let holds = run(&store, one, "held", at(5)).await;
        let sql = format!(
            "INSERT INTO ledger (account, ip, context, acknowledged, run_id, held_by, held_for) \
             VALUES ({}, x'040a000001', 'cve', 'CVE-2024-0001', '', '{holds}', '{one}')",
            account.0
        );
        execute(&store, sql).await;
        let held_no_more = run(&store, one, "held", at(6)).await;
        let with_plan = run(&store, one, "held", at(7)).await;
        set(&store, with_plan, "plan = 'kept'").await;
        let without_plan = run(&store, one, "failed", at(8)).await;
        set(&store, without_plan, "plan = 'dropped'").await;
        let approved = run(&store, one, "held", at(9)).await;
        let last_success = run(&store, one, "succeeded", at(10)).await;
        let later_dry = run(&store, one, "succeeded", at(11)).await;
        set(&store, later_dry, "dry_run = 1").await;
        let later_verified = run(&store, one, "succeeded", at(12)).await;
        set(&store, later_verified, "trigger = 'verify'").await;
        let last = run(&store, one, "failed", at(13)).await;
        let under_way = run(&store, one, "running", at(14)).await;
        set(&store, under_way, &format!("approves = '{approved}'")).await;

        let go = [
            with_stale_facts,
            held_no_more,
            without_plan,
            later_dry,
            later_verified,
        ];
        stay.extend([holds, with_plan, approved, last_success, last, under_way]);
        assert_eq!(store.prune_runs(at(10_000), 1).await.unwrap(), 5);
        for run in &stay {
            store.run(*run).await.unwrap();
        }
        for run in go {
            assert!(matches!(store.run(run).await, Err(StoreError::NotFound(_))));
        }
        assert_eq!(runs(&store, None, 100).await.len(), stay.len());

        // The approval ends, and with it what kept the run that it approves.
        set(&store, under_way, "state = 'succeeded', finished_at = 0").await;
        assert_eq!(store.prune_runs(at(10_000), 1).await.unwrap(), 3);
        for run in [approved, last_success, last] {
            assert!(matches!(store.run(run).await, Err(StoreError::NotFound(_))));
        }
    }

    #[tokio::test]
    async fn of_a_deleted_integration_all_goes_in_time() {
        let (store, _folder) = store().await;
        let gone = IntegrationId::new(at(0));
        for hour in 0..250 {
            let run = run(&store, gone, "succeeded", at(hour)).await;
            set(&store, run, "plan = 'kept'").await;
            let step = format!(
                "INSERT INTO plan_steps (run_id, ip, context, change) VALUES ('{run}', x'040a000001', 'cve', 'remove')"
            );
            execute(&store, step).await;
        }
        assert_eq!(store.prune_runs(at(1), 1000).await.unwrap(), 0);
        assert_eq!(store.prune_runs(at(1000), 1000).await.unwrap(), 250);
        let steps: i64 = sqlx::query_scalar("SELECT count(*) FROM plan_steps")
            .fetch_one(&store.readers)
            .await
            .unwrap();
        assert_eq!(steps, 0);
    }

    #[tokio::test]
    async fn audit_records_go_from_the_oldest_on_and_the_newest_stays() {
        let (store, _folder) = store().await;
        // A clock that was set back makes the third one older than the second.
        for hours in [0, 100, 50, 200, 201] {
            let entry = AuditEntry {
                actor: Actor::scheduler(),
                action: AuditAction::Create,
                description: String::new(),
                original_id: String::new(),
                original_object: None,
                new_object: None,
            };
            let mut tx = store.write().await.unwrap();
            audit::append(&mut tx, &entry, at(hours)).await.unwrap();
            tx.commit().await.unwrap();
        }
        let numbers = async || {
            let query = AuditQuery {
                limit: 100,
                ..AuditQuery::default()
            };
            let records = store.audit(&query).await.unwrap();
            records.iter().map(|(number, _)| *number).collect::<Vec<_>>()
        };
        assert_eq!(store.prune_audit(at(0)).await.unwrap(), 0);
        assert_eq!(store.prune_audit(at(60)).await.unwrap(), 1);
        assert_eq!(numbers().await, [5, 4, 3, 2]);
        assert_eq!(store.prune_audit(at(101)).await.unwrap(), 2);
        assert_eq!(store.prune_audit(at(10_000)).await.unwrap(), 1);
        assert_eq!(numbers().await, [5]);
        assert_eq!(store.prune_audit(at(10_000)).await.unwrap(), 0);
    }
}
