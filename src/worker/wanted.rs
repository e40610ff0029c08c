//! The label records that facts give.

use crate::domain::{IntegrationId, LabelRecord};
use crate::pipeline::{AddressMerge, label_records};
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
            let mut merge = AddressMerge::default();
            for carrier in carriers {
                merge.add(carrier.findings, carrier.score, carrier.rating, &carrier.cves);
            }
            records.extend(label_records(carriers[0].ip, &merge.finish()));
        }
        start = page.next;
        if records.len() >= limit || start.is_none() {
            records.truncate(limit);
            return Ok(records);
        }
    }
}
