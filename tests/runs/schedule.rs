//! The schedule: which runs start by themselves.

use std::num::NonZeroUsize;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wiz_context::domain::Timestamp;
use wiz_context::simulator::{Effect, Fault, SimulatorSettings};

use crate::rig::{Rig, Service, report, text};

const DAY: Duration = Duration::from_hours(24);

/// Far less than a day, and most of a minute by the machine's own clock, so that none is too slow for it.
const SOON: Duration = Duration::from_mins(30);

/// The runs of an integration once there are so many and none is under way.
async fn after(rig: &Rig, service: &Service, id: &str, number: usize) -> Vec<Value> {
    loop {
        let runs = service.runs_of(id).await;
        assert!(runs.len() <= number, "{runs:#?}");
        if runs.len() == number && runs.iter().all(|run| !run["finished_at"].is_null()) {
            return runs;
        }
        rig.clock.sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn auto_update_runs_at_once_and_then_once_an_interval() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let mut body = rig.integration("wiz1");
    body["enabled"] = json!(true);
    let id = service.create(body).await;
    let runs = after(&rig, &service, &id, 1).await;
    assert_eq!(
        (&runs[0]["trigger"], &runs[0]["state"]),
        (&json!("schedule"), &json!("succeeded")),
        "{runs:#?}"
    );
    rig.clock.advance(Duration::from_hours(23));
    assert_eq!(after(&rig, &service, &id, 1).await.len(), 1);
    rig.clock.advance(Duration::from_mins(80));
    after(&rig, &service, &id, 2).await;
    service.stop().await;

    // overdue after a stop: once
    rig.clock.advance(Duration::from_hours(100));
    let service = rig.serve().await;
    after(&rig, &service, &id, 3).await;
    rig.clock.advance(Duration::from_hours(1));
    let runs = after(&rig, &service, &id, 3).await;
    assert!(runs.iter().all(|run| run["state"] == "succeeded"), "{runs:#?}");
    rig.assert_in_step();
}

#[tokio::test]
async fn without_auto_update_nothing_starts_by_itself() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    rig.clock.advance(Duration::from_hours(1000));
    let run = service.succeed(&id).await;
    assert_eq!(run["trigger"], "manual");
    assert_eq!(service.runs_of(&id).await.len(), 1);
    assert_eq!(service.status_of(&id).await["next_run_at"], json!(null));
}

fn time(value: &Value) -> Timestamp {
    text(value).parse().unwrap()
}

async fn next_run_at(service: &Service, id: &str) -> Timestamp {
    time(&service.status_of(id).await["next_run_at"])
}

