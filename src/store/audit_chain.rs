//! The chain of the audit log: each record carries the hash of the one before, so that none can be changed, taken out or
//! put in between without a trace.
//!
//! ```text
//!  anchor ─▶ record ─▶ record ─▶ … ─▶ head
//!  (what was deleted for its age)     (in /metrics: a log that was cut off at its end ends elsewhere)
//! ```
//!
//! What a hash is made of: [`canonical`](super::canonical).

use serde::Serialize;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use utoipa::ToSchema;

use super::audit::{push_condition, record};
use super::canonical::hash_of;
use super::{AuditQuery, AuditRecord, Store, StoreError};
use crate::domain::{AuditId, Timestamp};

/// What the first record of a log carries as the hash of the one before.
pub(super) const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Records that are read or chained at a time.
const BATCH: u32 = 500;

/// What a look at the whole chain came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditVerdict {
    /// Whether every record is as it was written, and none is missing since the beginning.
    pub valid: bool,
    /// How many records there are.
    #[schema(example = 1204)]
    pub records: u64,
    /// The hash of the last record. Kept elsewhere, it shows later that nothing up to it was taken away.
    #[schema(example = "6b23c0d5f35d1b11f9b683f0b0a617355deb11277d91ae091d399c655b87940d")]
    pub head: String,
    /// How many records were deleted for their age, from the beginning on.
    pub deleted: u64,
    /// The hash that the first record follows: of the last one that was deleted for its age, or 64 zeros.
    pub anchor: String,
    /// The id of the first record that is not as it should be, or that the records before it do not lead to. Where the end
    /// of the log is missing, the last one that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<AuditId>,
    /// What is wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Whether the hash that was asked for is one of this log's; only where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<bool>,
}

impl Store {
    /// Looks at every record, whether it is as it was written and follows the one before. With `contains` it tells whether a
    /// hash is one of the log's.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn verify_audit(&self, contains: Option<&str>) -> Result<AuditVerdict, StoreError> {
        let mut tx = self.read().await?;
        verify(&mut tx, contains).await
    }

    /// The end of the chain: the hash of the last record.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn audit_head(&self) -> Result<String, StoreError> {
        let last = sqlx::query_scalar(
            "SELECT coalesce((SELECT hash FROM audit ORDER BY number DESC LIMIT 1), (SELECT hash FROM audit_anchor))",
        );
        Ok(last.fetch_one(&self.readers).await?)
    }

    /// The records after a number that a query asks for, the oldest first, each with its number.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn audit_onwards(
        &self,
        query: &AuditQuery,
        after: i64,
    ) -> Result<Vec<(i64, AuditRecord)>, StoreError> {
        let mut sql = QueryBuilder::<Sqlite>::new("SELECT * FROM audit WHERE number > ");
        sql.push_bind(after);
        sql.push(" AND timestamp_ms >= ")
            .push_bind(query.since.map_or(i64::MIN, Timestamp::as_millis));
        sql.push(" AND timestamp_ms <= ")
            .push_bind(query.until.map_or(i64::MAX, Timestamp::as_millis));
        sql.push(" AND ");
        push_condition(&mut sql, &query.condition);
        sql.push(" ORDER BY number LIMIT ").push_bind(query.limit);
        let rows = sql.build().fetch_all(&self.readers).await?;
        rows.iter()
            .map(|row| Ok((row.try_get("number")?, record(row)?)))
            .collect()
    }

    /// Chains the records from before there was a chain, some hundred a transaction. What was done stays done when it is cut
    /// off. Gives how many.
    pub(super) async fn chain_old_records(&self) -> Result<u64, StoreError> {
        let mut chained = 0;
        loop {
            let mut tx = self.write().await?;
            let some = chain_some(&mut tx).await?;
            tx.commit().await?;
            if some == 0 {
                return Ok(chained);
            }
            chained += some;
        }
    }
}

async fn chain_some(tx: &mut SqliteConnection) -> Result<u64, StoreError> {
    let rows = sqlx::query("SELECT * FROM audit WHERE hash IS NULL ORDER BY number LIMIT $1");
    let rows = rows.bind(BATCH).fetch_all(&mut *tx).await?;
    let Some(first) = rows.first() else { return Ok(0) };
    let before = sqlx::query_scalar(
        "SELECT coalesce((SELECT hash FROM audit WHERE number < $1 ORDER BY number DESC LIMIT 1), \
         (SELECT hash FROM audit_anchor))",
    );
    let mut previous: String = before
        .bind(first.try_get::<i64, _>("number")?)
        .fetch_one(&mut *tx)
        .await?;
    for row in &rows {
        let mut record = record(row)?;
        record.previous_hash = previous;
        record.hash = hash_of(&record);
        sqlx::query("UPDATE audit SET previous_hash = $2, hash = $3 WHERE number = $1")
            .bind(row.try_get::<i64, _>("number")?)
            .bind(&record.previous_hash)
            .bind(&record.hash)
            .execute(&mut *tx)
            .await?;
        previous = record.hash;
    }
    Ok(rows.len() as u64)
}

