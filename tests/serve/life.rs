//! From the start to the end.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use wiz_context::clock::Clock;
use wiz_context::shutdown::Shutdown;
use wiz_context::simulator::{Effect, Fault, Simulator, SimulatorSettings};

use crate::program::{INTEGRATIONS, Place, wiz, wiz_of};

#[test]
fn it_starts_without_settings_serves_and_ends_when_asked() {
    let place = Place::new();
    let program = place.serve();
    assert_eq!(program.listening["fusion"], "not configured");
    assert_eq!(program.listening["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        program.listening["database"],
        place.path("test.db").to_str().unwrap()
    );
    for file in ["encryption-key", "admin-key"] {
        let mode = std::fs::metadata(place.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    for path in ["/healthz", "/readyz"] {
        let (status, answer) = program.call("GET", path, None, None);
        assert_eq!((status, &answer["data"]["status"]), (200, &json!("ok")));
    }
    let key = place.admin_key();
    assert!(key.starts_with("wck_") && key.len() == 47, "{key}");
    assert_eq!(program.call("GET", INTEGRATIONS, None, None).0, 401);
    assert_eq!(program.call("GET", INTEGRATIONS, Some("wck_wrong"), None).0, 401);
    let named = ["x-request-id: asked-by-a-test"];
    assert_eq!(
        program.exchange("GET", INTEGRATIONS, Some(&key), &named, "").0,
        200
    );
    program.create(&key, &wiz());
    let (_, audit) = program.call("GET", "/api/v1/audit", Some(&key), None);
    assert_eq!(audit["data"][0]["address"], "127.0.0.1", "{audit}");
    let log = program.stop();
    assert!(log.contains("EVERY RUN IS A DRY RUN"), "{log}");
    assert!(log.contains("asked-by-a-test"), "{log}");

    let program = place.serve();
    assert_eq!(place.admin_key(), key);
    let (_, list) = program.call("GET", INTEGRATIONS, Some(&key), None);
    assert_eq!(list["meta"]["count"], 1);
    let log = program.stop();
    assert!(!log.contains("made "), "{log}");
}

#[test]
fn a_second_service_on_the_same_database_is_refused() {
    let place = Place::new();
    let first = place.serve();
    let second = place.refused();
    assert_eq!(second.code, Some(1));
    assert!(
        second.log.contains("another wiz-context serves this database"),
        "{}",
        second.log
    );
    first.stop();
    place.serve().stop();
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Place::new().with("WIZ_CONTEXT_LISTEN", &address).refused();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.log.contains(&format!("cannot listen on {address}")),
        "{}",
        ended.log
    );
    assert!(ended.log.contains("WIZ_CONTEXT_LISTEN"), "{}", ended.log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_cut_off_by_the_end_goes_on_at_the_next_start() {
    let tasks = Shutdown::new();
    let simulator = Simulator::start(SimulatorSettings::default(), Clock::system(), &tasks);
    let simulator = simulator.await.unwrap();
    let place = Place::new()
        .with("NETOSECRET", simulator.netosecret())
        .with("WIZ_CONTEXT_ALLOW_HOSTS", simulator.allow_hosts());
    let program = place.serve();
    let key = place.admin_key();
    let id = program.create(&key, &wiz_of(&simulator));
    let run = format!("{INTEGRATIONS}/{id}/run");
    simulator.inject(Fault::new(
        "wiz.graphql.reportRun",
        Effect::Slow { seconds: 86_400 },
    ));
    std::thread::scope(|scope| {
        // The caller prefers to wait for longer than the service lives, and is answered all the same.
        let waiting = scope.spawn(|| program.call("PUT", &run, Some(&key), None));
        while simulator.requests("wiz.graphql.reportRun") == 0 && !waiting.is_finished() {
            std::thread::yield_now();
        }
        program.signal("TERM");
        let (status, answer) = waiting.join().unwrap();
        assert_eq!(status, 202, "{answer}");
    });
    program.stop();
    assert!(simulator.labels().is_empty());

    simulator.clear_faults();
    let program = place.serve();
    let (status, answer) = program.call("PUT", &run, Some(&key), None);
    assert_eq!(
        (status, &answer["run"]["state"]),
        (200, &json!("succeeded")),
        "{answer}"
    );
    assert_eq!(answer["run"]["attempts"], 2);
    assert_eq!(simulator.requests("wiz.graphql.createReport"), 1);
    assert!(!simulator.labels().is_empty());
    assert_eq!(simulator.violations(), [""; 0]);
    program.stop();
}
