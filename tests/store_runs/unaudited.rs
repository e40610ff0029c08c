//! What a run does and cannot be put on record is not done: it ends, keeps back and deletes with its audit record, or not.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use wiz_context::domain::{ReportChoice, RunFlags, RunState, Trigger};
use wiz_context::store::{
    Actor, AuditAction, Ending, Hold, Orders, PlanQuery, Planning, RunStart, StoreError,
};

use crate::rig::{asset, at, claim, create, entry, import, planning, stage, store};

const REFUSE: &str =
    "CREATE TRIGGER no_record BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'planted'); END";
/// Refuses the record of the deletion only, which comes after that of the run's end.
const REFUSE_DELETION: &str = "CREATE TRIGGER no_record BEFORE INSERT ON audit WHEN NEW.action = 'delete' \
                               BEGIN SELECT RAISE(ABORT, 'planted'); END";
const ALLOW: &str = "DROP TRIGGER no_record";

async fn execute(folder: &TempDir, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(folder.path().join("test.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

const REAL: Orders = Orders {
    dry_run: false,
    full: false,
    report: ReportChoice::Rerun,
    cancel: None,
};

#[tokio::test]
async fn a_run_whose_end_cannot_be_put_on_record_is_still_under_way() {
    let (store, _, folder) = store().await;
    let id = create(&store, "wiz1").await;
    let run = claim(&store, id, false, at(1)).await;
    let before = store.run(run.id()).await.unwrap();
    let ending = Ending {
        state: RunState::Failed,
        failure: None,
    };
    execute(&folder, REFUSE).await;
    store.finish_run(&run, &ending, at(2)).await.unwrap_err();
    store.complete_run(&run, &REAL, at(2)).await.unwrap_err();
    assert_eq!(store.run(run.id()).await.unwrap(), before);
    execute(&folder, ALLOW).await;
    let ended = store.finish_run(&run, &ending, at(3)).await.unwrap();
    assert_eq!(ended.state, RunState::Failed);
}

#[tokio::test]
async fn a_plan_whose_hold_cannot_be_put_on_record_is_not_in_force() {
    let (store, account, folder) = store().await;
    let id = create(&store, "wiz1").await;
    let both = [asset("a", &["10.0.0.1"], 1), asset("b", &["10.0.0.2"], 1)];
    import(&store, id, account, &both, 1).await;
    let mut run = claim(&store, id, false, at(5)).await;
    let set = stage(&store, &mut run, &both[1..], at(6)).await;
    store.begin_plan(&run, at(7)).await.unwrap();
    let planning = Planning {
        hold: Hold::Removals,
        ..planning(&store, set).await
    };
    let (before, checkpoint) = (store.run(run.id()).await.unwrap(), run.checkpoint.clone());
    let in_force = async || {
        let view = store.fact_view(id, None, None).await.unwrap();
        let query = PlanQuery {
            account: Some(account),
            ..PlanQuery::default()
        };
        store.plan_page(&view, &query, None).await.unwrap().carriers.len()
    };
    execute(&folder, REFUSE).await;
    store.plan_facts(&mut run, &planning, at(8)).await.unwrap_err();
    assert_eq!(store.run(run.id()).await.unwrap(), before);
    assert_eq!(run.checkpoint, checkpoint, "the next try plans again");
    assert_eq!(in_force().await, 2);
    execute(&folder, ALLOW).await;
    store.plan_facts(&mut run, &planning, at(9)).await.unwrap();
    assert!(run.checkpoint.held);
    store.work_off_arrears().await.unwrap();
    assert_eq!(in_force().await, 1);
}

#[tokio::test]
async fn a_removal_whose_deletion_cannot_be_put_on_record_has_not_ended_and_deletes_nothing() {
    let (store, _, folder) = store().await;
    let id = create(&store, "wiz1").await;
    let entry = entry(AuditAction::Delete, id);
    store.start_removal(id, None, &entry, at(1)).await.unwrap();
    let run = store.claim_run(at(2), &[]).await.unwrap().unwrap();
    execute(&folder, REFUSE_DELETION).await;
    store.complete_run(&run, &REAL, at(4)).await.unwrap_err();
    assert_eq!(store.run(run.id()).await.unwrap().state, RunState::Running);
    store.integration(id).await.unwrap();
    execute(&folder, ALLOW).await;
    store.complete_run(&run, &REAL, at(5)).await.unwrap();
    assert!(matches!(
        store.integration(id).await,
        Err(StoreError::NotFound(_))
    ));
    let again = RunStart::new(Actor::scheduler(), Trigger::Manual, RunFlags::default());
    store.start_run(id, &again, at(6)).await.unwrap_err();
}
