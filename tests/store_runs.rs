//! What the database promises a run: one owner, facts that come into force at once, a ledger that knows its doubts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use serde_json::json;
use sqlx::Connection;
use tempfile::TempDir;
use wiz_context::domain::{
    Address, AddressFacts, AllowedHosts, ApiEndpoint, AssetFacts, AssetKey, Change, ClientSecret, Counts,
    IntegrationId, IntegrationSettings, LabelRecord, Pair, RunFlags, RunState, Score, SettingsTag, Timestamp,
    TokenUrl, Trigger, UpdateInterval, WantedAddress, WizConnection,
};
use wiz_context::pipeline::{compare, merge_into};
use wiz_context::store::{
    AccountId, Actor, AttemptEnd, AuditAction, AuditEntry, CancelOrder, ClaimedRun, Completion, Ending,
    FactSetId, Hold, Keyring, LedgerQuery, NewIntegration, PlanQuery, Planning, Reading, RunStart, Store,
    StoreError,
};
use wiz_context::worker::wanted_records;

const NOW: i64 = 1_795_493_090_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(NOW) + Duration::from_secs(seconds)
}

async fn store() -> (Store, AccountId, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let store = Store::open(&url, Keyring::read(&Keyring::generate()).unwrap())
        .await
        .unwrap();
    let account = store.fusion_account("api.netography.com", "acme").await.unwrap();
    (store, account, folder)
}

fn entry(action: AuditAction, id: IntegrationId) -> AuditEntry {
    AuditEntry {
        actor: Actor::scheduler(),
        action,
        description: String::new(),
        original_id: id.to_string(),
        original_object: None,
        new_object: None,
    }
}