/// Looks at the chain in one state of the database.
pub(super) async fn verify(
    tx: &mut SqliteConnection,
    contains: Option<&str>,
) -> Result<AuditVerdict, StoreError> {
    let anchor = sqlx::query("SELECT number, hash, deleted FROM audit_anchor")
        .fetch_one(&mut *tx)
        .await?;
    let anchor_hash: String = anchor.try_get("hash")?;
    let deleted: i64 = anchor.try_get("deleted")?;
    let mut verdict = AuditVerdict {
        valid: true,
        records: 0,
        head: anchor_hash.clone(),
        deleted: u64::try_from(deleted).unwrap_or_default(),
        contains: contains.map(|hash| hash == anchor_hash),
        anchor: anchor_hash,
        first_bad: None,
        problem: None,
    };
    let mut number: i64 = i64::MIN;
    let mut last = None;
    loop {
        let rows = sqlx::query("SELECT * FROM audit WHERE number > $1 ORDER BY number LIMIT $2");
        let rows = rows.bind(number).bind(BATCH).fetch_all(&mut *tx).await?;
        let Some(newest) = rows.last() else { break };
        number = newest.try_get("number")?;
        for row in &rows {
            let id: String = row.try_get("id")?;
            verdict.records += 1;
            let checked = record(row).map(|record| {
                let problem = problem_of(&record, &verdict.head);
                (record, problem)
            });
            let (hash, problem) = match checked {
                Ok((record, problem)) => (record.hash, problem),
                Err(_) => (
                    row.try_get::<Option<String>, _>("hash")?.unwrap_or_default(),
                    Some("it is no record that this service wrote".to_owned()),
                ),
            };
            if let (Some(problem), None) = (problem, &verdict.problem) {
                verdict.problem = Some(problem);
                verdict.first_bad = id.parse().ok();
                verdict.valid = false;
            }
            if contains == Some(&*hash) {
                verdict.contains = Some(true);
            }
            verdict.head = hash;
            last = id.parse().ok();
        }
    }
    // SQLite remembers the greatest number that it ever gave.
    let given: Option<i64> = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")
        .fetch_optional(&mut *tx)
        .await?;
    if verdict.valid && given.is_some_and(|given| given > number) {
        verdict.valid = false;
        verdict.first_bad = last;
        verdict.problem = Some("records after it are missing".to_owned());
    }
    Ok(verdict)
}

