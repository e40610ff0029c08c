//! Whose turn it is: runs are claimed in the order in which they were asked for, whatever the clock does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use tempfile::TempDir;
use wiz_context::domain::{
    AllowedHosts, ApiEndpoint, ClientSecret, Failure, FailureKind, IntegrationId, IntegrationSettings,
    RunFlags, RunId, RunState, SettingsTag, Timestamp, TokenUrl, Trigger, UpdateInterval, WizConnection,
};
use wiz_context::store::{
    Actor, AttemptEnd, AuditAction, AuditEntry, ClaimedRun, Ending, Keyring, NewIntegration, RunStart, Store,
};

/// Seconds into the test.
fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_795_493_090_000) + Duration::from_secs(seconds)
}

async fn store() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let keyring = Keyring::read(&Keyring::generate()).unwrap();
    (Store::open(&url, keyring).await.unwrap(), folder)
}

async fn create(store: &Store, name: &str) -> IntegrationId {
    let none = AllowedHosts::default();
    let id = IntegrationId::new(at(0));
    let settings = IntegrationSettings {
        name: name.parse().unwrap(),
        enabled: true,
        update_interval: UpdateInterval::try_from(86_400).unwrap(),
        wiz: WizConnection {
            api_endpoint: ApiEndpoint::read("https://api.us1.app.wiz.io", &none).unwrap(),
            token_url: TokenUrl::read("https://auth.app.wiz.io", &none).unwrap(),
            client_id: "client".into(),
        },
    };
    let new = NewIntegration {
        id,
        settings,
        client_secret: ClientSecret::new("planted"),
    };
    let entry = AuditEntry {
        actor: Actor::scheduler(),
        action: AuditAction::Create,
        description: String::new(),
        original_id: id.to_string(),
        original_object: None,
        new_object: None,
    };
    store.create_integration(&new, None, &entry, at(0)).await.unwrap();
    id
}

async fn start(store: &Store, integration: IntegrationId, trigger: Trigger, now: Timestamp) -> RunId {
    let start = RunStart::new(Actor::scheduler(), trigger, RunFlags::default());
    store.start_run(integration, &start, now).await.unwrap().record.id
}

async fn claim(store: &Store, now: Timestamp) -> Option<ClaimedRun> {
    store.claim_run(now, &[]).await.unwrap()
}

async fn finish(store: &Store, run: &ClaimedRun, now: Timestamp) {
    let ending = Ending {
        state: RunState::Succeeded,
        failure: None,
    };
    store.finish_run(run, &ending, now).await.unwrap();
}

/// Gives a run back as after a failure.
async fn give_back(store: &Store, run: &ClaimedRun, resume_at: Timestamp, now: Timestamp) {
    let end = AttemptEnd {
        failure: Some(Failure::passing(FailureKind::WizUnavailable, "planted")),
        progressed: false,
        resume_at,
    };
    store.end_attempt(run, &end, now).await.unwrap();
}

#[tokio::test]
async fn the_oldest_comes_first_and_who_starts_often_waits_his_turn() {
    let (store, _folder) = store().await;
    let (often, one, two) = (
        create(&store, "often").await,
        create(&store, "one").await,
        create(&store, "two").await,
    );
    let first = start(&store, often, Trigger::Manual, at(1)).await;
    let of_one = start(&store, one, Trigger::Manual, at(2)).await;
    for second in 3..10 {
        assert_eq!(
            start(&store, often, Trigger::Manual, at(second)).await,
            first,
            "joined"
        );
    }
    let of_two = start(&store, two, Trigger::Manual, at(10)).await;

    let claimed = claim(&store, at(11)).await.unwrap();
    assert_eq!(claimed.id(), first);
    finish(&store, &claimed, at(12)).await;
    let again = start(&store, often, Trigger::Manual, at(12)).await;
    for expected in [of_one, of_two, again] {
        let claimed = claim(&store, at(13)).await.unwrap();
        assert_eq!(claimed.id(), expected);
    }
    assert!(claim(&store, at(14)).await.is_none());
}

#[tokio::test]
async fn a_run_that_pauses_lets_the_others_pass() {
    let (store, _folder) = store().await;
    let (one, two) = (create(&store, "one").await, create(&store, "two").await);
    let pausing = start(&store, one, Trigger::Manual, at(1)).await;
    let other = start(&store, two, Trigger::Manual, at(2)).await;
    let claimed = claim(&store, at(3)).await.unwrap();
    assert_eq!(claimed.id(), pausing);
    give_back(&store, &claimed, at(3600), at(4)).await;
    let claimed = claim(&store, at(5)).await.unwrap();
    assert_eq!(claimed.id(), other);
    finish(&store, &claimed, at(6)).await;
    assert!(claim(&store, at(3599)).await.is_none());
    assert_eq!(claim(&store, at(3600)).await.unwrap().id(), pausing);
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_run_waiting() {
    let (store, _folder) = store().await;
    let (queued, pausing) = (create(&store, "queued").await, create(&store, "pausing").await);
    let day = 86_400;
    let pausing = start(&store, pausing, Trigger::Manual, at(day)).await;
    let claimed = claim(&store, at(day)).await.unwrap();
    give_back(&store, &claimed, at(day + 60), at(day)).await;
    let queued = start(&store, queued, Trigger::Manual, at(day + 1)).await;

    assert_eq!(
        claim(&store, at(1)).await.unwrap().id(),
        pausing,
        "no pause is longer than an hour"
    );
    assert_eq!(claim(&store, at(2)).await.unwrap().id(), queued);
}

#[tokio::test]
async fn a_start_of_the_schedule_that_lies_in_the_future_is_taken_for_one_of_now() {
    let (store, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    start(&store, id, Trigger::Schedule, at(1000)).await;
    store.forget_future_start(id, at(2000)).await.unwrap();
    let last = async || store.integration_overview(id).await.unwrap().last_started_at;
    assert_eq!(last().await, Some(at(1000)), "it is past");
    store.forget_future_start(id, at(500)).await.unwrap();
    assert_eq!(last().await, Some(at(500)));
}

#[tokio::test]
async fn only_runs_that_fetch_a_report_move_the_schedule() {
    let (store, _folder) = store().await;
    let id = create(&store, "wiz1").await;
    for (trigger, moves) in [
        (Trigger::Verify, false),
        (Trigger::Approval, false),
        (Trigger::Manual, true),
        (Trigger::Removal, false),
    ] {
        let before = store.integration_overview(id).await.unwrap().last_started_at;
        let now = before.unwrap_or(at(0)) + Duration::from_secs(10);
        start(&store, id, trigger, now).await;
        let run = claim(&store, now).await.unwrap();
        store
            .begin_attempt(&run, SettingsTag(1), true, 7, now)
            .await
            .unwrap();
        let after = store.integration_overview(id).await.unwrap().last_started_at;
        assert_eq!(after != before, moves, "{trigger:?}");
        let ending = Ending {
            state: RunState::Cancelled,
            failure: None,
        };
        store.finish_run(&run, &ending, now).await.unwrap();
    }
}