async fn create(store: &Store, name: &str) -> IntegrationId {
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

async fn claim(store: &Store, integration: IntegrationId, dry_run: bool, now: Timestamp) -> ClaimedRun {
    let flags = RunFlags {
        dry_run,
        ..RunFlags::default()
    };
    let start = RunStart::new(Actor::scheduler(), Trigger::Manual, flags);
    store.start_run(integration, &start, now).await.unwrap();
    store.claim_run(now, &[]).await.unwrap().unwrap()
}

async fn finish(store: &Store, run: &ClaimedRun, now: Timestamp) {
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

fn asset(id: &str, addresses: &[&str], findings: u64) -> AssetFacts {
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
fn reading(report_run_at: Timestamp) -> Reading {
    let certificate = json!({
        "report_id": "r", "report_run_id": "rr", "report_run_at": report_run_at, "rows_expected": null, "rows_parsed": 1,
        "bytes": 1, "columns": [], "warnings": [], "verdict": "complete",
    });
    Reading {
        certificate: serde_json::from_value(certificate).unwrap(),
        counts: Counts::default(),
    }
}

async fn stage(store: &Store, run: &mut ClaimedRun, assets: &[AssetFacts], now: Timestamp) -> FactSetId {
    let mut staging = store.begin_facts(run, &reading(now), now).await.unwrap();
    store.append_facts(run, &mut staging, assets, now).await.unwrap();
    store.complete_facts(run, staging, now).await.unwrap()
}

/// A plan that keeps nothing back.
async fn planning(store: &Store, set: FactSetId) -> Planning {
    Planning {
        set: Some(set),
        account: Some(store.fusion_account("api.netography.com", "acme").await.unwrap()),
        ..Planning::default()
    }
}

async fn bring_into_force(store: &Store, run: &mut ClaimedRun, assets: &[AssetFacts], now: Timestamp) {
    let set = stage(store, run, assets, now).await;
    store
        .plan_facts(run, &planning(store, set).await, now)
        .await
        .unwrap();
}

/// The changes that the facts in force and the ledger give, page by page.
async fn plan(store: &Store, integration: IntegrationId, account: AccountId) -> Vec<Change> {
    let view = store.fact_view(integration, None).await.unwrap();
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

fn puts(changes: &[Change]) -> Vec<LabelRecord> {
    let record = |change: &Change| match change {
        Change::Add(record) | Change::Change { record, .. } => Some(record.clone()),
        Change::Remove { .. } | Change::Hold { .. } => None,
    };
    changes.iter().filter_map(record).collect()
}

fn removes(changes: &[Change]) -> Vec<Pair> {
    changes
        .iter()
        .filter(|change| matches!(change, Change::Remove { .. }))
        .map(Change::pair)
        .collect()
}

async fn push(store: &Store, run: &ClaimedRun, account: AccountId, changes: &[Change], now: Timestamp) {
    let (puts, removes) = (puts(changes), removes(changes));
    store.doubt_puts(run, account, &puts, now).await.unwrap();
    store.doubt_deletes(run, account, &removes, now).await.unwrap();
    let sent: Vec<_> = changes.iter().map(Change::pair).collect();
    store.settle(run, account, &sent, now).await.unwrap();
}

async fn labels(store: &Store, integration: IntegrationId, account: AccountId) -> Vec<String> {
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

#[tokio::test]
async fn facts_in_force_and_a_settled_push_leave_nothing_to_do_and_what_goes_is_removed() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    bring_into_force(
        &store,
        &mut run,
        &[
            asset("a", &["10.0.0.1", "10.0.0.2"], 2),
            asset("b", &["10.0.0.2"], 3),
        ],
        at(2),
    )
    .await;
    let changes = plan(&store, id, account).await;
    push(&store, &run, account, &changes, at(3)).await;
    assert_eq!(labels(&store, id, account).await, ["10.0.0.1=2", "10.0.0.2=5"]);
    assert_eq!(plan(&store, id, account).await, []);
    finish(&store, &run, at(4)).await;
    let mut run = claim(&store, id, false, at(5)).await;
    bring_into_force(&store, &mut run, &[asset("b", &["10.0.0.2"], 3)], at(6)).await;
    store.sweep_facts().await.unwrap();
    let changes = plan(&store, id, account).await;
    assert_eq!((puts(&changes).len(), removes(&changes).len()), (1, 1));
    push(&store, &run, account, &changes, at(7)).await;
    assert_eq!(labels(&store, id, account).await, ["10.0.0.2=3"]);
    assert_eq!(plan(&store, id, account).await, []);
}

#[tokio::test]
async fn a_lost_answer_leaves_a_doubt_that_the_next_plan_looks_after() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    bring_into_force(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(2)).await;
    // Sent, carried out, and never answered; then the report no longer has the address.
    store
        .doubt_puts(&run, account, &puts(&plan(&store, id, account).await), at(3))
        .await
        .unwrap();
    finish(&store, &run, at(4)).await;
    let mut run = claim(&store, id, false, at(5)).await;
    bring_into_force(&store, &mut run, &[asset("b", &["10.0.0.9"], 1)], at(6)).await;
    let changes = plan(&store, id, account).await;
    assert_eq!(
        removes(&changes)
            .iter()
            .map(|pair| pair.ip.to_string())
            .collect::<Vec<_>>(),
        ["10.0.0.1"]
    );
    // The mirror case: the removal is sent without an answer, then the address is back.
    store
        .doubt_deletes(&run, account, &removes(&changes), at(7))
        .await
        .unwrap();
    finish(&store, &run, at(8)).await;
    let mut run = claim(&store, id, false, at(9)).await;
    bring_into_force(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(10)).await;
    let changes = plan(&store, id, account).await;
    assert_eq!(
        puts(&changes)
            .iter()
            .map(|record| record.pair.ip.to_string())
            .collect::<Vec<_>>(),
        ["10.0.0.1"]
    );
    push(&store, &run, account, &changes, at(11)).await;
    assert_eq!(plan(&store, id, account).await, []);
}

#[tokio::test]
async fn what_fusion_refused_is_as_it_was_before() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    bring_into_force(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(2)).await;
    let changes = plan(&store, id, account).await;
    store
        .doubt_puts(&run, account, &puts(&changes), at(3))
        .await
        .unwrap();
    store
        .settle_refused(&run, account, &[changes[0].pair()], at(4))
        .await
        .unwrap();
    assert!(
        matches!(plan(&store, id, account).await[..], [Change::Add(_)]),
        "it is not known to Fusion"
    );
}

#[tokio::test]
async fn facts_without_a_certificate_never_come_into_force() {
    let (store, account, folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    // The only way to a set of facts notes its certificate in the same breath.
    let set = stage(&store, &mut run, &[asset("vm-1", &["10.0.0.1"], 1)], at(2)).await;
    let certificate = store.run(run.id()).await.unwrap().certificate;
    assert_eq!(certificate, Some(reading(at(2)).certificate));

    // Should it be gone all the same, the database does not let them through.
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let lose = sqlx::query("UPDATE runs SET certificate = NULL");
    lose.execute(&mut connection).await.unwrap();
    let planned = store
        .plan_facts(&mut run, &planning(&store, set).await, at(3))
        .await;
    assert!(matches!(planned, Err(StoreError::NotFound(_))), "{planned:?}");
    assert!(
        plan(&store, id, account).await.is_empty(),
        "nothing is to be pushed"
    );
    let overview = store.integration_overview(id).await.unwrap();
    assert_eq!((overview.addresses, overview.pairs), (0, 0));
}

#[tokio::test]
async fn a_run_that_lost_its_lease_can_write_nothing() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let first = claim(&store, id, false, at(1)).await;
    assert!(
        store.claim_run(at(2), &[]).await.unwrap().is_none(),
        "one owner at a time"
    );
    let second = store.claim_run(at(1000), &[]).await.unwrap().unwrap();
    assert_eq!((second.id(), second.record.attempts), (first.id(), 2));
    assert!(matches!(
        store.extend_lease(&first, at(1001)).await,
        Err(StoreError::LeaseLost)
    ));
    assert!(matches!(
        store.begin_facts(&first, &reading(at(0)), at(1001)).await,
        Err(StoreError::LeaseLost)
    ));
    assert!(matches!(
        store.settle(&first, account, &[], at(1001)).await,
        Err(StoreError::LeaseLost)
    ));
    store.extend_lease(&second, at(1001)).await.unwrap();
    let end = AttemptEnd {
        failure: None,
        progressed: false,
        resume_at: at(2000),
    };
    store.end_attempt(&second, &end, at(1002)).await.unwrap();
    assert!(store.claim_run(at(1999), &[]).await.unwrap().is_none());
    assert_eq!(store.next_claim_at().await.unwrap(), Some(at(2000)));
    assert_eq!(
        store.release_all_runs(at(1003)).await.unwrap(),
        1,
        "a new start goes on at once"
    );
    assert_eq!(
        store
            .claim_run(at(1003), &[])
            .await
            .unwrap()
            .unwrap()
            .record
            .attempts,
        3
    );
}

#[tokio::test]
async fn a_dry_run_keeps_its_facts_apart_from_those_in_force() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    bring_into_force(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(2)).await;
    push(&store, &run, account, &plan(&store, id, account).await, at(3)).await;
    finish(&store, &run, at(4)).await;
    let mut dry = claim(&store, id, true, at(5)).await;
    let tag = SettingsTag(1);
    assert!(
        store
            .begin_attempt(&dry, tag, true, 7, at(5))
            .await
            .unwrap()
            .dry_run
    );
    let set = stage(&store, &mut dry, &[asset("a", &["10.0.0.7"], 9)], at(6)).await;
    assert!(
        store
            .plan_facts(&mut dry, &planning(&store, set).await, at(7))
            .await
            .unwrap()
            .dry_run
    );
    finish(&store, &dry, at(8)).await;
    assert_eq!(
        plan(&store, id, account).await,
        [],
        "what is in force did not change"
    );
    let found = store.recent_dry_run(id, tag, at(0)).await.unwrap().unwrap();
    let own = store.facts_of_dry_run(found.id).await.unwrap();
    let records = wanted_records(&store, id, own, 1000).await.unwrap();
    assert_eq!(
        records
            .iter()
            .map(|record| record.pair.ip.to_string())
            .collect::<Vec<_>>(),
        ["10.0.0.7"]
    );
}

#[tokio::test]
async fn two_integrations_share_an_address_and_one_that_leaves_takes_only_its_own() {
    let (store, account, _folder) = store().await;
    let (one, other) = (create(&store, "wiz1").await, create(&store, "wiz2").await);
    let mut run = claim(&store, one, false, at(1)).await;
    bring_into_force(
        &store,
        &mut run,
        &[asset("same", &["10.0.0.1"], 5), asset("x", &["10.0.0.2"], 1)],
        at(2),
    )
    .await;
    push(&store, &run, account, &plan(&store, one, account).await, at(3)).await;
    finish(&store, &run, at(4)).await;
    let mut run = claim(&store, other, false, at(5)).await;
    bring_into_force(
        &store,
        &mut run,
        &[asset("own", &["10.0.0.1"], 2), asset("same", &["10.0.0.1"], 3)],
        at(6),
    )
    .await;
    push(&store, &run, account, &plan(&store, other, account).await, at(7)).await;
    // The newer report's word on the asset that both have, and the other's own: 3 + 2.
    assert_eq!(labels(&store, one, account).await, ["10.0.0.1=5", "10.0.0.2=1"]);
    assert_eq!(labels(&store, other, account).await, ["10.0.0.1=5"]);
    finish(&store, &run, at(8)).await;
    store
        .delete_integration(one, None, &entry(AuditAction::Delete, one), at(9))
        .await
        .unwrap();
    assert_eq!(
        plan(&store, other, account).await,
        [],
        "the pair that only the deleted one wanted left the ledger"
    );
    assert_eq!(labels(&store, other, account).await, ["10.0.0.1=5"]);
}

#[tokio::test]
async fn a_plan_of_many_pages_is_whole_also_where_one_address_fills_several() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    let shared = (0..4_500).map(|number| asset(&format!("s{number:05}"), &["10.7.0.0"], 1));
    let spread = (0..5_000_u32).map(|number| {
        asset(
            &format!("v{number:05}"),
            &[&format!("10.{}.{}.1", 1 + number / 250, number % 250)],
            1,
        )
    });
    let assets: Vec<_> = shared.chain(spread).collect();
    bring_into_force(&store, &mut run, &assets, at(2)).await;
    let changes = plan(&store, id, account).await;
    assert_eq!(changes.len(), 5_001);
    assert!(changes.is_sorted_by_key(Change::pair));
    push(&store, &run, account, &changes, at(3)).await;
    assert!(
        labels(&store, id, account)
            .await
            .contains(&"10.7.0.0=4500".to_owned())
    );
    assert_eq!(plan(&store, id, account).await, []);
}

