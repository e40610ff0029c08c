//! `…/labels`: the ledger as label records.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Answer, Envelope};
use super::extract::{Id, Query};
use super::paging::Paging;
use super::problem::Problem;
use super::refusals::{Missing, Refusals};
use super::state::AppState;
use crate::domain::{Address, Context, IntegrationId, LabelRecord, Pair};
use crate::store::LedgerQuery;

/// A label record, as Fusion has it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct LabelRecordView {
    #[schema(example = "10.1.2.3")]
    ip: String,
    #[schema(example = "cve")]
    context: &'static str,
    #[schema(example = json!(["CVE-2023-0123"]))]
    labels: Vec<String>,
}

impl LabelRecordView {
    pub(super) fn new(record: &LabelRecord) -> Self {
        Self {
            ip: record.pair.ip.to_string(),
            context: record.pair.context.as_str(),
            labels: record.labels.iter().map(str::to_owned).collect(),
        }
    }
}

/// Lists the labels that Fusion acknowledged at the addresses of an integration, by address and context.
#[utoipa::path(
    get, path = "/integrations/context/{id}/labels", operation_id = "list_labels", tag = "labels",
    security(("api_key" = ["readonly"])),
    params(
        ("id" = IntegrationId, Path, description = "The integration"),
        ("ip" = Option<String>, Query, description = "Of this address only"),
        ("context" = Option<String>, Query, description = "Of this context only"),
        ("limit" = Option<u32>, Query, description = "At most so many; 1 to 1000, by default 1000"),
        ("cursor" = Option<String>, Query, description = "`meta.next` of the page before"),
    ),
    responses(
        (status = 200, description = "The labels", body = Envelope<Vec<LabelRecordView>>),
        Refusals,
        Missing,
    ),
)]
pub(super) async fn list(
    State(app): State<AppState>,
    Id(id): Id<IntegrationId>,
    mut query: Query,
) -> Result<Answer<Envelope<Vec<LabelRecordView>>>, Problem> {
    let ip = query.take("ip", |text| {
        Address::read(text).map_err(|problem| format!("is {problem}"))
    });
    let context = query.take("context", |text| {
        Context::read(text)
            .ok_or_else(|| "must be `cve`, `cvss_rating`, `cvss_score` or `vuln_count`".to_owned())
    });
    let paging = Paging::take(&mut query, format!("labels of {id}"), 1000, read_pair);
    query.done()?;
    app.store.integration(id).await?;
    let Some(account) = app.settings.account else {
        return Ok(Answer::page(Vec::new(), None));
    };
    let mut records = app
        .store
        .labels(
            id,
            account,
            &LedgerQuery {
                ip,
                context,
                after: paging.after,
                limit: paging.with_next(),
            },
        )
        .await?;
    let next = paging.cut(&mut records, |record| pair_key(record.pair));
    Ok(Answer::page(
        records.iter().map(LabelRecordView::new).collect(),
        next,
    ))
}

/// The key of a pair in lists of pairs.
pub(super) fn pair_key(pair: Pair) -> String {
    format!("{}~{}", pair.ip, pair.context)
}

/// The pair of a key.
pub(super) fn read_pair(text: &str) -> Option<Pair> {
    let (ip, context) = text.split_once('~')?;
    Some(Pair {
        ip: Address::read(ip).ok()?,
        context: Context::read(context)?,
    })
}
