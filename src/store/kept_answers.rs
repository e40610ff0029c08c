//! The table `kept_answers`: what was answered to calls with an `Idempotency-Key`, for as long as a client may repeat them.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use sqlx::Row;

use super::{Store, StoreError};
use crate::domain::Timestamp;

/// How long a client may repeat a call.
pub const ANSWERS_KEPT_FOR: Duration = Duration::from_hours(24);

/// Whose call, and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    /// The id of the API key, or `settings`.
    pub caller: String,
    /// The value of `Idempotency-Key`.
    pub key: String,
}

/// What a request was, as a keyed hash: nothing can be guessed from it, whatever secret was in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHash {
    key_id: String,
    hash: Vec<u8>,
}

/// An answer as it was given, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Store {
    /// The hash of a request, whose parts are told apart.
    pub fn request_hash(&self, parts: &[&[u8]]) -> RequestHash {
        let key_id = self.keyring.sealing_key().to_owned();
        let hash = self
            .keyring
            .keyed_hash(&key_id, &joined(parts))
            .unwrap_or_default();
        RequestHash { key_id, hash }
    }

    /// The answer that was kept for a key since a time, and whether it was one to the same request. One whose sealing key
    /// is gone counts as none.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn kept_answer(
        &self,
        key: &AnswerKey,
        request: &[&[u8]],
        since: Timestamp,
    ) -> Result<Option<(KeptAnswer, bool)>, StoreError> {
        let row = sqlx::query("SELECT * FROM kept_answers WHERE caller = $1 AND key = $2 AND kept_at >= $3");
        let row = row
            .bind(&key.caller)
            .bind(&key.key)
            .bind(since.as_millis())
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let Some(hash) = self
            .keyring
            .keyed_hash(row.try_get("request_key")?, &joined(request))
        else {
            return Ok(None);
        };
        let same = verify_slices_are_equal(&hash, row.try_get("request")?).is_ok();
        let headers = serde_json::from_str(row.try_get("headers")?);
        let answer = KeptAnswer {
            status: row.try_get("status")?,
            headers: headers.map_err(|_| StoreError::corrupt("kept_answers.headers"))?,
            body: row.try_get("body")?,
        };
        Ok(Some((answer, same)))
    }

    /// Keeps an answer, in the place of one that was kept for the key before.
    ///
    /// # Errors
    /// When the database cannot.
    ///
    /// # Panics
    /// Never: texts have a JSON form.
    pub async fn keep_answer(
        &self,
        key: &AnswerKey,
        request: &RequestHash,
        answer: &KeptAnswer,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT INTO kept_answers (caller, key, request_key, request, status, headers, body, kept_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (caller, key) DO UPDATE SET request_key = excluded.request_key, request = excluded.request, \
             status = excluded.status, headers = excluded.headers, body = excluded.body, kept_at = excluded.kept_at",
        )
        .bind(&key.caller)
        .bind(&key.key)
        .bind(&request.key_id)
        .bind(&request.hash)
        .bind(answer.status)
        .bind(serde_json::to_string(&answer.headers).expect("plain data has a JSON form"))
        .bind(&answer.body)
        .bind(now.as_millis())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgets the answers from before a time.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn prune_answers(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let gone = sqlx::query("DELETE FROM kept_answers WHERE kept_at < $1")
            .bind(before.as_millis())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(gone.rows_affected())
    }
}

/// The parts with their lengths before them, so that none runs into the next.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::database::tests::store;

    #[tokio::test]
    async fn an_answer_is_kept_for_the_same_request_of_the_same_caller() {
        let (store, _folder) = store().await;
        let at = |ms: i64| Timestamp::from_millis(1_795_493_090_000 + ms);
        let key = |caller: &str| AnswerKey {
            caller: caller.to_owned(),
            key: "key".to_owned(),
        };
        let request: [&[u8]; 2] = [b"PUT /a", b"planted"];
        let answer = KeptAnswer {
            status: 202,
            headers: vec![("location".to_owned(), "/there".to_owned())],
            body: b"{}".to_vec(),
        };
        let hash = store.request_hash(&request);
        store.keep_answer(&key("a"), &hash, &answer, at(0)).await.unwrap();
        let kept = async |caller, request: &[&[u8]], since| {
            let key = key(caller);
            store.kept_answer(&key, request, at(since)).await.unwrap()
        };
        assert_eq!(kept("a", &request, 0).await, Some((answer.clone(), true)));
        assert_eq!(
            kept("a", &[b"PUT /", b"aplanted"], 0).await,
            Some((answer, false))
        );
        assert_eq!(kept("b", &request, 0).await, None);
        assert_eq!(kept("a", &request, 1).await, None);
        assert_eq!(store.prune_answers(at(1)).await.unwrap(), 1);
        assert_eq!(kept("a", &request, 0).await, None);
    }
}
