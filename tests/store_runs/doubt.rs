//! What was sent and not answered, or refused.

use wiz_context::domain::Change;

use crate::rig::{
    asset, at, bring_into_force, claim, create, delete, finish, plan, push, puts, removes, store, unknown,
};

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
async fn a_late_answer_does_not_settle_what_was_adopted_since_it_was_asked_for() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "one").await;
    let mut run = claim(&store, id, false, at(1)).await;
    bring_into_force(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(2)).await;
    let puts = puts(&plan(&store, id, account).await);
    store.doubt_puts(&run, account, &puts, at(3)).await.unwrap();
    delete(&store, id, at(4)).await;
    let pairs: Vec<_> = puts.iter().map(|record| record.pair).collect();
    assert_eq!(unknown(&store, account, &pairs).await, 1);
    store.settle(&run, account, &pairs, at(5)).await.unwrap();
    assert_eq!(unknown(&store, account, &pairs).await, 0, "Fusion holds them now");
    store.settle_refused(&run, account, &pairs, at(6)).await.unwrap();
    assert_eq!(unknown(&store, account, &pairs).await, 0);
}
