//! A store with integrations, and the calls that runs make of it.

use serde_json::json;
use std::time::Duration;
use tempfile::TempDir;
use wiz_context::domain::{
    Address, AddressFacts, AllowedHosts, ApiEndpoint, AssetFacts, AssetKey, Change, ClientSecret, Counts,
    IntegrationId, IntegrationSettings, LabelRecord, Pair, RunFlags, RunId, RunState, Timestamp, TokenUrl,
    Trigger, UpdateInterval, WantedAddress, WizConnection,
};
use wiz_context::pipeline::{compare, merge_into};
use wiz_context::store::{
    AccountId, Actor, AuditAction, AuditEntry, ClaimedRun, Ending, FactSetId, Hold, Keyring, LedgerQuery,
    NewIntegration, PlanQuery, Planning, Reading, RunStart, Store,
};

pub(crate) const NOW: i64 = 1_795_493_090_000;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(NOW) + Duration::from_secs(seconds)
}

pub(crate) async fn store() -> (Store, AccountId, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let store = Store::open(&url, Keyring::read(&Keyring::generate()).unwrap())
        .await
        .unwrap();
    let account = store.fusion_account("api.netography.com", "acme").await.unwrap();
    (store, account, folder)
}

pub(crate) fn entry(action: AuditAction, id: IntegrationId) -> AuditEntry {
    AuditEntry {
        actor: Actor::scheduler(),
        action,
        description: String::new(),
        original_id: id.to_string(),
        original_object: None,
        new_object: None,
    }
}

pub(crate) async fn create(store: &Store, name: &str) -> IntegrationId {
    let none = AllowedHosts::default();
    let wiz = WizConnection {
        api_endpoint: ApiEndpoint::read("https://api.us1.app.wiz.io", &none).unwrap(),
        token_url: TokenUrl::read("https://auth.app.wiz.io", &none).unwrap(),
        client_id: "client".into(),
    };
    let update_interval = UpdateInterval::try_from(86_400).unwrap();
    let id = IntegrationId::new(at(0));
    let settings = IntegrationSettings {
        name: name.parse().unwrap(),
        enabled: true,
        update_interval,
        wiz,
    };
    let new = NewIntegration {
        id,
        settings,
        client_secret: ClientSecret::new("planted"),
    };
    store
        .create_integration(&new, None, &entry(AuditAction::Create, id), at(0))
        .await
        .unwrap();
    id
}

pub(crate) async fn claim(
    store: &Store,
    integration: IntegrationId,
    dry_run: bool,
    now: Timestamp,
) -> ClaimedRun {
    let flags = RunFlags {
        dry_run,
        ..RunFlags::default()
    };
    let start = RunStart::new(Actor::scheduler(), Trigger::Manual, flags);
    store.start_run(integration, &start, now).await.unwrap();
    store.claim_run(now, &[]).await.unwrap().unwrap()
}

pub(crate) async fn finish(store: &Store, run: &ClaimedRun, now: Timestamp) {
    store
        .finish_run(
            run,
            &Ending {
                state: RunState::Succeeded,
                failure: None,
            },
            now,
        )
        .await
        .unwrap();
}

pub(crate) fn asset(id: &str, addresses: &[&str], findings: u64) -> AssetFacts {
    AssetFacts {
        key: AssetKey::AssetId(id.into()),
        name: "".into(),
        findings,
        score: None,
        rating: None,
        addresses: addresses.iter().map(|ip| Address::read(ip).unwrap()).collect(),
        cves: Vec::new(),
    }
}

/// What a run of a report said that was made at a time.
pub(crate) fn reading(report_run_at: Timestamp) -> Reading {
    let certificate = json!({
        "report_id": "r", "report_run_id": "rr", "report_run_at": report_run_at, "rows_expected": null, "rows_parsed": 1,
        "bytes": 1, "columns": [], "warnings": [], "verdict": "complete",
    });
    Reading {
        certificate: serde_json::from_value(certificate).unwrap(),
        counts: Counts::default(),
    }
}

pub(crate) async fn stage(
    store: &Store,
    run: &mut ClaimedRun,
    assets: &[AssetFacts],
    now: Timestamp,
) -> FactSetId {
    let mut staging = store.begin_facts(run, &reading(now), now).await.unwrap();
    store.append_facts(run, &mut staging, assets, now).await.unwrap();
    store.complete_facts(run, staging, now).await.unwrap()
}

/// A plan that keeps nothing back.
pub(crate) async fn planning(store: &Store, set: FactSetId) -> Planning {
    Planning {
        set: Some(set),
        account: Some(store.fusion_account("api.netography.com", "acme").await.unwrap()),
        ..Planning::default()
    }
}

pub(crate) async fn bring_into_force(
    store: &Store,
    run: &mut ClaimedRun,
    assets: &[AssetFacts],
    now: Timestamp,
) {
    let set = stage(store, run, assets, now).await;
    store
        .plan_facts(run, &planning(store, set).await, now)
        .await
        .unwrap();
}

