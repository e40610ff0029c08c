//! The table `api_keys`: who may call, by hashes of keys.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zeroize::Zeroizing;

use super::canonical::hex;
use super::{Actor, AuditAction, AuditEntry, Store, StoreError, audit};
use crate::domain::{ApiKey, ApiKeyId, ApiKeyName, ApiKeyRecord, Role, Timestamp};

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiKey {
    /// Its name.
    pub name: ApiKeyName,
    /// What it may do.
    pub role: Role,
    /// From when on it is not valid any more.
    pub expires_at: Option<Timestamp>,
}

/// What came of a text that is to be a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiKeyProof {
    /// It is this key, and valid.
    Valid(ApiKeyRecord),
    /// It is this key, whose time is over.
    Expired(ApiKeyRecord),
    /// There is no such key.
    Unknown,
}

impl Store {
    /// Makes a key. What is returned beside its record is the only time that it is seen.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], or when the database cannot.
    ///
    /// # Panics
    /// When the system gives no random bytes.
    pub async fn create_api_key(
        &self,
        new: &NewApiKey,
        actor: Actor,
        now: Timestamp,
    ) -> Result<(ApiKeyRecord, ApiKey), StoreError> {
        let id = ApiKeyId::new(now);
        let mut secret = Zeroizing::new([0; 32]);
        rand::fill(&mut *secret).expect("the system gives random bytes");
        let key = ApiKey::with_id(id, &Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*secret)));
        let made = ApiKeyRecord {
            id,
            name: new.name.clone(),
            role: new.role,
            created_at: now,
            created_by: actor.user.clone(),
            expires_at: new.expires_at,
            last_used_at: None,
        };
        let hash = digest(&SHA256, key.expose().as_bytes());
        let mut tx = self.write().await?;
        let inserted = sqlx::query(
            "INSERT INTO api_keys (id, name, role, hash, expires_at, created_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id.to_string())
        .bind(made.name.as_str())
        .bind(made.role.as_str())
        .bind(hash.as_ref())
        .bind(made.expires_at.map(Timestamp::as_millis))
        .bind(now.as_millis())
        .bind(&made.created_by)
        .execute(&mut *tx)
        .await;
        inserted.map_err(|error| {
            if StoreError::is_unique_violation(&error) {
                StoreError::NameTaken
            } else {
                error.into()
            }
        })?;
        let entry = AuditEntry {
            actor,
            action: AuditAction::CreateKey,
            description: format!(
                "The API key {} was made, with the role {}",
                made.name,
                made.role.as_str()
            ),
            original_id: id.to_string(),
            original_object: None,
            new_object: Some(audit_object(&made, hash.as_ref())),
        };
        audit::append(&mut tx, &entry, now).await?;
        tx.commit().await?;
        Ok((made, key))
    }

    /// The keys after the name `after`, by name, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn api_keys(&self, after: Option<&str>, limit: u32) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let rows = sqlx::query("SELECT * FROM api_keys WHERE name > $1 ORDER BY name LIMIT $2");
        let rows = rows
            .bind(after.unwrap_or_default())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(record).collect()
    }

    /// Takes a key away; from then on it is not valid. `settings_key` says whether the settings have a key, which may do
    /// everything too.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::LastAdminKey`] when nobody could make keys afterwards, or when the database
    /// cannot.
    pub async fn delete_api_key(
        &self,
        id: ApiKeyId,
        settings_key: bool,
        actor: Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let row = sqlx::query("DELETE FROM api_keys WHERE id = $1 RETURNING *").bind(id.to_string());
        let row = row
            .fetch_optional(&mut *tx)
            .await?
            .ok_or(StoreError::NotFound("API key"))?;
        let gone = record(&row)?;
        if gone.role == Role::Admin && !settings_key && !has_lasting_admin_key(&mut tx).await? {
            return Err(StoreError::LastAdminKey);
        }
        let entry = AuditEntry {
            actor,
            action: AuditAction::DeleteKey,
            description: format!("The API key {} was taken away", gone.name),
            original_id: id.to_string(),
            original_object: Some(audit_object(&gone, row.try_get("hash")?)),
            new_object: None,
        };
        audit::append(&mut tx, &entry, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Which key a text is, in a time that does not tell how much of it is right.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn prove_api_key(&self, text: &str, now: Timestamp) -> Result<ApiKeyProof, StoreError> {
        let Some(id) = ApiKey::id_in(text) else {
            return Ok(ApiKeyProof::Unknown);
        };
        let row = sqlx::query("SELECT * FROM api_keys WHERE id = $1").bind(id.to_string());
        let row = row.fetch_optional(&self.readers).await?;
        let stored: &[u8] = row
            .as_ref()
            .map(|row| row.try_get("hash"))
            .transpose()?
            .unwrap_or(&[0; 32]);
        let given = digest(&SHA256, text.as_bytes());
        let same = verify_slices_are_equal(stored, given.as_ref()).is_ok();
        let Some(row) = row.as_ref().filter(|_| same) else {
            return Ok(ApiKeyProof::Unknown);
        };
        let record = record(row)?;
        Ok(if record.is_expired(now) {
            ApiKeyProof::Expired(record)
        } else {
            ApiKeyProof::Valid(record)
        })
    }

    /// Notes that a key was used.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn note_key_use(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        // Of a key that was taken away meanwhile there is nothing to note.
        sqlx::query("UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, $2), $2) WHERE id = $1")
            .bind(id.to_string())
            .bind(at.as_millis())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether there is a key that may do everything and does not expire.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn has_lasting_admin_key(&self) -> Result<bool, StoreError> {
        has_lasting_admin_key(&mut *self.readers.acquire().await?).await
    }

    /// Writes an audit record of something that changed nothing.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn record(&self, entry: &AuditEntry, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        audit::append(&mut tx, entry, now).await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn has_lasting_admin_key(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM api_keys WHERE role = 'admin' AND expires_at IS NULL)",
    );
    Ok(found.fetch_one(connection).await?)
}

