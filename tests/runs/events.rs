//! A run as server-sent events, over real HTTP.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Fault, SimulatorSettings};

use crate::rig::{Rig, Service, generator, text};

/// A stream of events, as a client reads it.
struct Events {
    response: Response,
    read: String,
}

#[derive(Debug)]
struct Event {
    id: u64,
    name: String,
    data: Value,
}

impl Service {
    async fn follow(&self, run: &str) -> Events {
        self.follow_from(run, &[]).await
    }

    async fn follow_from(&self, run: &str, headers: &[(&str, &str)]) -> Events {
        let response = self.open(&format!("/api/v1/runs/{run}/events"), headers).await;
        assert_eq!(response.status(), StatusCode::OK);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-accel-buffering"), "no");
        Events {
            response,
            read: String::new(),
        }
    }
}

impl Events {
    /// What stands before the next empty line; `None` at the end of the stream.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                return Some(block);
            }
            let Some(piece) = self.response.chunk().await.unwrap() else {
                assert_eq!(self.read, "", "the stream ends between two events");
                return None;
            };
            self.read.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            if block.starts_with(':') {
                continue;
            }
            let member = |name: &str| {
                let mut lines = block.lines();
                let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                line.unwrap_or_else(|| panic!("no {name} in {block}")).to_owned()
            };
            return Some(Event {
                id: member("id").parse().unwrap(),
                name: member("event"),
                data: serde_json::from_str(&member("data")).unwrap(),
            });
        }
    }

    /// The events up to the first that a condition holds for, that one among them.
    async fn until(&mut self, holds: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.expect("not the end yet");
            let found = holds(&event);
            events.push(event);
            if found {
                return events;
            }
        }
    }

    async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// A rig whose reports take an hour.
async fn slow_rig() -> Rig {
    rig_with_reports_of(Duration::from_hours(1)).await
}

async fn rig_with_reports_of(report_duration: Duration) -> Rig {
    Rig::with(SimulatorSettings {
        generator: generator(0),
        report_duration,
        ..SimulatorSettings::default()
    })
    .await
}

#[tokio::test]
async fn a_listener_sees_each_phase_in_its_order_and_the_end() {
    let rig = rig_with_reports_of(Duration::from_mins(10)).await;
    // Each phase lasts long enough to be seen.
    let held = [
        "wiz.token",
        "wiz.graphql.createReport",
        "wiz.report_file",
        "fusion.put",
    ];
    for operation in held {
        rig.simulator
            .inject(Fault::new(operation, Effect::Slow { seconds: 600 }));
    }
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    let mut events = service.follow(&run).await;
    let mut seen = Vec::new();
    let phases = [
        "signing_in",
        "requesting_report",
        "waiting_for_report",
        "downloading",
        "pushing",
    ];
    for phase in phases {
        let entered = events.until(|event| event.data["phase"] == phase);
        seen.extend(rig.while_time_flies(entered).await);
        assert_eq!(seen.last().unwrap().name, "phase");
    }
    seen.extend(rig.while_time_flies(events.rest()).await);
    let ids: Vec<_> = seen.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    let (first, last) = (&seen[0], seen.last().unwrap());
    assert_eq!((&*first.name, &first.data["id"]), ("phase", &json!(run)));
    assert_eq!(
        (&*last.name, &last.data["state"]),
        ("finished", &json!("succeeded")),
        "{last:#?}"
    );
    assert_eq!(seen.iter().filter(|event| event.name == "finished").count(), 1);
    let (_, answer) = service
        .call(Method::GET, &format!("/api/v1/runs/{run}"), None)
        .await;
    assert_eq!(last.data, answer["data"], "events carry the whole record");
    rig.assert_in_step();
}

#[tokio::test]
async fn progress_is_told_while_wiz_makes_the_report() {
    let rig = slow_rig().await;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    let mut events = service.follow(&run).await;
    events
        .until(|event| event.data["phase"] == "waiting_for_report")
        .await;
    rig.clock.advance(Duration::from_mins(30));
    let half = |event: &Event| event.data["progress"]["percent"].as_u64() >= Some(50);
    let events = events.until(half).await;
    let last = events.last().unwrap();
    assert_eq!(last.name, "progress");
    let eta_s = last.data["progress"]["eta_s"].as_u64().unwrap();
    // Less where the machine was long about the answer.
    assert!((1..=1_900).contains(&eta_s), "{last:#?}");
}

