//! The service, and the rows of what its runs cost.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use wiz_context::clock::Clock;

use crate::neighbours::Neighbours;
use crate::process::Process;
use crate::serving::{KEY, serve};

pub(crate) const INTEGRATIONS: &str = "/api/v1/integrations/context";

#[expect(
    clippy::disallowed_methods,
    reason = "the client of a measurement, as any other program's"
)]
pub(crate) fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// A count to divide.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
pub(crate) const fn float(number: u64) -> f64 {
    number as f64
}

pub(crate) struct Service {
    process: Process,
    base: String,
    client: Client,
    /// How far its log was read, and what it had written, at the last row.
    read: Cell<usize>,
    written: Cell<u64>,
}

impl Service {
    pub(crate) async fn start(neighbours: &Neighbours, folder: &Path, under_way: usize) -> Self {
        let (process, address) = serve(
            neighbours,
            folder,
            &[
                ("WIZ_CONTEXT_LOG", "info,wiz_context::store=debug"),
                ("WIZ_CONTEXT_FULL_PUSH_EVERY", "10000"),
                ("WIZ_CONTEXT_PUSH_CONCURRENCY", &under_way.to_string()),
            ],
        )
        .await;
        let (read, written) = (Cell::new(process.printed()), Cell::new(process.written_bytes()));
        Self {
            process,
            base: format!("http://{address}"),
            client: client(),
            read,
            written,
        }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body = answer.bytes().await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        assert!(status.is_success(), "{status} {body}");
        body
    }

    pub(crate) async fn create(&self, integration: &Value, name: &str) -> String {
        let mut body = integration.clone();
        body["name"] = json!(name);
        let made = self.call(Method::POST, INTEGRATIONS, Some(body)).await;
        made["data"][0]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn start_run(&self, integration: &str, query: &str) -> String {
        let path = format!("{INTEGRATIONS}/{integration}/run{query}");
        let started = self.call(Method::PUT, &path, None).await;
        started["run"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn run(&self, name: &str, integration: &str, query: &str) -> Value {
        let run = self.start_run(integration, query).await;
        self.follow(name, &run, None).await
    }

    /// Follows a run to its end, or to the beginning of a phase; prints a row for each phase.
    pub(crate) async fn follow(&self, name: &str, run: &str, until: Option<&str>) -> Value {
        let (mut phase, mut began) = (String::new(), Instant::now());
        self.process.forget_peak();
        loop {
            let record = self.call(Method::GET, &format!("/api/v1/runs/{run}"), None).await["data"].clone();
            let now = record["phase"].as_str().unwrap_or("queued").to_owned();
            let ended = !record["finished_at"].is_null();
            if now != phase || ended {
                let took = began.elapsed();
                let pairs =
                    (phase == "pushing").then(|| record["progress"]["rows"].as_u64().unwrap_or_default());
                if took > Duration::from_millis(50)
                    && ["downloading", "planning", "pushing"].contains(&phase.as_str())
                {
                    self.row(&format!("{name}: {}", self.name_of(&phase, took)), took, pairs);
                }
                (phase, began) = (now, Instant::now());
                self.process.forget_peak();
            }
            if ended {
                assert!(record["failure"].is_null(), "{record:#}");
                return record;
            }
            if until == Some(phase.as_str()) {
                return record;
            }
            Clock::system().sleep(Duration::from_millis(10)).await;
        }
    }

    /// Of a download, how much of it was staging.
    fn name_of(&self, phase: &str, _took: Duration) -> String {
        let lines = self.process.lines_since(self.read.get());
        let read = lines
            .iter()
            .find(|(_, line)| line.contains("\"read the report\""));
        match read {
            Some((at, _)) if phase == "downloading" => {
                format!("downloading (of it staging {:.1} s)", at.elapsed().as_secs_f64())
            }
            _ => phase.to_owned(),
        }
    }

    /// Measures one call.
    pub(crate) async fn measure(&self, name: &str, method: Method, path: &str) {
        let began = Instant::now();
        self.process.forget_peak();
        self.call(method, path, None).await;
        self.row(name, began.elapsed(), None);
    }

    /// Prints what was used since the last row.
    pub(crate) fn row(&self, name: &str, took: Duration, pairs: Option<u64>) {
        let lines = self.process.lines_since(self.read.get());
        self.read.set(self.read.get() + lines.len());
        let held = lines.iter().filter_map(|(_, line)| {
            let (_, rest) = line.split_once("\"held_ms\":")?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u64>().ok()
        });
        let held = held
            .max()
            .map_or_else(|| "< 100".to_owned(), |held| held.to_string());
        let rate = pairs.map_or_else(String::new, |pairs| {
            format!("{:.0}", float(pairs) / took.as_secs_f64())
        });
        let (written, before) = (self.process.written_bytes(), self.written.get());
        self.written.set(written);
        println!(
            "| {name} | {:.1} | {rate} | {held} | {} | {:.1} |",
            took.as_secs_f64(),
            self.process.peak_kib() / 1024,
            float(written - before) / 1_048_576.0
        );
    }
}