#[tokio::test]
async fn facts_of_a_deleted_integration_do_not_come_into_force() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    let set = stage(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(1)).await;
    let told = entry(AuditAction::Delete, id);
    let deleted = store.delete_integration(id, None, &told, at(2));
    deleted.await.unwrap();
    let planned = store
        .plan_facts(&mut run, &planning(&store, set).await, at(3))
        .await;
    assert!(matches!(planned, Err(StoreError::RunEnding(_))), "{planned:?}");
    let other = create(&store, "wiz2").await;
    assert_eq!(plan(&store, other, account).await, []);
}

#[tokio::test]
async fn a_plan_does_not_outlive_an_integration_whose_facts_it_reads() {
    let (store, account, _folder) = store().await;
    let (older, newer) = (create(&store, "older").await, create(&store, "newer").await);
    for (id, from) in [(older, 1), (newer, 10)] {
        let mut run = claim(&store, id, false, at(from)).await;
        bring_into_force(&store, &mut run, &[asset("x", &["10.0.0.1"], 1)], at(from + 1)).await;
        let changes = plan(&store, id, account).await;
        push(&store, &run, account, &changes, at(from + 2)).await;
        finish(&store, &run, at(from + 3)).await;
    }
    let view = store.fact_view(older, None).await.unwrap();
    let told = entry(AuditAction::Delete, newer);
    let deleted = store.delete_integration(newer, None, &told, at(20));
    deleted.await.unwrap();
    let query = PlanQuery {
        account: Some(account),
        ..PlanQuery::default()
    };
    let page = store.plan_page(&view, &query, None).await;
    assert!(matches!(page, Err(StoreError::FactsChanged)), "{page:?}");
}

