//! How fast the API answers, idle and under a running import, beside a bare axum handler. All on loopback; stops by itself.
//!
//! ```console
//! $ cargo bench --bench admin_api                                     # 50,000 findings on 1,000 assets, half a minute
//! $ WIZ_CONTEXT_BENCH_FINDINGS=4000000 cargo bench --bench admin_api  # on 80,000 assets, as in docs/performance.md
//! ```
//!
//! Two figures each: requests per second with a few connections that ask again at once, and the time to the answer when
//! fifty requests a second come, as from pollers. Service and simulator are processes of their own; the simulator stands
//! for two other machines, and so has the lowest priority here. Each answer tells the phase it fell into.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement lives by the machine's own clock, and one that cannot go on has failed"
)]

mod connection;
#[path = "../support/neighbours.rs"]
mod neighbours;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/serving.rs"]
mod serving;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};

use connection::Connection;
use neighbours::Neighbours;
use serving::serve;

const CONNECTIONS: usize = 4;
const SECONDS: Duration = Duration::from_secs(5);
/// Between two requests of a poller.
const PERIOD: Duration = Duration::from_millis(20);
const IMPORT_PATIENCE: Duration = Duration::from_mins(5);
/// Of the simulator, and of nobody else.
const LEAST_PRIORITY: u8 = 19;
const FINDINGS_OF_AN_ASSET: u64 = 50;

/// Times to the answer, by the phase that the answer tells of.
type Samples = BTreeMap<String, Vec<Duration>>;

/// The phase in an answer about an integration, without reading all of it.
fn phase_of(answer: &str) -> &str {
    let after = answer.split_once(r#""phase":""#).map_or("", |(_, after)| after);
    after.split_once('"').map_or("idle", |(phase, _)| phase)
}

/// Asks for as long as `goes_on`: again at once, or once in a period.
fn load(
    address: SocketAddr,
    path: &str,
    period: Option<Duration>,
    goes_on: impl Fn() -> bool,
) -> anyhow::Result<Samples> {
    let mut connection = Connection::new(address)?;
    let mut samples = Samples::new();
    let mut due = Instant::now();
    while goes_on() {
        if let Some(period) = period {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due = Instant::now() + period;
        }
        let asked = Instant::now();
        let answer = connection.ask("GET", path, "")?;
        let took = asked.elapsed();
        match samples.get_mut(phase_of(&answer)) {
            Some(times) => times.push(took),
            None => _ = samples.insert(phase_of(&answer).to_owned(), vec![took]),
        }
    }
    Ok(samples)
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

fn show(what: &str, samples: Samples, per_second: Option<f64>) -> io::Result<()> {
    for (phase, mut times) in samples {
        times.sort_unstable();
        let rate = per_second.map_or_else(String::new, |rate| format!("{rate:.0}"));
        writeln!(
            io::stdout(),
            "| {what} | {phase} | {} | {rate} | {:.2} | {:.2} |",
            times.len(),
            percentile(&times, 50),
            percentile(&times, 99)
        )?;
    }
    Ok(())
}

/// Some connections that ask again at once, for some seconds.
#[expect(clippy::cast_precision_loss, reason = "figures for the eye")]
fn saturate(what: &str, address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    let all = thread::scope(|scope| {
        let askers: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| load(address, path, None, || begun.elapsed() < SECONDS)))
            .collect();
        let mut all = Vec::new();
        for asker in askers {
            let samples = asker
                .join()
                .map_err(|_| anyhow::anyhow!("an asker broke down"))??;
            all.extend(samples.into_values().flatten());
        }
        anyhow::Ok(all)
    })?;
    let rate = all.len() as f64 / begun.elapsed().as_secs_f64();
    show(what, Samples::from([("at once".to_owned(), all)]), Some(rate))?;
    Ok(())
}

/// A poller for some seconds.
fn poll(what: &str, address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    let samples = load(address, path, Some(PERIOD), || begun.elapsed() < SECONDS)?;
    show(what, samples, None)?;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let findings = std::env::var("WIZ_CONTEXT_BENCH_FINDINGS").unwrap_or_else(|_| "50000".to_owned());
    let assets = (findings.parse::<u64>()? / FINDINGS_OF_AN_ASSET)
        .max(1)
        .to_string();
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (neighbours, _service, api, bare) = runtime.block_on(async {
        let generated = ["--findings", &findings, "--assets", &assets];
        let neighbours = Neighbours::start(LEAST_PRIORITY, &generated).await;
        let (service, api) = serve(&neighbours, folder.path(), &[]).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let bare = listener.local_addr()?;
        let router = Router::new().route("/", get(async || r#"{"data":{"state":"idle"}}"#));
        tokio::spawn(async move { axum::serve(listener, router).await });
        anyhow::Ok((neighbours, service, api.parse()?, bare))
    })?;

    let mut body = neighbours.integration.clone();
    (body["name"], body["enabled"]) = (json!("load"), json!(false));
    let mut portal = Connection::new(api)?;
    let made: Value =
        serde_json::from_str(&portal.ask("POST", "/api/v1/integrations/context", &body.to_string())?)?;
    let id = made["data"][0]["id"].as_str().context("no id")?;
    let status = format!("/api/v1/integrations/context/{id}/status");
    let list = "/api/v1/integrations/context";

    writeln!(
        io::stdout(),
        "| | while | requests | per second | p50 ms | p99 ms |\n|---|---|---|---|---|---|"
    )?;
    saturate("bare axum", bare, "/")?;
    saturate("status", api, &status)?;
    saturate("list", api, list)?;
    poll("bare axum, polled", bare, "/")?;
    poll("status, polled", api, &status)?;
    poll("list, polled", api, list)?;

    // The service closes connections that are idle for long.
    let mut portal = Connection::new(api)?;
    portal.ask("PUT", &format!("/api/v1/integrations/context/{id}/run"), "")?;
    let ended = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let goes_on = || !ended.load(Ordering::Relaxed) && begun.elapsed() < IMPORT_PATIENCE;
    thread::scope(|scope| {
        let of_status = scope.spawn(|| load(api, &status, Some(PERIOD), goes_on));
        let of_list = scope.spawn(|| load(api, list, Some(PERIOD), goes_on));
        let of_bare = scope.spawn(|| load(bare, "/", Some(PERIOD), goes_on));
        while goes_on() {
            thread::sleep(PERIOD);
            let run: Value = serde_json::from_str(&portal.ask("GET", &status, "")?)?;
            if !run["data"]["last_run"].is_null() && run["data"]["active_run"].is_null() {
                ended.store(true, Ordering::Relaxed);
                let import = &run["data"]["last_run"];
                writeln!(
                    io::stderr(),
                    "the import ended as {} after {:.1} s",
                    import["state"],
                    begun.elapsed().as_secs_f64()
                )?;
            }
        }
        for (what, asker) in [("status", of_status), ("list", of_list), ("bare axum", of_bare)] {
            let samples = asker
                .join()
                .map_err(|_| anyhow::anyhow!("an asker broke down"))??;
            let what = format!("{what}, polled, under the import");
            let all = samples.values().flatten().copied().collect();
            show(&what, samples, None)?;
            show(&what, Samples::from([("all of it".to_owned(), all)]), None)?;
        }
        anyhow::Ok(())
    })?;
    Ok(())
}
