//! The keys that seal stored secrets, and whether they are the right ones.

use sqlx::{Row, SqliteConnection};

use super::integrations::sealed;
use super::seal::Sealed;
use super::{Actor, AuditAction, AuditEntry, KeyringError, Store, StoreError, audit};
use crate::domain::Timestamp;

/// What is sealed to tell the right keys by, and what it is bound to.
const CHECK: (&str, &str) = ("wiz-context", "sealing_check");

/// An integration whose secret does not open.
#[derive(Debug, PartialEq, Eq)]
pub struct LockedOut {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub error: KeyringError,
}

/// What the keys at hand are to the database.
#[derive(Debug, PartialEq, Eq)]
pub struct SealingState {
    /// Whether the keys are those of this database, as far as it can tell: what it sealed to know opens.
    pub keys_fit: bool,
    /// The integrations whose secrets do not open.
    pub locked_out: Vec<LockedOut>,
}

/// What a rotation came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The key that seals now.
    pub to: String,
    /// How many secrets each other key had sealed, by its id.
    pub resealed: Vec<(String, u64)>,
    /// How many were sealed by the key already.
    pub unchanged: u64,
    /// Those that no key opens; they are as they were.
    pub locked_out: Vec<LockedOut>,
}

impl Store {
    /// Whether the keys open what is stored.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn sealing_state(&self) -> Result<SealingState, StoreError> {
        let mut tx = self.read().await?;
        let check = check_row(&mut tx).await?;
        let rows =
            sqlx::query("SELECT id, name, client_secret, client_secret_key FROM integrations ORDER BY name");
        let rows = rows.fetch_all(&mut *tx).await?;
        let mut locked_out = Vec::new();
        for row in &rows {
            let id: String = row.try_get("id")?;
            if let Err(error) = self.keyring.open(&sealed(row)?, &id) {
                let name = row.try_get("name")?;
                locked_out.push(LockedOut { id, name, error });
            }
        }
        let keys_fit = match check {
            Some(check) => self.keyring.open(&check, CHECK.1).is_ok(),
            // Of an older version. One secret that opens proves the keys.
            None => locked_out.is_empty() || locked_out.len() < rows.len(),
        };
        Ok(SealingState { keys_fit, locked_out })
    }

    /// Seals what the keys are known by with the first of them.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn adopt_keys(&self) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let check = check_row(&mut tx).await?;
        let present = |check: &Sealed| {
            check.key_id == self.keyring.sealing_key() && self.keyring.open(check, CHECK.1).is_ok()
        };
        if !check.as_ref().is_some_and(present) {
            self.write_check(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn write_check(&self, tx: &mut SqliteConnection) -> Result<(), StoreError> {
        let sealed = self.keyring.seal(CHECK.0, CHECK.1);
        sqlx::query(
            "INSERT INTO sealing_check (id, key_id, sealed) VALUES (1, $1, $2) \
             ON CONFLICT (id) DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed",
        )
        .bind(sealed.key_id)
        .bind(sealed.bytes)
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Seals every secret that an older key sealed anew with the first key, all in one transaction. Secrets that do not open
    /// are left as they are.
    ///
    /// # Errors
    /// When the database cannot; nothing is changed then.
    pub async fn rotate_keys(&self, actor: Actor, now: Timestamp) -> Result<Rotation, StoreError> {
        let to = self.keyring.sealing_key().to_owned();
        let mut rotation = Rotation {
            to: to.clone(),
            resealed: Vec::new(),
            unchanged: 0,
            locked_out: Vec::new(),
        };
        let mut tx = self.write().await?;
        let rows =
            sqlx::query("SELECT id, name, client_secret, client_secret_key FROM integrations ORDER BY name");
        for row in rows.fetch_all(&mut *tx).await? {
            let (id, name): (String, String) = (row.try_get("id")?, row.try_get("name")?);
            let old = sealed(&row)?;
            let secret = match self.keyring.open(&old, &id) {
                Ok(secret) => secret,
                Err(error) => {
                    rotation.locked_out.push(LockedOut { id, name, error });
                    continue;
                }
            };
            if old.key_id == to {
                rotation.unchanged += 1;
                continue;
            }
            let new = self.keyring.seal(&secret, &id);
            sqlx::query("UPDATE integrations SET client_secret = $2, client_secret_key = $3 WHERE id = $1")
                .bind(&id)
                .bind(new.bytes)
                .bind(new.key_id)
                .execute(&mut *tx)
                .await?;
            let entry = AuditEntry {
                actor: actor.clone(),
                action: AuditAction::RotateKeys,
                description: format!("The secret of the integration {name} was sealed anew"),
                original_id: id,
                original_object: Some(serde_json::json!({ "sealing_key": old.key_id })),
                new_object: Some(serde_json::json!({ "sealing_key": to })),
            };
            audit::append(&mut tx, &entry, now).await?;
            match rotation.resealed.iter_mut().find(|(from, _)| *from == old.key_id) {
                Some((_, count)) => *count += 1,
                None => rotation.resealed.push((old.key_id, 1)),
            }
        }
        self.write_check(&mut tx).await?;
        tx.commit().await?;
        Ok(rotation)
    }
}

async fn check_row(connection: &mut SqliteConnection) -> Result<Option<Sealed>, StoreError> {
    let row = sqlx::query("SELECT key_id, sealed FROM sealing_check").fetch_optional(connection);
    let Some(row) = row.await? else { return Ok(None) };
    Ok(Some(Sealed {
        key_id: row.try_get("key_id")?,
        bytes: row.try_get("sealed")?,
    }))
}
