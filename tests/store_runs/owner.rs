//! Who owns a run, and what only the owner may write.

use sqlx::Connection;
use wiz_context::store::{Actor, AttemptEnd, CancelOrder, StoreError};

use crate::rig::{
    asset, at, bring_into_force, claim, create, delete, labels, plan, planning, puts, reading, stage, store,
};

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
async fn facts_of_a_deleted_integration_do_not_come_into_force() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let mut run = claim(&store, id, false, at(1)).await;
    let set = stage(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(1)).await;
    delete(&store, id, at(2)).await;
    let planned = store
        .plan_facts(&mut run, &planning(&store, set).await, at(3))
        .await;
    assert!(matches!(planned, Err(StoreError::RunEnding(_))), "{planned:?}");
    let other = create(&store, "wiz2").await;
    assert_eq!(plan(&store, other, account).await, []);
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
