//! The rig: a simulator, a database in a folder of its own, and services that start and stop on them.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use wiz_context::clock::Clock;
use wiz_context::config::Config;
use wiz_context::domain::{AllowedHosts, ApiKey, Timestamp};
use wiz_context::fusion::FusionAccount;
use wiz_context::shutdown::Shutdown;
use wiz_context::simulator::{Simulator, SimulatorSettings};
use wiz_context::startup;

pub(crate) use crate::reports::{Labels, assert_same, generator, labels_by, report, text};

/// The tests' time runs this many times as fast as the real one: a report's seconds pass, and no lease does.
const PACE: u32 = 40;

const KEY: &str = "planted-api-key";
const INTEGRATIONS: &str = "/api/v1/integrations/context";

/// The neighbours, and what outlives a service.
pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    pub(crate) clock: Clock,
    /// What services start with.
    pub(crate) config: Config,
    folder: TempDir,
    _simulator_tasks: Shutdown,
}

/// A service under way.
pub(crate) struct Service {
    started: startup::Service,
    client: Client,
    clock: Clock,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(SimulatorSettings {
            generator: generator(0),
            ..SimulatorSettings::default()
        })
        .await
    }

    pub(crate) async fn with(simulator: SimulatorSettings) -> Self {
        Self::with_pace(simulator, PACE).await
    }

    /// A rig whose time runs so many times as fast as the real one.
    pub(crate) async fn with_pace(simulator: SimulatorSettings, pace: u32) -> Self {
        let clock = Clock::test(Timestamp::from_millis(1_795_493_090_000), pace);
        let tasks = Shutdown::new();
        let simulator = Simulator::start(simulator, clock.clone(), &tasks).await.unwrap();
        let folder = folder();
        let allowed_hosts: AllowedHosts = simulator.allow_hosts().parse().unwrap();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            database: format!("sqlite://{}", folder.path().join("test.db").display())
                .parse()
                .unwrap(),
            admin_key: Some(ApiKey::new(KEY)),
            fusion: Some(FusionAccount::read(&simulator.netosecret(), &allowed_hosts).unwrap()),
            allowed_hosts,
            installation: Some("test".parse().unwrap()),
            // Time stands still, or runs as it likes, while many ask.
            api_requests_per_second: None,
            ..Config::default()
        };
        Self {
            simulator,
            clock,
            config,
            folder,
            _simulator_tasks: tasks,
        }
    }

    /// Starts a service on the database, which goes on with what the one before left behind.
    pub(crate) async fn serve(&self) -> Service {
        serve(self.config.clone(), self.clock.clone()).await
    }

    /// The same on a runtime of its own, which can crash.
    pub(crate) async fn serve_crashing(&self) -> Crashing {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let service = runtime.spawn(serve(self.config.clone(), self.clock.clone()));
        Crashing {
            service: service.await.unwrap(),
            runtime,
        }
    }

    /// The body that makes an integration with the simulator's account; auto update is off.
    pub(crate) fn integration(&self, name: &str) -> Value {
        json!({
            "name": name, "type": "wiz", "enabled": false, "updateinterval": 86_400,
            "wiz": {
                "apiendpoint": self.simulator.api_endpoint(), "tokenurl": self.simulator.token_url(),
                "clientid": self.simulator.client_id(), "clientsecret": self.simulator.client_secret(),
            },
        })
    }

    /// A service with one integration, `wiz1`, of which it gives the id.
    pub(crate) async fn serve_one(&self) -> (Service, String) {
        let service = self.serve().await;
        let id = service.create(self.integration("wiz1")).await;
        (service, id)
    }

    /// Where the database is.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What comes of something while time flies.
    pub(crate) async fn while_time_flies<T>(&self, something: impl Future<Output = T>) -> T {
        let flying = async {
            loop {
                self.clock.sleep(Duration::from_secs(2)).await;
                self.clock.advance(Duration::from_secs(30));
            }
        };
        tokio::select! {
            done = something => done,
            () = flying => unreachable!("time never ends"),
        }
    }

    /// What Fusion is to hold by the report that Wiz makes now.
    pub(crate) fn wanted(&self) -> Labels {
        labels_by(&self.simulator.report_csv())
    }

    /// Checks that Fusion holds what the present report says, and that nobody did what he must not.
    pub(crate) fn assert_in_step(&self) {
        assert_same(&self.simulator.labels(), &self.wanted());
        assert_eq!(self.simulator.violations(), [""; 0]);
    }
}

async fn serve(config: Config, clock: Clock) -> Service {
    #[expect(
        clippy::disallowed_methods,
        reason = "the client of a test, as any other program's"
    )]
    let client = Client::builder().no_proxy().build().unwrap();
    Service {
        started: startup::start(config, clock.clone(), &Shutdown::new())
            .await
            .unwrap(),
        client,
        clock,
    }
}

