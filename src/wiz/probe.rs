//! What only a check of the connection asks, so that it learns what a service account may do without changing anything.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::client::Page;
use super::{WizClient, WizError, queries};
use crate::domain::{AssetType, ReportId};

/// Findings per page, and pages at most: one address is enough, and most findings have one.
const FINDINGS_PER_PAGE: u32 = 100;
const MAX_PAGES: usize = 5;

/// What a service account sees of the vulnerability findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// How many findings were looked at.
    pub findings: usize,
    /// Whether one of them has an address that is wanted.
    pub address: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    vulnerability_findings: Page<Finding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    vulnerable_asset: Option<Asset>,
}

/// Members of other kinds of assets stay unread.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Asset {
    ip_addresses: Option<Vec<String>>,
    address: Option<String>,
}

impl WizClient {
    /// Looks at open findings on assets of some kinds, some hundred at most, until one has an address that is `wanted`.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or refuses, as it does without `read:vulnerabilities`.
    pub async fn look_at_findings(
        &self,
        asset_types: &[AssetType],
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Sight, WizError> {
        let asset_types: Vec<_> = asset_types.iter().map(AssetType::as_str).collect();
        let (mut sight, mut after) = (Sight::default(), None);
        for _ in 0..MAX_PAGES {
            let variables = json!({
                "first": FINDINGS_PER_PAGE,
                "after": after,
                "filterBy": { "assetType": asset_types, "status": ["OPEN", "IN_PROGRESS"] },
            });
            let answer: Findings = self.ask(&queries::SEE_ADDRESSES, &variables).await?;
            let page = answer.vulnerability_findings;
            for finding in page.nodes.into_iter().flatten() {
                let asset = finding.vulnerable_asset.unwrap_or_default();
                let mut addresses = asset.ip_addresses.into_iter().flatten().chain(asset.address);
                sight.findings += 1;
                sight.address |= addresses.any(|address| wanted(&address));
            }
            // An empty page with another one behind it is no end.
            after = page
                .page_info
                .filter(|page| page.has_next_page)
                .and_then(|page| page.end_cursor);
            if sight.address || after.is_none() {
                break;
            }
        }
        Ok(sight)
    }

    /// Whether the service account may change and rerun reports, found out by a rerun of a report that does not exist:
    /// Wiz looks at the permission first. Nothing is run.
    ///
    /// # Errors
    /// When Wiz cannot be asked, or answers anything but that there is no such report; without the permission, a refusal.
    pub async fn try_rerun_of_nothing(&self) -> Result<(), WizError> {
        let nothing = ReportId::new(Uuid::new_v4().to_string());
        match self.rerun_report(&nothing).await {
            Err(error) if error.is_not_found() => Ok(()),
            answered => answered.map(drop),
        }
    }
}
