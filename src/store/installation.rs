//! The installation: what tells this service's reports from another's in one Wiz tenant.

use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::Timestamp;

impl Store {
    /// The installation's name: `wanted` where given, else the stored one, made at the first start.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn installation(&self, wanted: Option<&str>, now: Timestamp) -> Result<String, StoreError> {
        let made = Uuid::new_v4().simple().to_string()[..8].to_owned();
        let mut tx = self.write().await?;
        let name = sqlx::query_scalar(
            "INSERT INTO installation (id, name, created_at) VALUES (1, $1, $2) \
             ON CONFLICT (id) DO UPDATE SET name = coalesce($3, name) RETURNING name",
        )
        .bind(wanted.unwrap_or(&made))
        .bind(now.as_millis())
        .bind(wanted)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::database::tests::store;
    use super::*;

    #[tokio::test]
    async fn a_made_name_stays_until_another_is_set() {
        let (store, _folder) = store().await;
        let now = Timestamp::from_millis(0);
        let made = store.installation(None, now).await.unwrap();
        assert_eq!(store.installation(None, now).await.unwrap(), made);
        assert_eq!(store.installation(Some("berlin"), now).await.unwrap(), "berlin");
        assert_eq!(store.installation(None, now).await.unwrap(), "berlin");
    }
}