#[tokio::test]
async fn an_owner_hears_the_order_to_end_from_its_next_write_and_may_still_settle() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    bring_into_force(
        &store,
        &mut run,
        &[asset("a", &["10.0.0.1", "10.0.0.2"], 1)],
        at(2),
    )
    .await;
    let changes = plan(&store, id, account).await;
    let (sent, not_sent) = puts(&changes)
        .into_iter()
        .partition::<Vec<_>, _>(|put| put.pair == changes[0].pair());
    store.doubt_puts(&run, account, &sent, at(3)).await.unwrap();
    let order = CancelOrder::by(&Actor::scheduler(), "asked for");
    store.cancel_run(run.id(), &order, at(4)).await.unwrap();
    for heard in [
        store.doubt_puts(&run, account, &not_sent, at(5)).await,
        store.doubt_deletes(&run, account, &[sent[0].pair], at(5)).await,
        store.save_checkpoint(&run, at(5)).await.map(drop),
        store.save_report(&run, None, at(5)).await,
    ] {
        assert!(matches!(heard, Err(StoreError::RunEnding(_))), "{heard:?}");
    }
    store.settle(&run, account, &[sent[0].pair], at(6)).await.unwrap();
    assert_eq!(labels(&store, id, account).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wanted_labels_can_be_read_while_another_integration_plans() {
    let (store, _, _folder) = store().await;
    let (reading, planning) = (create(&store, "reading").await, create(&store, "planning").await);
    let assets: Vec<_> = (0..200)
        .map(|number| asset(&format!("{number:03}"), &[&format!("10.0.0.{number}")], 1))
        .collect();
    let others = [asset("other", &["10.0.0.1", "10.0.0.2"], 1)];
    let mut run = claim(&store, reading, false, at(1)).await;
    bring_into_force(&store, &mut run, &assets, at(2)).await;
    finish(&store, &run, at(3)).await;
    let reads = async {
        for _ in 0..150 {
            let records = wanted_records(&store, reading, None, 1000).await.unwrap();
            assert!(records.len() >= assets.len());
        }
    };
    let plans = async {
        for time in (10..).step_by(10) {
            let mut run = claim(&store, planning, false, at(time)).await;
            bring_into_force(&store, &mut run, &others, at(time + 1)).await;
            finish(&store, &run, at(time + 2)).await;
        }
    };
    tokio::select! {
        () = reads => {}
        () = plans => {}
    }
}

#[tokio::test]
async fn an_empty_report_of_a_dry_run_that_became_real_can_be_approved() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    bring_into_force(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(2)).await;
    let changes = plan(&store, id, account).await;
    push(&store, &run, account, &changes, at(3)).await;
    finish(&store, &run, at(4)).await;

    let mut run = claim(&store, id, true, at(5)).await;
    let set = stage(&store, &mut run, &[], at(6)).await;
    let planning = Planning {
        hold: Hold::Everything(changes.iter().map(Change::pair).collect()),
        ..planning(&store, set).await
    };
    let orders = store.plan_facts(&mut run, &planning, at(7)).await.unwrap();
    assert!(orders.dry_run);
    // A real start joins between the plan of the dry run and its end (or while it waits to go on after a crash).
    let real = RunStart::new(Actor::scheduler(), Trigger::Manual, RunFlags::default());
    assert!(store.start_run(id, &real, at(8)).await.unwrap().joined);
    let completion = store.complete_run(&run, &orders, at(8)).await.unwrap();
    assert!(matches!(completion, Completion::MoreAsked(_)));
    let orders = store.plan_facts(&mut run, &planning, at(9)).await.unwrap();
    let completion = store.complete_run(&run, &orders, at(10)).await.unwrap();
    assert!(matches!(completion, Completion::Ended(record) if record.state == RunState::Held));

    store
        .approve_run(run.id(), Actor::scheduler(), at(11))
        .await
        .unwrap();
    assert_eq!(
        store.facts_kept_back(run.id()).await.unwrap(),
        Some(set),
        "the approval applies nothing"
    );
}

