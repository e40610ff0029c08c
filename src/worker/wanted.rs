//! What facts want: the labels of each address.

use crate::domain::{IntegrationId, LabelRecord, WantedAddress};
use crate::pipeline::{AddressMerge, label_records};
use crate::store::{Carrier, FactSetId, PlanQuery, Store, StoreError};

/// An address that is to carry labels.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The address with what its assets say together.
    pub(super) address: WantedAddress,
    /// How many assets carry it.
    pub(super) assets: u64,
    /// Whether one of them is the integration's own.
    pub(super) own: bool,
}

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
    let mut view = store.fact_view(integration, own, None).await?;
    let mut records = Vec::new();
    let mut start = None;
    loop {
        let page = match store.plan_page(&view, &PlanQuery::default(), start).await {
            // Another run planned meanwhile: from here on by what is in force now.
            Err(StoreError::FactsChanged) => {
                view = store.fact_view(integration, own, None).await?;
                continue;
            }
            page => page?,
        };
        for wanted in wanted_addresses(&page.carriers).filter(|wanted| wanted.own) {
            records.extend(label_records(wanted.address.ip, &wanted.address.facts));
        }
        start = page.next;
        if records.len() >= limit || start.is_none() {
            records.truncate(limit);
            return Ok(records);
        }
    }
}

/// The label records that parts of assets in addresses come to, by pair; the parts are sorted by address.
pub fn labels_of_parts(parts: &[Carrier]) -> Vec<LabelRecord> {
    wanted_addresses(parts)
        .flat_map(|wanted| label_records(wanted.address.ip, &wanted.address.facts))
        .collect()
}

/// Merges the parts that assets have in addresses; `carriers` are sorted by address.
pub(super) fn wanted_addresses(carriers: &[Carrier]) -> impl Iterator<Item = Wanted> {
    let mut merge = AddressMerge::default();
    carriers
        .chunk_by(|one, other| one.ip == other.ip)
        .map(move |carriers| {
            for carrier in carriers {
                merge.add(carrier.findings, carrier.score, carrier.rating, &carrier.cves);
            }
            let assets = merge.parts();
            let (ip, facts) = (carriers[0].ip, merge.finish());
            Wanted {
                address: WantedAddress { ip, facts },
                assets,
                own: carriers.iter().any(|carrier| carrier.own),
            }
        })
}