fn problem_of(record: &AuditRecord, previous: &str) -> Option<String> {
    if record.previous_hash != previous {
        Some("it does not follow the record before it: one was taken out, put in or changed".to_owned())
    } else if hash_of(record) != record.hash {
        Some("it is not as it was written".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::store::database::tests::store;
    use crate::store::{Actor, AuditAction, AuditEntry, audit};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_795_493_090_000 + ms)
    }

    async fn write(store: &Store, number: i64) {
        let entry = AuditEntry {
            actor: Actor::scheduler(),
            action: AuditAction::Create,
            description: format!("number {number} ü \"quoted\" \u{1}"),
            original_id: String::new(),
            original_object: None,
            new_object: Some(json!({"b": number, "a": [true, null, 0.5, u64::MAX]})),
        };
        let mut tx = store.write().await.unwrap();
        audit::append(&mut tx, &entry, at(number)).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn execute(store: &Store, sql: &str) -> Result<(), sqlx::Error> {
        let mut tx = store.write().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    async fn id(store: &Store, number: i64) -> AuditId {
        let id: String = sqlx::query_scalar("SELECT id FROM audit WHERE number = $1")
            .bind(number)
            .fetch_one(&store.readers)
            .await
            .unwrap();
        id.parse().unwrap()
    }

    /// What somebody can do who has the file: the triggers are theirs to drop.
    async fn meddle(store: &Store, sql: &str) {
        let triggers = "DROP TRIGGER audit_only_grows; DROP TRIGGER audit_is_never_changed; \
                        DROP TRIGGER audit_goes_from_the_beginning; ";
        execute(store, &format!("{triggers}{sql}")).await.unwrap();
    }

    #[tokio::test]
    async fn a_log_that_nobody_touched_is_valid() {
        let (store, _folder) = store().await;
        let empty = store.verify_audit(None).await.unwrap();
        assert_eq!((empty.valid, empty.records, &*empty.head), (true, 0, FIRST));
        for number in 1..=1200 {
            write(&store, number).await;
        }
        let verdict = store.verify_audit(Some(FIRST)).await.unwrap();
        assert_eq!((verdict.valid, verdict.records), (true, 1200), "{verdict:?}");
        assert_eq!(verdict.head, store.audit_head().await.unwrap());
        assert_eq!(verdict.contains, Some(true));
        let other = "1".repeat(64);
        let verdict = store.verify_audit(Some(&other)).await.unwrap();
        assert_eq!(verdict.contains, Some(false));
    }

    #[tokio::test]
    async fn the_first_record_that_somebody_meddled_with_is_named() {
        for (meddling, bad, problem) in [
            (
                "UPDATE audit SET user = 'me' WHERE number = 3",
                3,
                "as it was written",
            ),
            (
                "UPDATE audit SET new_object = '{}' WHERE number IN (3, 5)",
                3,
                "as it was written",
            ),
            (
                "UPDATE audit SET new_object = '{' WHERE number = 4",
                4,
                "no record",
            ),
            ("DELETE FROM audit WHERE number = 3", 4, "follow"),
            ("DELETE FROM audit WHERE number < 3", 3, "follow"),
            ("DELETE FROM audit WHERE number > 4", 4, "after it are missing"),
            (
                "INSERT INTO audit SELECT 9, 'x' || id, timestamp_ms, class, subclass, action, user, description, original_id, \
                 original_object, new_object, request_id, address, key_id, previous_hash, hash FROM audit WHERE number = 6; \
                 UPDATE audit SET id = '01a20d2a-52f4-76b3-85de-865a20570c92' WHERE number = 9",
                9,
                "follow",
            ),
        ] {
            let (store, _folder) = store().await;
            for number in 1..=6 {
                write(&store, number).await;
            }
            meddle(&store, meddling).await;
            let verdict = store.verify_audit(None).await.unwrap();
            assert!(!verdict.valid, "{meddling}");
            assert_eq!(verdict.first_bad, Some(id(&store, bad).await), "{meddling}");
            assert!(verdict.problem.unwrap().contains(problem), "{meddling}");
        }
    }

    #[tokio::test]
    async fn the_schema_takes_no_change_of_the_log() {
        let (store, _folder) = store().await;
        for number in 1..=3 {
            write(&store, number).await;
        }
        let copy = "SELECT id, timestamp_ms, class, subclass, action, user, description, previous_hash, hash FROM audit \
                    WHERE number = 3";
        let columns = "(id, timestamp_ms, class, subclass, action, user, description, previous_hash, hash)";
        for sql in [
            "UPDATE audit SET user = 'me' WHERE number = 1".to_owned(),
            "UPDATE audit SET hash = previous_hash".to_owned(),
            "DELETE FROM audit WHERE number = 1".to_owned(),
            "DELETE FROM audit".to_owned(),
            format!("INSERT OR REPLACE INTO audit {columns} {copy}"),
            format!("INSERT INTO audit {columns} {}", copy.replace("SELECT id", "SELECT 'x'")),
            "INSERT INTO audit (id, timestamp_ms, class, subclass, action, user, description) \
             VALUES ('x', 1, '', '', '', '', '')"
                .to_owned(),
            // Nor of the place where it begins.
            "UPDATE audit_anchor SET number = 3, deleted = 3, hash = (SELECT hash FROM audit WHERE number = 3)".to_owned(),
            "UPDATE audit_anchor SET number = 1, deleted = 1".to_owned(),
            "DELETE FROM audit_anchor".to_owned(),
        ] {
            let refused = execute(&store, &sql).await;
            assert!(refused.is_err(), "{sql}");
        }
        assert_eq!(store.verify_audit(None).await.unwrap().records, 3);
    }

    #[tokio::test]
    async fn a_log_whose_beginning_was_deleted_for_its_age_is_valid() {
        let (store, _folder) = store().await;
        for number in 1..=250 {
            write(&store, number).await;
        }
        let before = store.verify_audit(None).await.unwrap();
        assert_eq!(store.prune_audit(at(200)).await.unwrap(), 199);
        let verdict = store.verify_audit(None).await.unwrap();
        assert!(verdict.valid, "{verdict:?}");
        assert_eq!((verdict.records, verdict.deleted), (51, 199));
        assert_eq!(verdict.head, before.head);
        assert_eq!(store.prune_audit(at(1_000)).await.unwrap(), 50);
        write(&store, 1_001).await;
        let verdict = store.verify_audit(Some(&before.head)).await.unwrap();
        assert_eq!(
            (verdict.records, verdict.deleted, verdict.contains),
            (2, 249, Some(true))
        );
        // A record that is gone for its age cannot come back.
        assert!(
            execute(&store, "UPDATE audit_anchor SET number = 0")
                .await
                .is_err()
        );
    }
}