#[tokio::test]
async fn a_run_in_another_account_does_not_free_what_is_kept_back_in_this_one() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    let both = [asset("a", &["10.0.0.1"], 1), asset("b", &["10.0.0.2"], 1)];
    bring_into_force(&store, &mut run, &both, at(2)).await;
    let changes = plan(&store, id, account).await;
    push(&store, &run, account, &changes, at(3)).await;
    finish(&store, &run, at(4)).await;

    let mut run = claim(&store, id, false, at(5)).await;
    let set = stage(&store, &mut run, &both[1..], at(6)).await;
    let held = Planning {
        hold: Hold::Removals(vec![changes[0].pair()]),
        ..planning(&store, set).await
    };
    store.plan_facts(&mut run, &held, at(7)).await.unwrap();
    finish(&store, &run, at(8)).await;
    assert_eq!(removes(&plan(&store, id, account).await), []);

    // The service starts with another account, and later with the first one again.
    let other = store.fusion_account("api.netography.com", "other").await.unwrap();
    let mut run = claim(&store, id, false, at(9)).await;
    let set = stage(&store, &mut run, &both[1..], at(10)).await;
    let elsewhere = Planning {
        account: Some(other),
        ..planning(&store, set).await
    };
    store.plan_facts(&mut run, &elsewhere, at(11)).await.unwrap();
    finish(&store, &run, at(12)).await;
    assert_eq!(
        removes(&plan(&store, id, account).await),
        [],
        "nobody approved it"
    );
}

