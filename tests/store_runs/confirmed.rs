//! A report that says what is in force already.

use sqlx::Connection as _;
use wiz_context::domain::AssetFacts;
use wiz_context::store::{FactsDigest, PlanQuery};

use crate::rig::{asset, at, claim, create, finish, import, plan, planning, push, reading, stage, store};

#[tokio::test]
async fn a_report_that_says_what_is_in_force_is_not_written_again() {
    let (store, account, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    let assets = [asset("a", &["10.0.0.1"], 1), asset("b", &["10.0.0.2"], 2)];
    let digest_of = |assets: &[AssetFacts]| {
        let mut digest = FactsDigest::new();
        for asset in assets {
            digest.add(asset);
        }
        digest
    };
    let mut run = claim(&store, id, false, at(1)).await;
    let staged = stage(&store, &mut run, &assets, at(2)).await;
    // What is staged only says nothing yet of what is in force.
    let confirmed = store
        .confirm_facts(&mut run, &reading(at(2)), digest_of(&assets), at(2))
        .await;
    assert_eq!(confirmed.unwrap(), None);
    store
        .plan_facts(&mut run, &planning(&store, staged).await, at(2))
        .await
        .unwrap();
    let changes = plan(&store, id, account).await;
    push(&store, &run, account, &changes, at(3)).await;
    finish(&store, &run, at(4)).await;

    let mut dry = claim(&store, id, true, at(5)).await;
    let confirmed = store
        .confirm_facts(&mut dry, &reading(at(5)), digest_of(&assets), at(5))
        .await;
    assert_eq!(confirmed.unwrap(), None, "the facts of a dry run stand apart");
    finish(&store, &dry, at(6)).await;

    let mut run = claim(&store, id, false, at(7)).await;
    let confirmed = store
        .confirm_facts(&mut run, &reading(at(7)), digest_of(&assets[..1]), at(7))
        .await;
    assert_eq!(confirmed.unwrap(), None, "it says something else");
    let confirmed = store
        .confirm_facts(&mut run, &reading(at(7)), digest_of(&assets), at(7))
        .await
        .unwrap();
    assert_eq!(confirmed, Some(staged));
    let at_that_time = run.checkpoint.confirmed_at;
    assert_eq!(at_that_time, Some(at(7)));
    // What it had part in is counted as of facts that come anew: a hold is judged by it.
    let view = store.fact_view(id, confirmed, at_that_time).await.unwrap();
    let page = store.plan_page(&view, &PlanQuery::default(), None).await.unwrap();
    assert_eq!(page.had_part.len(), 2);
    assert!(view.replaces_facts());
    store
        .plan_facts(&mut run, &planning(&store, staged).await, at(8))
        .await
        .unwrap();
    assert_eq!(plan(&store, id, account).await, []);
    finish(&store, &run, at(9)).await;

    // Of one asset in two integrations the newer report counts: this one was confirmed after the other's.
    let other = create(&store, "wiz2").await;
    let mut run = claim(&store, other, false, at(10)).await;
    let mut staging = store.begin_facts(&run, &reading(at(6)), at(10)).await.unwrap();
    let older = [asset("a", &["10.0.0.1"], 9)];
    store
        .append_facts(&run, &mut staging, &older, at(10))
        .await
        .unwrap();
    let set = store.complete_facts(&mut run, staging, at(10)).await.unwrap();
    store
        .plan_facts(&mut run, &planning(&store, set).await, at(11))
        .await
        .unwrap();
    assert_eq!(plan(&store, other, account).await, []);
}

#[tokio::test]
async fn what_was_half_written_goes_when_the_facts_in_force_are_confirmed() {
    let (store, account, folder) = store().await;
    let id = create(&store, "wiz1").await;
    let assets = [asset("a", &["10.0.0.1"], 1)];
    import(&store, id, account, &assets, 1).await;

    let mut run = claim(&store, id, false, at(5)).await;
    let _half = store.begin_facts(&run, &reading(at(5)), at(5)).await.unwrap();
    let mut digest = FactsDigest::new();
    digest.add(&assets[0]);
    let confirmed = store
        .confirm_facts(&mut run, &reading(at(6)), digest, at(6))
        .await;
    assert!(confirmed.unwrap().is_some());
    store.sweep_facts().await.unwrap();
    let database = folder.path().join("test.db");
    let mut database = sqlx::SqliteConnection::connect(&database.display().to_string())
        .await
        .unwrap();
    let sets: i64 = sqlx::query_scalar("SELECT count(*) FROM fact_sets")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(sets, 1);
}
