//! The label records that facts give.

use crate::domain::{AddressFacts, IntegrationId, LabelRecord};
use crate::pipeline::{label_records, merge_into};
use crate::store::{FactSetId, Store, StoreError};

/// The label records wanted at the addresses of an integration, by pair, at most `limit`: by the facts in force of all
/// integrations, or with its own replaced by the set `own`.
///
/// # Errors
/// When the database cannot.
pub async fn wanted_records(
    store: &Store,
    integration: IntegrationId,
    own: Option<FactSetId>,
    limit: usize,
) -> Result<Vec<LabelRecord>, StoreError> {
    let view = store.fact_view(integration, own).await?;
    let mut records = Vec::new();
    let mut start = None;
    loop {
        let page = store.plan_page(&view, None, start, None).await?;
        for carriers in page.carriers.chunk_by(|one, other| one.ip == other.ip) {
            if !carriers.iter().any(|carrier| carrier.own) {
                continue;
            }
            let mut facts = AddressFacts::default();
            for carrier in carriers {
                merge_into(
                    &mut facts,
                    carrier.findings,
                    carrier.score,
                    carrier.rating,
                    &carrier.cves,
                );
            }
            records.extend(label_records(carriers[0].ip, &facts));
        }
        start = page.next;
        if records.len() >= limit || start.is_none() {
            records.truncate(limit);
            return Ok(records);
        }
    }
}