#[tokio::test]
async fn what_is_kept_back_stays_so_when_fusion_refuses_another_value() {
    let (store, account, _folder) = store().await;
    let (one, two) = (create(&store, "one").await, create(&store, "two").await);
    let mut run = claim(&store, one, false, at(1)).await;
    bring_into_force(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(2)).await;
    let changes = plan(&store, one, account).await;
    push(&store, &run, account, &changes, at(3)).await;
    finish(&store, &run, at(4)).await;
    let mut run = claim(&store, one, false, at(5)).await;
    let set = stage(&store, &mut run, &[asset("b", &["10.0.0.2"], 1)], at(6)).await;
    let held = Planning {
        hold: Hold::Removals(vec![changes[0].pair()]),
        ..planning(&store, set).await
    };
    store.plan_facts(&mut run, &held, at(7)).await.unwrap();
    finish(&store, &run, at(8)).await;

    // The other integration wants another value there, which Fusion refuses; then it wants none.
    let mut run = claim(&store, two, false, at(9)).await;
    bring_into_force(&store, &mut run, &[asset("c", &["10.0.0.1"], 7)], at(10)).await;
    let puts: Vec<_> = puts(&plan(&store, two, account).await)
        .into_iter()
        .filter(|record| record.pair == changes[0].pair())
        .collect();
    store.doubt_puts(&run, account, &puts, at(11)).await.unwrap();
    store
        .settle_refused(&run, account, &[changes[0].pair()], at(12))
        .await
        .unwrap();
    finish(&store, &run, at(13)).await;
    let mut run = claim(&store, two, false, at(14)).await;
    bring_into_force(&store, &mut run, &[], at(15)).await;
    assert_eq!(
        removes(&plan(&store, two, account).await),
        [],
        "it holds what was kept back, and nobody approved its removal"
    );
}

/// Of these pairs, how many the ledger does not know; they come into it.
async fn unknown(store: &Store, account: AccountId, pairs: &[Pair]) -> u64 {
    let adopted = store.adopt(account, pairs, Actor::scheduler(), at(90)).await;
    adopted.unwrap().adopted
}

#[tokio::test]
async fn a_late_answer_does_not_settle_what_was_adopted_since_it_was_asked_for() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "one").await;
    let mut run = claim(&store, id, false, at(1)).await;
    bring_into_force(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(2)).await;
    let puts = puts(&plan(&store, id, account).await);
    store.doubt_puts(&run, account, &puts, at(3)).await.unwrap();
    store
        .delete_integration(id, None, &entry(AuditAction::Delete, id), at(4))
        .await
        .unwrap();
    let pairs: Vec<_> = puts.iter().map(|record| record.pair).collect();
    assert_eq!(unknown(&store, account, &pairs).await, 1);
    store.settle(&run, account, &pairs, at(5)).await.unwrap();
    assert_eq!(unknown(&store, account, &pairs).await, 0, "Fusion holds them now");
    store.settle_refused(&run, account, &pairs, at(6)).await.unwrap();
    assert_eq!(unknown(&store, account, &pairs).await, 0);
}

#[tokio::test]
async fn an_integration_that_is_deleted_leaves_what_is_kept_back_for_another_at_its_addresses() {
    let (store, account, _folder) = store().await;
    let (one, two) = (create(&store, "one").await, create(&store, "two").await);
    let mut scored = asset("a", &["10.0.0.1"], 1);
    scored.score = Score::from_tenths(75);
    let mut run = claim(&store, one, false, at(1)).await;
    bring_into_force(&store, &mut run, &[scored], at(2)).await;
    let changes = plan(&store, one, account).await;
    push(&store, &run, account, &changes, at(3)).await;
    finish(&store, &run, at(4)).await;
    let mut run = claim(&store, two, false, at(5)).await;
    bring_into_force(&store, &mut run, &[asset("c", &["10.0.0.1"], 1)], at(6)).await;
    finish(&store, &run, at(7)).await;
    let kept = changes
        .iter()
        .map(Change::pair)
        .find(|pair| pair.context.as_str() == "cvss_score")
        .unwrap();
    let mut run = claim(&store, one, false, at(8)).await;
    let set = stage(&store, &mut run, &[asset("b", &["10.0.0.2"], 1)], at(9)).await;
    let held = Planning {
        hold: Hold::Removals(vec![kept]),
        ..planning(&store, set).await
    };
    store.plan_facts(&mut run, &held, at(10)).await.unwrap();
    finish(&store, &run, at(11)).await;

    store
        .delete_integration(two, None, &entry(AuditAction::Delete, two), at(12))
        .await
        .unwrap();
    assert_eq!(
        unknown(&store, account, &[kept]).await,
        0,
        "its approval is still to come"
    );
}