/// The key as the audit log shows it. A key is random, so that nothing can be guessed from a part of its hash.
fn audit_object(record: &ApiKeyRecord, hash: &[u8]) -> Value {
    let print = hex(&hash[..hash.len().min(8)]);
    json!({
        "id": record.id,
        "name": record.name,
        "role": record.role,
        "key": format!("fingerprint:sha256:{print}"),
        "created_at": record.created_at,
        "created_by": record.created_by,
        "expires_at": record.expires_at,
    })
}

fn record(row: &SqliteRow) -> Result<ApiKeyRecord, StoreError> {
    let corrupt = StoreError::corrupt;
    let time = |column: &str| -> Result<Option<Timestamp>, sqlx::Error> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
    };
    Ok(ApiKeyRecord {
        id: row
            .try_get::<&str, _>("id")?
            .parse()
            .map_err(|_| corrupt("api_keys.id"))?,
        name: row
            .try_get::<&str, _>("name")?
            .parse()
            .map_err(|_| corrupt("api_keys.name"))?,
        role: Role::read(row.try_get("role")?).ok_or_else(|| corrupt("api_keys.role"))?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
        expires_at: time("expires_at")?,
        last_used_at: time("last_used_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::database::tests::store;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_795_493_090_000 + ms)
    }

    async fn make(
        store: &Store,
        name: &str,
        role: Role,
        expires_at: Option<Timestamp>,
    ) -> (ApiKeyRecord, ApiKey) {
        let new = NewApiKey {
            name: name.parse().unwrap(),
            role,
            expires_at,
        };
        store
            .create_api_key(&new, Actor::named("admin"), at(0))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_key_is_proved_by_its_whole_text_until_it_expires() {
        let (store, _folder) = store().await;
        let (made, key) = make(&store, "job", Role::Operator, Some(at(10))).await;
        let text = key.expose();
        assert_eq!(text.len(), "wck_".len() + 32 + 1 + 43);
        assert_eq!(
            store.prove_api_key(text, at(9)).await.unwrap(),
            ApiKeyProof::Valid(made.clone())
        );
        assert_eq!(
            store.prove_api_key(text, at(10)).await.unwrap(),
            ApiKeyProof::Expired(made.clone())
        );
        let other = ApiKey::with_id(made.id, "planted");
        let unknown = ApiKey::with_id(ApiKeyId::new(at(0)), &text[37..]);
        for wrong in [
            &text[..text.len() - 1],
            other.expose(),
            unknown.expose(),
            "",
            "planted",
        ] {
            assert_eq!(
                store.prove_api_key(wrong, at(9)).await.unwrap(),
                ApiKeyProof::Unknown
            );
        }
        store.note_key_use(made.id, at(5)).await.unwrap();
        store.note_key_use(made.id, at(3)).await.unwrap();
        assert_eq!(
            store.api_keys(None, 10).await.unwrap()[0].last_used_at,
            Some(at(5))
        );
    }

    #[tokio::test]
    async fn the_last_key_that_may_do_everything_for_good_stays() {
        let (store, _folder) = store().await;
        let (first, _) = make(&store, "first", Role::Admin, None).await;
        let (expiring, _) = make(&store, "expiring", Role::Admin, Some(at(1_000))).await;
        let (other, _) = make(&store, "other", Role::Operator, None).await;
        let delete = async |id, settings| {
            store
                .delete_api_key(id, settings, Actor::named("admin"), at(1))
                .await
        };
        assert!(matches!(
            delete(first.id, false).await,
            Err(StoreError::LastAdminKey)
        ));
        delete(other.id, false).await.unwrap();
        let (second, _) = make(&store, "second", Role::Admin, None).await;
        delete(first.id, false).await.unwrap();
        assert!(matches!(
            delete(first.id, false).await,
            Err(StoreError::NotFound(_))
        ));
        assert!(matches!(
            delete(second.id, false).await,
            Err(StoreError::LastAdminKey)
        ));
        assert!(store.has_lasting_admin_key().await.unwrap());
        delete(second.id, true).await.unwrap();
        delete(expiring.id, true).await.unwrap();
        assert!(store.api_keys(None, 10).await.unwrap().is_empty());
    }
}
