//! `…/addresses/{ip}`: why an address carries its labels.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::envelope::{Answer, Envelope};
use super::extract::{Id, IpInPath, Query};
use super::problem::{Problem, ProblemBody};
use super::refusals::{Missing, Refusals};
use super::state::AppState;
use crate::domain::{
    AssetKey, Context, IntegrationId, LabelRecord, Labels, RankedCve, Rating, RunId, Score, Timestamp,
};
use crate::store::{AddressReasons, AssetReason, PairReason};
use crate::worker::labels_of_parts;

/// The most assets of one answer; behind one address of a gateway there can be many.
const MAX_ASSETS: usize = 1_000;

/// Why an address carries its labels.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct AddressView {
    /// The address in its canonical form.
    #[schema(example = "10.1.2.3")]
    ip: String,
    /// Its pairs, by context: those that the ledger knows, and those that the facts in force want.
    labels: Vec<PairView>,
    /// How many assets the facts in force of all integrations name at it.
    assets_total: usize,
    /// These assets, the first 1000: the integration's own first, then by integration and name.
    assets: Vec<AssetView>,
}

/// How a pair stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PairState {
    /// Fusion acknowledged what is wanted.
    Right,
    /// Another value is wanted than Fusion acknowledged; the next run writes it.
    ToWrite,
    /// Nothing wants it any more; the next run removes it.
    ToRemove,
    /// Nothing wants it any more, but its removal waits for a person's approval.
    Held,
    /// What Fusion holds is not known for certain; the next run writes or removes it.
    InDoubt,
}

/// A pair of the address: what Fusion holds by the ledger, what is wanted, and how that came about.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct PairView {
    #[schema(example = "cvss_score")]
    context: &'static str,
    state: PairState,
    /// The labels that Fusion last acknowledged; null when it never did.
    #[schema(example = json!(["9.8"]))]
    labels: Option<Vec<String>>,
    /// The labels that follow from the facts in force; null when nothing wants any.
    #[schema(example = json!(["9.8"]))]
    wanted: Option<Vec<String>>,
    /// When Fusion last acknowledged a write of the pair, of the same value too.
    acknowledged_at: Option<Timestamp>,
    /// When Fusion last acknowledged another value than before.
    changed_at: Option<Timestamp>,
    /// The run that sent that value.
    changed_by: Option<RunId>,
    /// The last run that sent the pair, or found that Fusion differs; null for a pair that was adopted.
    run: Option<RunId>,
    /// The run that keeps the pair's removal back.
    held_by: Option<RunId>,
}

/// What an asset is known by.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KeyKind {
    /// The column `AssetID`.
    AssetId,
    /// The column `ProviderUniqueId`.
    ProviderUniqueId,
    /// The addresses, for want of the others.
    Addresses,
}

/// An asset behind the address.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct AssetView {
    /// The asset's name in the report; empty when it gives none.
    name: String,
    /// What makes it the same asset in every report.
    key: String,
    key_kind: KeyKind,
    /// The integration whose report names it.
    integration: IntegrationId,
    integration_name: String,
    /// Whether that is the integration that was asked for.
    own: bool,
    /// How many of its findings count.
    findings: u64,
    /// The highest score; null when none is known.
    #[schema(example = 9.8)]
    score: Option<f64>,
    /// The highest rating; null when nothing is rated.
    #[schema(example = "critical")]
    rating: Option<&'static str>,
    /// Its CVEs of findings rated high or critical, at most 100, the gravest first.
    cves: Vec<CveView>,
    /// When Wiz ran the first report, of those without a gap up to now, that had the asset.
    first_seen_at: Timestamp,
    /// When Wiz ran the last report that had it.
    last_seen_at: Timestamp,
    /// The integration whose newer report also has this asset: what that one says counts, and this does not. Else null.
    superseded_by: Option<IntegrationId>,
}

/// A CVE of an asset, with what ranks it.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct CveView {
    #[schema(example = "CVE-2023-0123")]
    id: String,
    /// Whether CISA lists it as known to be exploited.
    kev: bool,
    /// Whether an exploit is known.
    exploit: bool,
    /// The score of its finding; null when it has none.
    #[schema(example = 9.8)]
    score: Option<f64>,
    /// The rating of its finding.
    #[schema(example = "critical")]
    rating: Option<&'static str>,
}