/// A folder in memory where the system has one: a lease is short by the machine's own clock, and a busy disk is slow.
fn folder() -> TempDir {
    match std::path::Path::new("/dev/shm") {
        memory if memory.is_dir() => tempfile::tempdir_in(memory).unwrap(),
        _ => tempfile::tempdir().unwrap(),
    }
}

/// A service whose tasks can be ended at any point of theirs, as by the end of its process.
pub(crate) struct Crashing {
    service: Service,
    runtime: tokio::runtime::Runtime,
}

impl std::ops::Deref for Crashing {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Crashing {
    pub(crate) fn crash(self) {
        self.runtime.shutdown_background();
    }
}

impl Service {
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.started.address());
        let mut request = self.client.request(method, url).bearer_auth(KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let bytes = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Opens an answer that is read piece by piece.
    pub(crate) async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let url = format!("http://{}{path}", self.started.address());
        let mut request = self.client.get(url).bearer_auth(KEY);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Cancels a run.
    pub(crate) async fn cancel(&self, run: &str) {
        let path = format!("/api/v1/runs/{run}/cancel");
        let (status, answer) = self.call(Method::POST, &path, None).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    }

    /// Makes an integration; gives its id.
    pub(crate) async fn create(&self, body: Value) -> String {
        let (status, answer) = self.call(Method::POST, INTEGRATIONS, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        text(&answer["data"][0]["id"])
    }

    /// Starts a run of an integration; gives the run's id.
    pub(crate) async fn start_run(&self, integration: &str) -> String {
        self.start_run_with(integration, "").await
    }

    pub(crate) async fn start_run_with(&self, integration: &str, query: &str) -> String {
        let path = format!("{INTEGRATIONS}/{integration}/run{query}");
        let (status, answer) = self.call(Method::PUT, &path, None).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        text(&answer["run"]["id"])
    }

    /// Runs an integration to the end; gives the run's record.
    pub(crate) async fn run(&self, integration: &str) -> Value {
        let run = self.start_run(integration).await;
        self.end_of(&run).await
    }

    /// Runs an integration to the end, which is to be a success.
    pub(crate) async fn succeed(&self, integration: &str) -> Value {
        let run = self.run(integration).await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
        run
    }

    /// Runs an integration to the end, and approves what that keeps back; gives the record of the last run.
    pub(crate) async fn succeed_with_approval(&self, integration: &str) -> Value {
        let run = self.run(integration).await;
        if run["state"] != "held" {
            assert_eq!(run["state"], "succeeded", "{run:#}");
            return run;
        }
        let (status, answer) = self.approve(&run).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        let approval = self.end_of(&text(&answer["run"]["id"])).await;
        assert_eq!(approval["state"], "succeeded", "{approval:#}");
        approval
    }

    /// Approves what a run keeps back.
    pub(crate) async fn approve(&self, run: &Value) -> (StatusCode, Value) {
        let path = format!("/api/v1/runs/{}/approve", text(&run["id"]));
        self.call(Method::POST, &path, None).await
    }

    /// The record of a run once a condition holds.
    pub(crate) async fn run_once(&self, run: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (status, answer) = self.call(Method::GET, &format!("/api/v1/runs/{run}"), None).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            let run = &answer["data"];
            if holds(run) {
                return run.clone();
            }
            assert!(run["finished_at"].is_null(), "ended before that: {run:#}");
            self.clock.sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) async fn end_of(&self, run: &str) -> Value {
        self.run_once(run, |run| !run["finished_at"].is_null()).await
    }

    pub(crate) async fn in_phase(&self, run: &str, phase: &str) -> Value {
        self.run_once(run, |run| run["phase"] == phase).await
    }

    /// Waits until no run of an integration is under way.
    pub(crate) async fn let_end(&self, integration: &str) {
        while let Some(run) = self.status_of(integration).await["active_run"]["id"].as_str() {
            self.end_of(run).await;
        }
    }

    pub(crate) async fn status_of(&self, integration: &str) -> Value {
        let path = format!("{INTEGRATIONS}/{integration}/status");
        let (status, answer) = self.call(Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["data"].clone()
    }

    pub(crate) async fn runs_of(&self, integration: &str) -> Vec<Value> {
        let path = format!("{INTEGRATIONS}/{integration}/runs");
        let (_, answer) = self.call(Method::GET, &path, None).await;
        answer["data"].as_array().unwrap().clone()
    }

    /// Stops as on SIGTERM.
    pub(crate) async fn stop(self) {
        assert!(
            self.started.stop(Duration::from_secs(10)).await,
            "stopped in time"
        );
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
