//! What people complain of in products of this kind, each as a test. None of it happens here.

use std::time::Duration;

use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Ending, Fault, SimulatorSettings, StatusFault};

use crate::rig::{Rig, Service, generator, report, text};

/// An account in which Wiz takes its time for a report.
async fn slow_reports(report_duration: Duration) -> Rig {
    Rig::with(SimulatorSettings {
        generator: generator(0),
        report_duration,
        ..SimulatorSettings::default()
    })
    .await
}

/// Lets time pass while a run waits for its report, in leaps that are shorter than any token's life.
async fn let_pass(rig: &Rig, service: &Service, run: &str, leap: Duration, leaps: u32) {
    for _ in 0..leaps {
        service.in_phase(run, "waiting_for_report").await;
        rig.clock.advance(leap);
    }
}

#[tokio::test]
async fn a_run_is_not_stuck_for_ever_after_a_crash() {
    let rig = slow_reports(Duration::from_hours(2)).await;
    let service = rig.serve_crashing().await;
    let id = service.create(rig.integration("wiz1")).await;
    let run = service.start_run(&id).await;
    service.in_phase(&run, "waiting_for_report").await;
    service.crash();
    rig.clock.advance(Duration::from_mins(30));

    // The next service goes on with it by itself, and can tell.
    let service = rig.serve().await;
    let status = service.status_of(&id).await;
    assert_eq!(
        (
            &status["active_run"]["id"],
            status["active_run"]["finished_at"].is_null()
        ),
        (&json!(run), true),
        "{status:#}"
    );
    let_pass(&rig, &service, &run, Duration::from_mins(30), 3).await;
    let ended = service.end_of(&run).await;
    assert_eq!(
        (&ended["state"], &ended["attempts"]),
        (&json!("succeeded"), &json!(2)),
        "{ended:#}"
    );
    assert_eq!(
        rig.simulator.reports()[0].runs.len(),
        1,
        "one report, one run of it"
    );
    rig.assert_in_step();

    // Nor does what is left of it stand in the way of the next one.
    let status = service.status_of(&id).await;
    assert_eq!(
        (&status["state"], &status["last_success"]["id"]),
        (&json!("idle"), &json!(run))
    );
    let next = service.start_run(&id).await;
    assert_ne!(next, run);
    let_pass(&rig, &service, &next, Duration::from_mins(30), 5).await;
    assert_eq!(service.end_of(&next).await["state"], "succeeded");
}

#[tokio::test]
async fn a_run_that_crashes_the_service_each_time_ends_too() {
    let rig = slow_reports(Duration::from_hours(100)).await;
    let mut service = rig.serve_crashing().await;
    let id = service.create(rig.integration("wiz1")).await;
    let run = service.start_run(&id).await;
    for attempt in 1..=8 {
        service.run_once(&run, |run| run["attempts"] == attempt).await;
        service.crash();
        service = rig.serve_crashing().await;
    }
    let run = service.end_of(&run).await;
    assert_eq!(
        (&run["state"], &run["failure"]["kind"]),
        (&json!("failed"), &json!("internal")),
        "{run:#}"
    );
    assert_eq!(service.status_of(&id).await["state"], "idle");
    service.crash();
}

#[tokio::test]
async fn a_partial_fetch_deletes_no_good_data() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    let success = service.succeed(&id).await;
    let good = rig.simulator.labels();
    assert!(!good.is_empty());
    let before = service.status_of(&id).await;

    let cut = |ending| Fault::new("wiz.report_file", Effect::Truncate { bytes: 3_000, ending });
    let partial = [
        ("the file looks whole and is not", cut(Ending::Honest)),
        ("no length is announced", cut(Ending::Unannounced)),
        (
            "rows are missing that Wiz counted",
            Fault::new("wiz.report_run", Effect::CountPlus { rows: 5 }),
        ),
        (
            "nothing comes at all",
            Fault::new("wiz.report_file", Effect::EmptyBody),
        ),
    ];
    for (case, fault) in partial {
        rig.simulator.inject(fault.times(100));
        let run = service.run(&id).await;
        rig.simulator.clear_faults();
        assert_eq!(
            (&run["state"], &run["failure"]["kind"]),
            (&json!("failed"), &json!("incomplete")),
            "{case}: {run:#}"
        );
        assert_eq!(rig.simulator.labels(), good, "{case}");
        let status = service.status_of(&id).await;
        assert_eq!(status["last_success"]["id"], success["id"], "{case}");
        assert_eq!(
            (&status["addresses"], &status["pairs"]),
            (&before["addresses"], &before["pairs"]),
            "{case}: what is wanted did not change"
        );
        assert_eq!(status["last_run"]["id"], run["id"], "{case}");
    }
    assert_eq!(rig.simulator.labels_deleted(), 0);
    service.succeed(&id).await;
    rig.assert_in_step();
}