/// A whole run, from `from` to two seconds later: its facts are in force, and what follows was sent; gives that.
pub(crate) async fn import(
    store: &Store,
    id: IntegrationId,
    account: AccountId,
    assets: &[AssetFacts],
    from: u64,
) -> Vec<Change> {
    let mut run = claim(store, id, false, at(from)).await;
    bring_into_force(store, &mut run, assets, at(from + 1)).await;
    let changes = plan(store, id, account).await;
    push(store, &run, account, &changes, at(from + 2)).await;
    finish(store, &run, at(from + 2)).await;
    changes
}

/// Plans with a run that keeps the removal of some pairs back, and what else `hold` says. The ledger hears of that by its arrears.
pub(crate) async fn keep_back(
    store: &Store,
    run: &mut ClaimedRun,
    set: FactSetId,
    pairs: &[Pair],
    hold: Hold,
    now: Timestamp,
) {
    let steps = pairs.iter().map(|pair| Change::Hold {
        pair: *pair,
        before: None,
    });
    let steps: Vec<_> = steps.collect();
    store.begin_plan(run, now).await.unwrap();
    store.append_plan(run, &steps, now).await.unwrap();
    let planning = Planning {
        hold,
        ..planning(store, set).await
    };
    store.plan_facts(run, &planning, now).await.unwrap();
}

/// A whole run, from `from` to two seconds later, that keeps the removal of some pairs back and sends nothing.
pub(crate) async fn import_and_keep_back(
    store: &Store,
    id: IntegrationId,
    assets: &[AssetFacts],
    pairs: &[Pair],
    from: u64,
) -> RunId {
    let mut run = claim(store, id, false, at(from)).await;
    let set = stage(store, &mut run, assets, at(from + 1)).await;
    keep_back(store, &mut run, set, pairs, Hold::Removals, at(from + 2)).await;
    finish(store, &run, at(from + 2)).await;
    run.id()
}

/// The changes that the facts in force and the ledger give, page by page.
pub(crate) async fn plan(store: &Store, integration: IntegrationId, account: AccountId) -> Vec<Change> {
    let view = store.fact_view(integration, None, None).await.unwrap();
    let (mut changes, mut start) = (Vec::new(), None);
    let query = PlanQuery {
        account: Some(account),
        ..PlanQuery::default()
    };
    loop {
        let page = store.plan_page(&view, &query, start).await.unwrap();
        let wanted = page
            .carriers
            .chunk_by(|one, other| one.ip == other.ip)
            .map(|carriers| {
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
                WantedAddress {
                    ip: carriers[0].ip,
                    facts,
                }
            });
        changes.extend(compare(&wanted.collect::<Vec<_>>(), &page.ledger).changes);
        start = page.next;
        if start.is_none() {
            return changes;
        }
    }
}

pub(crate) fn puts(changes: &[Change]) -> Vec<LabelRecord> {
    let record = |change: &Change| match change {
        Change::Add(record) | Change::Change { record, .. } => Some(record.clone()),
        Change::Remove { .. } | Change::Hold { .. } => None,
    };
    changes.iter().filter_map(record).collect()
}

pub(crate) fn removes(changes: &[Change]) -> Vec<Pair> {
    changes
        .iter()
        .filter(|change| matches!(change, Change::Remove { .. }))
        .map(Change::pair)
        .collect()
}

pub(crate) async fn push(
    store: &Store,
    run: &ClaimedRun,
    account: AccountId,
    changes: &[Change],
    now: Timestamp,
) {
    let (puts, removes) = (puts(changes), removes(changes));
    store.doubt_puts(run, account, &puts, now).await.unwrap();
    store.doubt_deletes(run, account, &removes, now).await.unwrap();
    let sent: Vec<_> = changes.iter().map(Change::pair).collect();
    store.settle(run, account, &sent, now).await.unwrap();
}

pub(crate) async fn labels(store: &Store, integration: IntegrationId, account: AccountId) -> Vec<String> {
    let query = LedgerQuery {
        limit: 100_000,
        ..LedgerQuery::default()
    };
    let records = store.labels(integration, account, &query).await.unwrap();
    records
        .iter()
        .map(|record| format!("{}={}", record.pair.ip, record.labels))
        .collect()
}

/// Deletes an integration; its pairs leave the ledger.
pub(crate) async fn delete(store: &Store, id: IntegrationId, now: Timestamp) {
    let entry = entry(AuditAction::Delete, id);
    store.delete_integration(id, None, &entry, now).await.unwrap();
    store.work_off_arrears().await.unwrap();
}

/// Of these pairs, how many the ledger does not know; they come into it.
pub(crate) async fn unknown(store: &Store, account: AccountId, pairs: &[Pair]) -> u64 {
    let adopted = store.adopt(account, pairs, Actor::scheduler(), at(90)).await;
    adopted.unwrap().adopted
}
