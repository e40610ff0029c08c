//! Removals and reports that are kept back.

use wiz_context::domain::{Change, RunFlags, RunState, Score, Trigger};
use wiz_context::store::{Actor, Completion, Hold, PlanQuery, Planning, RunStart, StoreError};

use crate::rig::{
    asset, at, bring_into_force, claim, create, delete, finish, import, import_and_keep_back, keep_back,
    plan, planning, puts, removes, stage, store, unknown,
};

#[tokio::test]
async fn an_empty_report_of_a_dry_run_that_became_real_can_be_approved() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    import(&store, id, account, &[asset("a", &["10.0.0.1"], 1)], 1).await;

    let mut run = claim(&store, id, true, at(5)).await;
    let set = stage(&store, &mut run, &[], at(6)).await;
    let planning = Planning {
        hold: Hold::Everything,
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
    let both = [asset("a", &["10.0.0.1"], 1), asset("b", &["10.0.0.2"], 1)];
    let changes = import(&store, id, account, &both, 1).await;

    import_and_keep_back(&store, id, &both[1..], &[changes[0].pair()], 5).await;
    store.work_off_arrears().await.unwrap();
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
    store.work_off_arrears().await.unwrap();
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
    let changes = import(&store, one, account, &[asset("a", &["10.0.0.1"], 1)], 1).await;
    import_and_keep_back(
        &store,
        one,
        &[asset("b", &["10.0.0.2"], 1)],
        &[changes[0].pair()],
        5,
    )
    .await;
    store.work_off_arrears().await.unwrap();

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

#[tokio::test]
async fn an_integration_that_is_deleted_leaves_what_is_kept_back_for_another_at_its_addresses() {
    let (store, account, _folder) = store().await;
    let (one, two) = (create(&store, "one").await, create(&store, "two").await);
    let mut scored = asset("a", &["10.0.0.1"], 1);
    scored.score = Score::from_tenths(75);
    let changes = import(&store, one, account, &[scored], 1).await;
    let mut run = claim(&store, two, false, at(5)).await;
    bring_into_force(&store, &mut run, &[asset("c", &["10.0.0.1"], 1)], at(6)).await;
    finish(&store, &run, at(7)).await;
    let kept = changes
        .iter()
        .map(Change::pair)
        .find(|pair| pair.context.as_str() == "cvss_score")
        .unwrap();
    import_and_keep_back(&store, one, &[asset("b", &["10.0.0.2"], 1)], &[kept], 8).await;

    delete(&store, two, at(12)).await;
    assert_eq!(
        unknown(&store, account, &[kept]).await,
        0,
        "its approval is still to come"
    );
}

#[tokio::test]
async fn what_an_older_plan_kept_back_is_not_approved_before_the_marks_of_the_newer_one_are_written() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let all = [
        asset("a", &["10.0.0.1"], 1),
        asset("b", &["10.0.0.2"], 1),
        asset("c", &["10.0.0.3"], 1),
    ];
    let changes = import(&store, id, account, &all, 1).await;
    let pairs: Vec<_> = changes.iter().map(Change::pair).collect();
    let older = import_and_keep_back(&store, id, &all[1..], &pairs[..1], 5).await;
    store.work_off_arrears().await.unwrap();
    let newer = import_and_keep_back(&store, id, &all[2..], &pairs[..2], 10).await;
    let approve = |run| store.approve_run(run, Actor::scheduler(), at(20));
    let early = approve(older).await;
    assert!(matches!(early, Err(StoreError::NothingHeld)), "{early:?}");
    // Nor does anybody plan by the marks of before.
    let view = store.fact_view(id, None, None).await.unwrap();
    let query = PlanQuery {
        account: Some(account),
        ..PlanQuery::default()
    };
    let page = store.plan_page(&view, &query, None).await;
    assert!(matches!(page, Err(StoreError::FactsChanged)), "{page:?}");
    store.work_off_arrears().await.unwrap();
    assert!(store.plan_page(&view, &query, None).await.is_ok());
    let early = approve(older).await;
    assert!(matches!(early, Err(StoreError::NothingHeld)), "{early:?}");
    assert!(approve(newer).await.is_ok());
}

#[tokio::test]
async fn a_deleted_integration_leaves_what_it_did_not_want_to_the_next_plan() {
    let (store, account, _folder) = store().await;
    let (one, two) = (create(&store, "one").await, create(&store, "two").await);
    let mut run = claim(&store, one, false, at(1)).await;
    bring_into_force(&store, &mut run, &[asset("a", &["10.0.0.1"], 1)], at(2)).await;
    finish(&store, &run, at(3)).await;
    let mut scored = asset("b", &["10.0.0.1"], 1);
    scored.score = Score::from_tenths(75);
    import(&store, two, account, &[scored], 4).await;
    // The score goes, and before that is carried out, the other integration of the address.
    let mut run = claim(&store, two, false, at(8)).await;
    bring_into_force(&store, &mut run, &[asset("b", &["10.0.0.1"], 1)], at(9)).await;
    delete(&store, one, at(10)).await;
    let removed = removes(&plan(&store, two, account).await);
    let removed: Vec<_> = removed.iter().map(|pair| pair.context.as_str()).collect();
    assert_eq!(removed, ["cvss_score"]);
}

#[tokio::test]
async fn a_run_that_plans_again_keeps_back_what_its_last_plan_says() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let all = [asset("a", &["10.0.0.1"], 1), asset("b", &["10.0.0.2"], 1)];
    let pairs = import(&store, id, account, &all, 1).await;
    let pairs: Vec<_> = pairs.iter().map(Change::pair).collect();
    let mut run = claim(&store, id, false, at(5)).await;
    let set = stage(&store, &mut run, &[], at(6)).await;
    for held in [&pairs[..], &pairs[..1]] {
        keep_back(&store, &mut run, set, held, Hold::Everything, at(7)).await;
        store.work_off_arrears().await.unwrap();
        let overview = store.integration_overview(id).await.unwrap();
        assert_eq!(overview.held, held.len() as u64);
    }
}

#[tokio::test]
async fn an_approval_frees_what_is_kept_back_in_its_own_account() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let both = [asset("a", &["10.0.0.1"], 1), asset("b", &["10.0.0.2"], 1)];
    let changes = import(&store, id, account, &both, 1).await;
    let held = import_and_keep_back(&store, id, &both[1..], &[changes[0].pair()], 5).await;
    store.work_off_arrears().await.unwrap();

    // The service starts with another account, and somebody approves there what was held in the first.
    let other = store.fusion_account("api.netography.com", "other").await.unwrap();
    store.approve_run(held, Actor::scheduler(), at(10)).await.unwrap();
    let mut run = store.claim_run(at(11), &[]).await.unwrap().unwrap();
    let elsewhere = Planning {
        account: Some(other),
        ..Planning::default()
    };
    store.plan_facts(&mut run, &elsewhere, at(12)).await.unwrap();
    finish(&store, &run, at(13)).await;
    store.work_off_arrears().await.unwrap();
    assert_eq!(
        removes(&plan(&store, id, account).await),
        [],
        "nobody approved it here"
    );
}