#[tokio::test]
async fn a_token_that_dies_in_hour_three_ends_no_run() {
    let rig = Rig::with(SimulatorSettings {
        generator: generator(0),
        report_duration: Duration::from_hours(4),
        wiz_token_life: Duration::from_mins(170),
        ..SimulatorSettings::default()
    })
    .await;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    let_pass(&rig, &service, &run, Duration::from_mins(25), 9).await;
    // And then each side refuses a token before its time, as when keys are changed over there.
    for operation in ["wiz.graphql.reportRun", "fusion.put"] {
        rig.simulator.inject(Fault::new(operation, Effect::status(401)));
    }
    let_pass(&rig, &service, &run, Duration::from_mins(16), 1).await;
    let ended = service.end_of(&run).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    assert!(rig.simulator.requests("wiz.token") >= 2);
    let reports = rig.simulator.reports();
    assert_eq!((reports.len(), reports[0].runs.len()), (1, 1), "no hour was lost");
    rig.assert_in_step();
}

#[tokio::test]
async fn a_429_kills_no_hours_of_work() {
    let rig = slow_reports(Duration::from_hours(3)).await;
    let slow_down = |retry_after_s| {
        Effect::Status(StatusFault {
            status: 429,
            retry_after_s,
            ..StatusFault::default()
        })
    };
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    let_pass(&rig, &service, &run, Duration::from_mins(25), 7).await;
    // Whatever is asked for from here on is put off for some time, more often than a call is repeated.
    for (operation, wait_s) in [
        ("wiz.graphql.reportRun", Some(120)),
        ("wiz.report_file", None),
        ("fusion.token", Some(30)),
        ("fusion.put", None),
    ] {
        rig.simulator
            .inject(Fault::new(operation, slow_down(wait_s)).times(4));
    }
    let waiting = service
        .run_once(&run, |run| run["failure"]["kind"] == "rate_limited")
        .await;
    assert_eq!(
        (&waiting["state"], &waiting["failure"]["retryable"]),
        (&json!("running"), &json!(true)),
        "it waits, and says so: {waiting:#}"
    );
    let_pass(&rig, &service, &run, Duration::from_mins(5), 1).await;
    let ended = service.end_of(&run).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    let reports = rig.simulator.reports();
    assert_eq!(
        (reports.len(), reports[0].runs.len()),
        (1, 1),
        "the three hours of Wiz's work were used"
    );
    rig.assert_in_step();
}

#[tokio::test]
async fn a_first_run_shows_that_it_moves() {
    let rig = slow_reports(Duration::from_mins(40)).await;
    // So that the reading and the writing take long enough to be seen.
    for operation in ["wiz.report_file", "fusion.put"] {
        rig.simulator
            .inject(Fault::new(operation, Effect::Slow { seconds: 20 }));
    }
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    let mut seen: Vec<Value> = Vec::new();
    loop {
        let status = service.status_of(&id).await;
        let record = match &status["active_run"] {
            Value::Null => break,
            record => record.clone(),
        };
        assert_eq!(status["phase"], record["phase"]);
        if record["phase"] == "waiting_for_report" {
            rig.clock.advance(Duration::from_mins(2));
        }
        seen.push(record);
        rig.clock.sleep(Duration::from_secs(1)).await;
    }
    let ended = service.end_of(&run).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}");

    let mut phases: Vec<_> = seen
        .iter()
        .filter_map(|record| record["phase"].as_str())
        .collect();
    phases.dedup();
    let in_order = [
        "signing_in",
        "requesting_report",
        "waiting_for_report",
        "downloading",
        "planning",
        "pushing",
    ];
    let places: Vec<_> = phases
        .iter()
        .map(|phase| in_order.iter().position(|known| known == phase).unwrap())
        .collect();
    assert!(places.is_sorted(), "{phases:?}");
    for phase in ["waiting_for_report", "downloading", "pushing"] {
        assert!(phases.contains(&phase), "{phases:?}");
    }
    // While Wiz works, its own figure grows; and something is heard all the time.
    let waiting = || {
        seen.iter()
            .filter(|record| record["phase"] == "waiting_for_report")
    };
    let mut percents: Vec<_> = waiting()
        .filter_map(|record| record["progress"]["percent"].as_u64())
        .collect();
    assert!(percents.is_sorted(), "{percents:?}");
    percents.dedup();
    assert!(percents.len() > 5, "{percents:?}");
    let mut heard: Vec<_> = waiting()
        .map(|record| text(&record["progress"]["updated_at"]))
        .collect();
    assert!(heard.is_sorted());
    heard.dedup();
    assert!(heard.len() > 5, "{heard:?}");
    // In the end the record says what was done.
    assert_eq!(
        ended["certificate"]["rows_parsed"],
        ended["certificate"]["rows_expected"]
    );
    assert!(ended["counts"]["added"].as_u64() > Some(0), "{ended:#}");
    rig.assert_in_step();
}

#[tokio::test]
async fn a_run_that_cannot_move_says_what_it_waits_for() {
    let rig = slow_reports(Duration::from_secs(2)).await;
    rig.simulator
        .serve_csv(report(&[("CVE-2024-0001", "vm-1", "10.0.0.1", "High")]));
    rig.simulator
        .inject(Fault::new("wiz.graphql.createReport", Effect::status(503)).times(4));
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    let failing = service.run_once(&run, |run| !run["failure"].is_null()).await;
    assert_eq!(failing["failure"]["kind"], "wiz_unavailable", "{failing:#}");
    let message = text(&failing["failure"]["message"]);
    assert!(
        message.contains("create the report") && message.contains("503"),
        "{message}"
    );
    assert_eq!(service.end_of(&run).await["state"], "succeeded");
    rig.assert_in_step();
}
