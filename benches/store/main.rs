//! What planning, the ledger and the push cost: the program itself against the simulator, each a process of its own.
//!
//! ```console
//! $ cargo bench --bench store                                        # 10,000 addresses, some seconds
//! $ WIZ_CONTEXT_BENCH_ADDRESSES=1000000 cargo bench --bench store    # as in docs/performance.md
//! ```
//!
//! A row for each phase of each run: how long it took, how long a transaction kept the database's only writer at most, the
//! most memory, and the bytes that the process wrote to disk.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints, and one that cannot go on has failed"
)]

#[path = "../support/neighbours.rs"]
mod neighbours;
#[path = "../support/process.rs"]
mod process;
mod report;
mod service;
#[path = "../support/serving.rs"]
mod serving;
mod usage;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use wiz_context::clock::Clock;

use neighbours::Neighbours;
use service::Service;

/// The addresses of the first report.
fn addresses() -> u64 {
    let wanted = std::env::var("WIZ_CONTEXT_BENCH_ADDRESSES");
    wanted.map_or(10_000, |number| number.parse().unwrap())
}

impl Neighbours {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.hosts)
    }

    async fn serve(&self, csv: Vec<u8>) {
        let request = service::client().put(self.url("/simulator/report")).body(csv);
        assert!(request.send().await.unwrap().status().is_success());
    }

    /// Lets each answer of Fusion's bulk calls come after a time.
    async fn answer_after(&self, milliseconds: u64) {
        let client = service::client();
        let faults = self.url("/simulator/faults");
        client.delete(&faults).send().await.unwrap();
        let fault = json!({"operation": "fusion.put", "times": u32::MAX, "effect": {"delay": {"milliseconds": milliseconds}}});
        if milliseconds > 0 {
            let answer = client.post(&faults).body(fault.to_string()).send().await.unwrap();
            assert!(answer.status().is_success());
        }
    }

    async fn labels_held(&self) -> u64 {
        let state = service::client().get(self.url("/simulator/state")).send().await;
        let state: Value = serde_json::from_slice(&state.unwrap().bytes().await.unwrap()).unwrap();
        assert_eq!(state["violations"], json!([]));
        state["labels"].as_u64().unwrap()
    }
}

#[tokio::main]
async fn main() {
    let addresses = addresses();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let first = folder.path().join("report.csv");
    std::fs::write(&first, report::of(0, |_| None)).unwrap();
    let neighbours = Neighbours::start(0, &["--report", &first.display().to_string()]).await;
    let all = |_| Some(0);
    neighbours.serve(report::of(addresses, all)).await;
    println!("{addresses} addresses, {} pairs\n", 4 * addresses);
    println!(
        "| | s | pairs a second | writer held at most ms | peak MiB | written MiB |\n|---|---|---|---|---|---|"
    );

    let service = Service::start(&neighbours, folder.path(), 4).await;
    let id = service.create(&neighbours.integration, "first").await;
    let run = service.start_run(&id, "").await;
    // The process that planned is not the one that read the report, so that its memory is its own.
    service.follow("first run", &run, Some("planning")).await;
    drop(service);
    let service = Service::start(&neighbours, folder.path(), 4).await;
    let first = service.follow("first run, after kill -9", &run, None).await;
    assert_eq!(
        first["counts"]["added"].as_u64(),
        Some(4 * addresses),
        "{first:#}"
    );
    assert_eq!(neighbours.labels_held().await, 4 * addresses);

    let second = service.run("second run, nothing changed", &id, "").await;
    assert_eq!(
        second["counts"]["unchanged"].as_u64(),
        Some(4 * addresses),
        "{second:#}"
    );
    neighbours
        .serve(report::of(addresses, |number| Some(u64::from(number % 100 == 0))))
        .await;
    let third = service.run("1 % changed", &id, "").await;
    assert!(third["counts"]["changed"].as_u64() > Some(0), "{third:#}");

    let half = |number| (number % 2 == 1).then_some(0);
    neighbours.serve(report::of(addresses, half)).await;
    let held = service.run("half is gone: held", &id, "").await;
    assert_eq!(held["state"], "held", "{held:#}");
    let approve = format!("/api/v1/runs/{}/approve", held["id"].as_str().unwrap());
    let approval = service.call(Method::POST, &approve, None).await;
    drop(service);
    let service = Service::start(&neighbours, folder.path(), 4).await;
    service
        .follow(
            "its approval, in a new process",
            approval["run"]["id"].as_str().unwrap(),
            None,
        )
        .await;
    let left = neighbours.labels_held().await;
    assert_eq!(left, 4 * (addresses / 2));
    drop(service);

    for (under_way, delay_ms) in [
        (1, 0),
        (2, 0),
        (4, 0),
        (8, 0),
        (1, 50),
        (2, 50),
        (4, 50),
        (8, 50),
        (16, 50),
    ] {
        neighbours.answer_after(delay_ms).await;
        let service = Service::start(&neighbours, folder.path(), under_way).await;
        let name = format!("everything again: {under_way} at a time, answers after {delay_ms} ms");
        service.run(&name, &id, "?full=true&report=last").await;
        drop(service);
        if addresses / 2 >= 10_000 {
            report::bare_client(&neighbours, addresses, under_way, delay_ms).await;
        }
    }
    neighbours.answer_after(0).await;

    let service = Service::start(&neighbours, folder.path(), 4).await;
    service
        .measure(
            "DELETE of the integration",
            Method::DELETE,
            &format!("{}/{id}", service::INTEGRATIONS),
        )
        .await;
    assert_eq!(neighbours.labels_held().await, left);
    let id = service.create(&neighbours.integration, "second").await;
    service.run("a new integration", &id, "").await;
    let remove = format!("{}/{id}?labels=remove", service::INTEGRATIONS);
    let removal = service.call(Method::DELETE, &remove, None).await;
    service
        .follow(
            "DELETE with its labels",
            removal["run"]["id"].as_str().unwrap(),
            None,
        )
        .await;
    assert_eq!(neighbours.labels_held().await, 0);
    // What is left of facts and plans is swept after the end.
    let began = Instant::now();
    Clock::system().sleep(Duration::from_secs(2)).await;
    service.row("swept meanwhile", began.elapsed(), None);
}
