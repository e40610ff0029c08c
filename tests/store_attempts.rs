//! What the database keeps of the attempts at a run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use tempfile::TempDir;
use wiz_context::domain::{
    AllowedHosts, ApiEndpoint, AttemptOutcome, ClientSecret, Failure, FailureKind, IntegrationId,
    IntegrationSettings, Phase, Progress, RunFlags, RunId, RunState, Timestamp, TokenUrl, Trigger,
    UpdateInterval, WizConnection,
};
use wiz_context::store::{
    Actor, AttemptEnd, AuditAction, AuditEntry, ClaimedRun, Ending, Keyring, NewIntegration, RunStart, Store,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_795_493_090_000) + Duration::from_secs(seconds)
}

/// A store with one run in its queue.
async fn store() -> (Store, RunId, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let keys = Keyring::read(&Keyring::generate()).unwrap();
    let store = Store::open(&url, keys).await.unwrap();
    let (none, id) = (AllowedHosts::default(), IntegrationId::new(at(0)));
    let wiz = WizConnection {
        api_endpoint: ApiEndpoint::read("https://api.us1.app.wiz.io", &none).unwrap(),
        token_url: TokenUrl::read("https://auth.app.wiz.io", &none).unwrap(),
        client_id: "client".into(),
    };
    let settings = IntegrationSettings {
        name: "wiz1".parse().unwrap(),
        enabled: true,
        update_interval: UpdateInterval::try_from(86_400).unwrap(),
        wiz,
    };
    let client_secret = ClientSecret::new("planted");
    let new = NewIntegration {
        id,
        settings,
        client_secret,
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
    let start = RunStart::new(Actor::scheduler(), Trigger::Manual, RunFlags::default());
    let run = store.start_run(id, &start, at(0)).await.unwrap().record.id;
    (store, run, folder)
}

async fn claim(store: &Store, now: Timestamp) -> ClaimedRun {
    store.claim_run(now, &[]).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_newest_fifty_attempts_are_kept_and_all_are_counted() {
    let (store, id, _folder) = store().await;
    for second in 1..=60 {
        let run = claim(&store, at(second)).await;
        assert_eq!(run.record.attempt_log.last().unwrap().ended_at, None);
        assert_eq!(run.fruitless, 1, "those before were not in vain");
        let end = AttemptEnd {
            failure: Some(Failure::passing(FailureKind::WizUnavailable, "down")),
            progressed: true,
            resume_at: at(second),
        };
        store.end_attempt(&run, &end, at(second)).await.unwrap();
    }
    let record = store.run(id).await.unwrap();
    let log = &record.attempt_log;
    assert_eq!((record.attempts, log.len()), (60, 50));
    assert_eq!((log[0].number, log[49].number), (11, 60));
    assert_eq!(log[49].outcome, Some(AttemptOutcome::Failed));
    let detail = record.progress.detail.unwrap();
    assert!(detail.starts_with("waits until 2026-"), "{detail}");
}

#[tokio::test]
async fn an_attempt_whose_owner_is_gone_is_lost_when_it_was_last_heard_of() {
    let (store, id, _folder) = store().await;
    let run = claim(&store, at(1)).await;
    let progress = Progress::default();
    let showing = store.save_progress(&run, Phase::Downloading, &progress, at(30));
    showing.await.unwrap();
    store.extend_lease(&run, at(50)).await.unwrap();

    // Nobody gives it free: its lease runs out.
    assert!(store.claim_run(at(100), &[]).await.unwrap().is_none());
    assert!(
        store.claim_run(at(1000), &[id]).await.unwrap().is_none(),
        "its owner claims"
    );
    let second = claim(&store, at(1000)).await;
    let first = &second.record.attempt_log[0];
    assert_eq!(
        (first.outcome, first.ended_at, first.phase),
        (Some(AttemptOutcome::Lost), Some(at(50)), Some(Phase::Downloading))
    );

    // The next service gives it free at its start.
    store.release_all_runs(at(2000)).await.unwrap();
    let log = store.run(id).await.unwrap().attempt_log;
    assert_eq!((log.len(), log[1].outcome), (2, Some(AttemptOutcome::Lost)));
    assert_eq!(log[1].ended_at, Some(at(1000)));

    let third = claim(&store, at(2001)).await;
    let ending = Ending {
        state: RunState::Succeeded,
        failure: None,
    };
    let record = store.finish_run(&third, &ending, at(2002)).await.unwrap();
    let newest = record.attempt_log.last().unwrap();
    assert_eq!((newest.number, newest.outcome), (3, Some(AttemptOutcome::Ended)));
    assert_eq!((newest.began_at, newest.ended_at), (at(2001), Some(at(2002))));
}
