//! The adoption of pairs that a former installation wrote: they come into the ledger in doubt.

use serde_json::json;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::facts::ROWS_PER_STATEMENT;
use super::plan_pages::address;
use super::{AccountId, Actor, AuditAction, AuditEntry, Store, StoreError, audit};
use crate::domain::{Context, Pair, Timestamp};

/// How many of the adopted pairs an audit record names.
const PAIRS_ON_RECORD: usize = 1_000;

/// What an adoption came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Pairs that came into the ledger.
    pub adopted: u64,
    /// Pairs that were in it already, and are as they were.
    pub known: u64,
}

impl Store {
    /// Takes pairs into the ledger of an account, with an audit record. What Fusion holds for them is not known, so they
    /// are in doubt, and by nobody's wish: the next run writes those that are wanted and deletes the others. Pairs that
    /// the ledger knows are left as they are; one that is given twice counts once.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn adopt(
        &self,
        account: AccountId,
        pairs: &[Pair],
        actor: Actor,
        now: Timestamp,
    ) -> Result<Adopted, StoreError> {
        let mut pairs = pairs.to_vec();
        pairs.sort_unstable();
        pairs.dedup();
        // A deleted integration leaves before, for it would take what is adopted at its addresses along.
        let mut tx = self.write_without_arrears().await?;
        let mut adopted = Vec::new();
        for chunk in pairs.chunks(ROWS_PER_STATEMENT) {
            adopted.extend(insert(&mut tx, account, chunk).await?);
        }
        let came = Adopted {
            adopted: adopted.len() as u64,
            known: (pairs.len() - adopted.len()) as u64,
        };
        if came.adopted > 0 {
            adopted.sort_unstable();
            let account = name(&mut tx, account).await?;
            let named: Vec<_> = adopted
                .iter()
                .take(PAIRS_ON_RECORD)
                .map(Pair::to_string)
                .collect();
            let entry = AuditEntry {
                actor,
                action: AuditAction::Adopt,
                description: format!(
                    "{} pairs of a former installation were adopted in the Fusion account {account}; the next run rewrites or \
                     removes them",
                    came.adopted
                ),
                original_id: account,
                original_object: None,
                new_object: Some(json!({ "adopted": came.adopted, "known": came.known, "pairs": named })),
            };
            audit::append(&mut tx, &entry, now).await?;
        }
        tx.commit().await?;
        Ok(came)
    }
}

/// Inserts the pairs that are not there yet; those. They stand as a removal without an answer, sent while the value was
/// in doubt already: a refusal must not settle them either. No run sent them, which the empty `run_id` says.
async fn insert(
    tx: &mut SqliteConnection,
    account: AccountId,
    pairs: &[Pair],
) -> Result<Vec<Pair>, StoreError> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "INSERT INTO ledger (account, ip, context, sent, doubted_before, run_id) ",
    );
    sql.push_values(pairs, |mut row, pair| {
        row.push_bind(account.0)
            .push_bind(pair.ip.to_stored())
            .push_bind(pair.context.as_str());
        row.push_bind("").push_bind(true).push_bind("");
    });
    sql.push(" ON CONFLICT (account, ip, context) DO NOTHING RETURNING ip, context");
    let rows = sql.build().fetch_all(tx).await?;
    let pair = |row| -> Result<Pair, StoreError> {
        let context = Context::read(Row::try_get(row, "context")?);
        Ok(Pair {
            ip: address(row, "ledger.ip")?,
            context: context.ok_or_else(|| StoreError::corrupt("ledger.context"))?,
        })
    };
    rows.iter().map(pair).collect()
}

/// An account as people know it.
async fn name(tx: &mut SqliteConnection, account: AccountId) -> Result<String, StoreError> {
    let name = sqlx::query_scalar("SELECT host || '/' || shortname FROM fusion_accounts WHERE id = $1");
    Ok(name.bind(account.0).fetch_one(tx).await?)
}