#[tokio::test]
async fn listeners_are_many_and_one_that_never_reads_holds_nothing_up() {
    let rig = slow_rig().await;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    let (one, other) = (service.follow(&run).await, service.follow(&run).await);
    let never_read = service.follow(&run).await;
    service.in_phase(&run, "waiting_for_report").await;
    rig.clock.advance(Duration::from_hours(1));
    assert_eq!(service.end_of(&run).await["state"], "succeeded");
    for events in [one, other, never_read] {
        let events = events.rest().await;
        assert_eq!(events.last().unwrap().name, "finished");
    }
    rig.assert_in_step();
}

#[tokio::test]
async fn who_comes_back_gets_the_present_state_first_and_ids_that_go_on() {
    let rig = slow_rig().await;
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    let mut events = service.follow(&run).await;
    let seen = events
        .until(|event| event.data["phase"] == "waiting_for_report")
        .await;
    let last = seen.last().unwrap().id;
    drop(events);

    let back = [("last-event-id", &*last.to_string())];
    let first = service.follow_from(&run, &back).await.next().await.unwrap();
    assert_eq!((first.id, &*first.name), (last + 1, "phase"));
    assert_eq!(first.data["phase"], "waiting_for_report");
    let first = service
        .follow_from(&run, &[("last-event-id", "another's")])
        .await
        .next()
        .await;
    assert_eq!(first.unwrap().id, 1);
}

#[tokio::test]
async fn the_end_of_a_run_that_nobody_works_on_is_told_too() {
    let mut rig = slow_rig().await;
    rig.config.max_concurrent_runs = std::num::NonZeroUsize::MIN;
    let (service, id) = rig.serve_one().await;
    let first = service.start_run(&id).await;
    service.in_phase(&first, "waiting_for_report").await;
    let mut deleted = rig.integration("wiz2");
    deleted["wiz"]["clientid"] = json!("another");
    let deleted = service.create(deleted).await;
    let queued = service.start_run(&deleted).await;
    let mut events = service.follow(&queued).await;
    assert_eq!(events.next().await.unwrap().data["state"], "queued");
    let path = format!("/api/v1/integrations/context/{deleted}");
    let (status, _) = service.call(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let events = events.rest().await;
    assert_eq!((events.len(), &*events[0].name), (1, "finished"));
    assert_eq!(events[0].data["state"], "cancelled");
}

#[tokio::test]
async fn of_a_run_that_has_ended_the_end_is_told_at_once() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    let run = text(&service.succeed(&id).await["id"]);
    for headers in [&[][..], &[("last-event-id", "7")]] {
        let events = service.follow_from(&run, headers).await.rest().await;
        assert_eq!(events.len(), 1);
        assert_eq!(
            (&*events[0].name, &events[0].data["state"]),
            ("finished", &json!("succeeded"))
        );
    }
    let unknown = format!("/api/v1/runs/{id}/events");
    assert_eq!(service.open(&unknown, &[]).await.status(), StatusCode::NOT_FOUND);
    let wrong = format!("/api/v1/runs/{run}/events?from=1");
    assert_eq!(service.open(&wrong, &[]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_lives_and_ends_with_the_service() {
    let rig = slow_rig().await;
    // Nothing moves: Wiz does not answer.
    rig.simulator
        .inject(Fault::new("wiz.token", Effect::Slow { seconds: 100_000 }));
    let (service, id) = rig.serve_one().await;
    let run = service.start_run(&id).await;
    let mut events = service.follow(&run).await;
    events.until(|event| event.data["phase"] == "signing_in").await;
    for _ in 0..3 {
        let block = events.block().await.unwrap();
        assert_eq!(block, ": heartbeat");
    }
    service.stop().await;
    // What the stop itself changed may still be told; then comes the end.
    events.rest().await;
}