/// Tells why an address carries its labels, or carries none: what the ledger knows, what is wanted, and the assets of all
/// integrations behind it. An address that nothing names has empty lists.
#[utoipa::path(
    get, path = "/integrations/context/{id}/addresses/{ip}", operation_id = "read_address", tag = "labels",
    security(("api_key" = ["readonly"])),
    params(
        ("id" = IntegrationId, Path, description = "The integration"),
        ("ip" = String, Path, description = "The address; percent-encode the colons of IPv6 or not, a `/32` needs it"),
    ),
    responses(
        (status = 200, description = "Why", body = Envelope<AddressView>),
        Refusals,
        Missing,
        (status = 400, description = "No address that could carry a label", body = ProblemBody,
            content_type = "application/problem+json"),
    ),
)]
pub(super) async fn read(
    State(app): State<AppState>,
    Id(id): Id<IntegrationId>,
    IpInPath(ip): IpInPath,
    query: Query,
) -> Result<Answer<Envelope<AddressView>>, Problem> {
    query.done()?;
    let reasons = app.store.reasons(id, app.settings.account, ip).await?;
    Ok(Answer::one(AddressView {
        ip: ip.to_string(),
        labels: pairs(&reasons),
        assets_total: reasons.assets.len(),
        assets: reasons
            .assets
            .into_iter()
            .take(MAX_ASSETS)
            .map(AssetView::new)
            .collect(),
    }))
}

/// The pairs of an address that are held or wanted, by context.
fn pairs(reasons: &AddressReasons) -> Vec<PairView> {
    let counting = reasons
        .assets
        .iter()
        .filter(|asset| asset.superseded_by.is_none());
    let parts: Vec<_> = counting.map(|asset| asset.part.clone()).collect();
    let wanted = labels_of_parts(&parts);
    let pair = |context: Context| {
        let wanted = wanted.iter().find(|record| record.pair.context == context);
        let known = reasons.pairs.iter().find(|pair| pair.context == context);
        (wanted.is_some() || known.is_some()).then(|| PairView::new(context, wanted, known))
    };
    Context::ALL.into_iter().filter_map(pair).collect()
}

impl PairView {
    fn new(context: Context, wanted: Option<&LabelRecord>, known: Option<&PairReason>) -> Self {
        let acknowledged = known.and_then(|known| known.acknowledged.as_ref());
        let wanted = wanted.map(|record| &record.labels);
        let held_by = known.and_then(|known| known.held_by);
        let state = match wanted {
            None if held_by.is_some() => PairState::Held,
            _ if known.is_some_and(|known| known.in_doubt) => PairState::InDoubt,
            None => PairState::ToRemove,
            Some(wanted) if acknowledged == Some(wanted) => PairState::Right,
            Some(_) => PairState::ToWrite,
        };
        let list = |labels: &Labels| labels.iter().map(str::to_owned).collect();
        Self {
            context: context.as_str(),
            state,
            labels: acknowledged.map(list),
            wanted: wanted.map(list),
            acknowledged_at: known.and_then(|known| known.acknowledged_at),
            changed_at: known.and_then(|known| known.changed_at),
            changed_by: known.and_then(|known| known.changed_by),
            run: known.and_then(|known| known.run),
            held_by,
        }
    }
}

impl AssetView {
    fn new(asset: AssetReason) -> Self {
        let (key_kind, key) = match asset.key {
            AssetKey::AssetId(id) => (KeyKind::AssetId, id.into_string()),
            AssetKey::ProviderUniqueId(id) => (KeyKind::ProviderUniqueId, id.into_string()),
            AssetKey::Addresses(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                (KeyKind::Addresses, addresses.join(", "))
            }
        };
        let part = asset.part;
        let mut cves = part.cves;
        cves.sort_unstable_by(|one, other| other.cmp(one));
        Self {
            name: asset.name,
            key,
            key_kind,
            integration: asset.integration,
            integration_name: asset.integration_name,
            own: part.own,
            findings: part.findings,
            score: part.score.map(number),
            rating: part.rating.map(Rating::as_str),
            cves: cves.into_iter().map(CveView::new).collect(),
            first_seen_at: asset.first_seen_at,
            last_seen_at: asset.last_seen_at,
            superseded_by: asset.superseded_by,
        }
    }
}

impl CveView {
    fn new(cve: RankedCve) -> Self {
        Self {
            id: cve.id().to_string(),
            kev: cve.is_known_exploited(),
            exploit: cve.has_exploit(),
            score: cve.score().map(number),
            rating: cve.rating().map(Rating::as_str),
        }
    }
}

fn number(score: Score) -> f64 {
    f64::from(score.tenths()) / 10.0
}
