//! What the database promises a run: one owner, facts that come into force at once, a ledger that knows its doubts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod confirmed;
mod doubt;
mod kept_back;
mod owner;
mod rig;
mod unaudited;

use wiz_context::domain::{Change, SettingsTag};
use wiz_context::store::{PlanQuery, StoreError};
use wiz_context::worker::wanted_records;

use crate::rig::{
    asset, at, bring_into_force, claim, create, delete, finish, import, labels, plan, planning, push, puts,
    removes, stage, store,
};

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
async fn a_dry_run_keeps_its_facts_apart_from_those_in_force() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    import(&store, id, account, &[asset("a", &["10.0.0.1"], 1)], 1).await;
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
    delete(&store, one, at(9)).await;
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
    let view = store.fact_view(older, None, None).await.unwrap();
    delete(&store, newer, at(20)).await;
    let query = PlanQuery {
        account: Some(account),
        ..PlanQuery::default()
    };
    let page = store.plan_page(&view, &query, None).await;
    assert!(matches!(page, Err(StoreError::FactsChanged)), "{page:?}");
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