async fn patch(service: &Service, id: &str, body: Value) {
    let path = format!("/api/v1/integrations/context/{id}");
    let (status, answer) = service.call(Method::PATCH, &path, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// The run after a number of runs, once it is there.
async fn run_number(rig: &Rig, service: &Service, id: &str, number: usize) -> Value {
    loop {
        let runs = service.runs_of(id).await;
        if runs.len() == number {
            return runs[0].clone();
        }
        assert!(runs.len() < number, "{runs:#?}");
        rig.clock.sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn the_next_run_comes_when_the_status_says_so() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    let first = service.succeed(&id).await;
    assert_eq!(service.status_of(&id).await["next_run_at"], json!(null));

    patch(&service, &id, json!({"enabled": true})).await;
    let next = next_run_at(&service, &id).await;
    let interval = next.since(time(&first["started_at"]));
    assert!(
        interval >= DAY && interval <= DAY + Duration::from_mins(15),
        "{interval:?}"
    );
    patch(&service, &id, json!({"updateinterval": 2 * 86_400})).await;
    let next_then = next_run_at(&service, &id).await;
    assert_eq!(next_then, next + DAY);
    service.run(&id).await;
    assert!(
        next_run_at(&service, &id).await > next_then,
        "a start by hand moves it"
    );

    let next = next_run_at(&service, &id).await;
    rig.clock.advance((next - SOON).since(rig.clock.now()));
    assert_eq!(after(&rig, &service, &id, 2).await.len(), 2, "not yet");
    rig.clock.advance(SOON);
    let run = run_number(&rig, &service, &id, 3).await;
    assert!(time(&run["queued_at"]) >= next, "{run:#}");
    assert_eq!(run["trigger"], "schedule");
    after(&rig, &service, &id, 3).await;

    // A shorter interval may make it due at once.
    rig.clock.advance(DAY + Duration::from_hours(1));
    let now = rig.clock.now();
    assert!(next_run_at(&service, &id).await > now);
    patch(&service, &id, json!({"updateinterval": 86_400})).await;
    let run = run_number(&rig, &service, &id, 4).await;
    assert!(
        time(&run["queued_at"]).since(now) < Duration::from_hours(12),
        "{run:#}"
    );
    after(&rig, &service, &id, 4).await;
    patch(&service, &id, json!({"enabled": false})).await;
    assert_eq!(service.status_of(&id).await["next_run_at"], json!(null));
    rig.clock.advance(10 * DAY);
    assert_eq!(after(&rig, &service, &id, 4).await.len(), 4);
}

#[tokio::test]
async fn while_a_run_is_under_way_the_next_one_counts_from_it() {
    let rig = Rig::with(SimulatorSettings {
        report_duration: Duration::from_mins(50),
        ..SimulatorSettings::default()
    })
    .await;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    patch(&service, &id, json!({"enabled": true})).await;
    let status = service.status_of(&id).await;
    let next = time(&status["next_run_at"]);
    assert!(
        next >= time(&status["active_run"]["started_at"]) + DAY,
        "{status:#}"
    );
    rig.clock.advance(Duration::from_mins(50));
    service.end_of(&run).await;
    assert_eq!(next_run_at(&service, &id).await, next);
}

#[tokio::test]
async fn what_comes_due_during_a_dry_run_starts_when_that_ends() {
    let rig = Rig::with(SimulatorSettings {
        report_duration: Duration::from_hours(3),
        ..SimulatorSettings::default()
    })
    .await;
    let (service, id) = rig.serve_one().await;
    let path = format!("/api/v1/integrations/context/{id}/run");
    let (_, answer) = service.call(Method::GET, &path, None).await;
    let dry = text(&answer["run"]["id"]);
    service.in_phase(&dry, "waiting_for_report").await;
    let now = rig.clock.now();
    patch(&service, &id, json!({"enabled": true})).await;
    assert!(
        next_run_at(&service, &id).await >= now,
        "it is due, but cannot have started"
    );
    rig.clock.advance(Duration::from_mins(50));
    assert!(next_run_at(&service, &id).await >= now + Duration::from_mins(50));
    assert_eq!(service.runs_of(&id).await.len(), 1, "nothing is queued");
    for _ in 0..3 {
        rig.clock.advance(Duration::from_mins(50));
    }
    let dry = service.end_of(&dry).await;
    let next = run_number(&rig, &service, &id, 2).await;
    assert_eq!(next["trigger"], "schedule");
    assert!(time(&next["queued_at"]).since(time(&dry["finished_at"])) < SOON);
}

#[tokio::test]
async fn approvals_and_removals_leave_the_schedule_alone() {
    let rig = Rig::new().await;
    let row = ("CVE-2024-0001", "vm-1", "10.0.0.1", "High");
    rig.simulator.serve_csv(report(&[row]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(report(&[]));
    let held = service.run(&id).await;
    assert_eq!(held["state"], "held", "{held:#}");
    patch(&service, &id, json!({"enabled": true})).await;
    let next = next_run_at(&service, &id).await;

    let path = format!("/api/v1/runs/{}/approve", text(&held["id"]));
    let (status, answer) = service.call(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(next_run_at(&service, &id).await, next);
    service.end_of(&text(&answer["run"]["id"])).await;
    assert_eq!(next_run_at(&service, &id).await, next);

    rig.simulator
        .inject(Fault::new("fusion.token", Effect::status(401)).times(100));
    rig.clock.advance(Duration::from_hours(2));
    let path = format!("/api/v1/integrations/context/{id}?labels=remove");
    let (status, answer) = service.call(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let removal = service.end_of(&text(&answer["run"]["id"])).await;
    assert_eq!(removal["state"], "failed", "{removal:#}");
    assert_eq!(
        next_run_at(&service, &id).await,
        next,
        "it is there still, and its schedule"
    );
}

#[tokio::test]
async fn an_integration_whose_labels_are_being_removed_has_no_next_run() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    patch(&service, &id, json!({"enabled": true})).await;
    rig.simulator
        .inject(Fault::new("fusion.delete", Effect::status(503)).times(100));
    let path = format!("/api/v1/integrations/context/{id}?labels=remove");
    let (status, answer) = service.call(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(service.status_of(&id).await["next_run_at"], json!(null));
}

#[tokio::test]
async fn a_clock_that_is_set_back_puts_nothing_off() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    patch(&service, &id, json!({"enabled": true})).await;
    rig.clock.set_back(100 * DAY);
    // By then the schedule has looked at the clock.
    rig.clock.advance(Duration::from_mins(6));
    let next = loop {
        let next = next_run_at(&service, &id).await;
        rig.clock.sleep(Duration::from_secs(2)).await;
        if next_run_at(&service, &id).await == next {
            break next;
        }
    };
    let off = next.since(rig.clock.now());
    assert!(off <= DAY + Duration::from_mins(15), "{off:?}");
    rig.clock.advance(off.saturating_sub(SOON));
    assert_eq!(service.runs_of(&id).await.len(), 1, "not yet");
    rig.clock.advance(SOON);
    let run = run_number(&rig, &service, &id, 2).await;
    assert_eq!(run["trigger"], "schedule");
}

#[tokio::test]
async fn the_end_of_a_run_that_never_began_wakes_the_schedule() {
    let mut rig = Rig::with(SimulatorSettings {
        report_duration: Duration::from_hours(10),
        ..SimulatorSettings::default()
    })
    .await;
    rig.config.max_concurrent_runs = NonZeroUsize::MIN;
    let (service, busy) = rig.serve_one().await;
    let under_way = service.start_run(&busy).await;
    service.in_phase(&under_way, "waiting_for_report").await;
    let id = service.create(rig.integration("wiz2")).await;
    let queued = service.start_run(&id).await;
    patch(&service, &id, json!({"enabled": true})).await;
    let next = next_run_at(&service, &id).await;
    assert!(next >= rig.clock.now() + DAY - SOON, "{next}");
    let path = format!("/api/v1/runs/{queued}/cancel");
    let (status, answer) = service.call(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let next = run_number(&rig, &service, &id, 2).await;
    let pause = time(&next["queued_at"]).since(time(&answer["run"]["finished_at"]));
    assert!(pause < SOON, "{pause:?}");
}

/// How many runs were under way at a time, at most, and in which order they began.
fn overlap(runs: &[Value]) -> (usize, Vec<String>) {
    let mut moments = Vec::new();
    for run in runs {
        moments.push((time(&run["started_at"]), 1));
        moments.push((time(&run["finished_at"]), -1));
    }
    moments.sort_unstable();
    let mut under_way = 0_isize;
    let most = moments.iter().map(|(_, change)| {
        under_way += change;
        under_way
    });
    let most = most.max().unwrap().try_into().unwrap();
    let mut order: Vec<_> = runs.iter().collect();
    order.sort_by_key(|run| time(&run["started_at"]));
    (most, order.iter().map(|run| text(&run["id"])).collect())
}

#[tokio::test]
async fn no_more_runs_than_allowed_are_under_way_and_the_oldest_goes_first() {
    for limit in [1, 2] {
        let mut rig = Rig::new().await;
        rig.config.max_concurrent_runs = NonZeroUsize::new(limit).unwrap();
        let service = rig.serve().await;
        let mut asked = Vec::new();
        for name in ["often", "one", "two", "three"] {
            let id = service.create(rig.integration(name)).await;
            asked.push((service.start_run(&id).await, id));
        }
        let often = asked[0].1.clone();
        // Started again and again, it has one turn, and the next one after the others.
        let again = loop {
            let run = service.start_run(&often).await;
            if run != asked[0].0 {
                break run;
            }
            rig.clock.sleep(Duration::from_millis(200)).await;
        };
        asked.push((again, often));
        let mut runs = Vec::new();
        for (run, _) in &asked {
            runs.push(service.end_of(run).await);
        }
        assert!(runs.iter().all(|run| run["state"] == "succeeded"), "{runs:#?}");
        let (most, order) = overlap(&runs);
        assert_eq!(most, limit);
        let asked: Vec<_> = asked.into_iter().map(|(run, _)| run).collect();
        assert_eq!(order, asked);
        service.stop().await;
    }
}
