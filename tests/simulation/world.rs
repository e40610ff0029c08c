//! The world of a history: the neighbours, the service while it runs, and the time of both.
//!
//! Each of the two has a runtime of its own on the same thread, and they take turns. That is enough to know when nothing
//! can happen any more: both have nothing to do, nobody uses a connection to the database, and several turns brought
//! nothing new. Then the clock leaps to the time at which the first sleeper wakes.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;
use tower::ServiceExt as _;
use wiz_context::clock::Clock;
use wiz_context::config::Config;
use wiz_context::domain::{AllowedHosts, ApiKey, Timestamp};
use wiz_context::fusion::FusionAccount;
use wiz_context::outgoing::{Outgoing, OutgoingSettings};
use wiz_context::shutdown::Shutdown;
use wiz_context::simulator::{Simulator, SimulatorSettings};
use wiz_context::startup;
use wiz_context::store::Keyring;

use crate::turns::{ANY_POLLS, Turns};
use crate::watch::Watch;
use crate::witness::EMPTY_DATABASE;

/// Turns without anything new until it counts as quiet. An answer over the loopback takes two; the last ones wait for
/// threads that read files and parse.
const QUIET_TURNS: u32 = 4;

/// The wait in each of the later turns. A leap too early does no harm: something merely took its time.
const TURN: Duration = Duration::from_micros(20);

/// So many leaps of a long time lead from one sleeper's end to the next; the others are as long as a nap.
const AWAKE_LEAPS: u32 = 100;
const NAP: Duration = Duration::from_mins(10);

/// How long a thread may take that others wait for. Nothing here takes a hundredth of it; but the machine may be at
/// something else.
const THREADS_PATIENCE: Duration = Duration::from_mins(2);

/// After each poll of a task it is looked whether something is to happen there.
const EACH_POLL: u32 = 1;

/// No call waits for longer.
const LONGEST_CALL: Duration = Duration::from_mins(2);

/// Requests per second that nobody has to wait for: the limit has tests of its own, and takes a leap for each request.
const MANY_REQUESTS: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();

/// The service while it runs.
struct Live {
    turns: Turns,
    service: startup::Service,
    shutdown: Shutdown,
}

impl Live {
    fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> impl Future<Output = (StatusCode, Value)> + use<> {
        let client = SocketAddr::from(([127, 0, 0, 1], 1));
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(header::CONTENT_TYPE, "application/json")
            .extension(ConnectInfo(client))
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        let router = self.service.router().clone();
        async move {
            let answer = router.oneshot(request.unwrap()).await.unwrap();
            let status = answer.status();
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
        }
    }
}

/// The world of a history.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) watch: Arc<Watch>,
    /// Two accounts of Wiz; the account of Fusion is the first one's.
    pub(crate) simulators: [Simulator; 2],
    pub(crate) crash_points: Vec<String>,
    pub(crate) leaps: u64,
    live: Option<Live>,
    pub(crate) neighbours: Turns,
    _neighbours_tasks: Shutdown,
    /// A look at the service's database.
    pub(crate) database: SqliteConnection,
    config: Config,
    clients: Outgoing,
    folder: TempDir,
}

/// A run's task was polled as often as the watch was told.
#[derive(Debug)]
pub(crate) struct Interrupted;

/// So many histories share HTTP clients, which take long to make and keep a little of each service that is gone.
const SHARED_BY: u32 = 20;

/// HTTP clients for a history. Connections of a service that is gone are not taken up again.
fn clients() -> Outgoing {
    thread_local! {
        static CLIENTS: RefCell<Option<(u32, Outgoing)>> = const { RefCell::new(None) };
    }
    CLIENTS.with_borrow_mut(|shared| {
        let (times, clients) = shared
            .take()
            .filter(|(times, _)| *times < SHARED_BY)
            .unwrap_or_else(|| {
                let clock = Clock::standing(Timestamp::default());
                (0, Outgoing::new(OutgoingSettings::default(), clock).unwrap())
            });
        shared.insert((times + 1, clients)).1.clone()
    })
}

const KEY: &str = "planted-api-key";

impl World {
    /// A world in which the service runs.
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        let clock = Clock::standing(Timestamp::from_millis(1_795_493_090_000));
        let (neighbours, tasks) = (Turns::new(ANY_POLLS), Shutdown::new());
        let simulators = [0, 1].map(|_| {
            let settings = SimulatorSettings {
                wiz_requests_per_second: MANY_REQUESTS.get(),
                ..SimulatorSettings::default()
            };
            let start = Simulator::start(settings, clock.clone(), &tasks);
            neighbours.block_on(start).unwrap()
        });
        let folder = folder();
        let hosts = simulators.each_ref().map(Simulator::allow_hosts).join(",");
        let allowed_hosts: AllowedHosts = hosts.parse().unwrap();
        let database = format!("sqlite://{}", folder.path().join("test.db").display());
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            database: database.parse().unwrap(),
            encryption_keys: Some(Arc::new(Keyring::read(&Keyring::generate()).unwrap())),
            admin_key: Some(ApiKey::new(KEY)),
            fusion: Some(FusionAccount::read(&simulators[0].netosecret(), &allowed_hosts).unwrap()),
            allowed_hosts,
            installation: Some("test".parse().unwrap()),
            wiz_requests_per_second: MANY_REQUESTS,
            docs: false,
            // Time stands still, or runs as it likes, while many ask.
            api_requests_per_second: None,
            ..Config::default()
        };
        std::fs::write(folder.path().join("test.db"), &*EMPTY_DATABASE).unwrap();
        let clients = clients();
        let live = Some(start(&config, &clock, &clients));
        let connection = neighbours.block_on(SqliteConnection::connect(&database)).unwrap();
        Self {
            clock,
            watch,
            simulators,
            crash_points: Vec::new(),
            leaps: 0,
            live,
            neighbours,
            _neighbours_tasks: tasks,
            database: connection,
            config,
            clients,
            folder,
        }
    }

    /// Fusion.
    pub(crate) fn fusion(&self) -> &Simulator {
        &self.simulators[0]
    }

    /// A call of the API; all that happens meanwhile happens at the same time.
    pub(crate) fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let live = self.live.as_ref().unwrap();
        live.turns.block_on(live.call(method, path, body))
    }

    /// A call of the API that may wait for others: time passes meanwhile.
    pub(crate) fn call_that_waits(
        &mut self,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, Value), Interrupted> {
        let live = self.live.as_ref().unwrap();
        let answer = live.turns.spawn(live.call(method, path, None));
        let last = self.clock.now() + LONGEST_CALL;
        loop {
            self.quiet()?;
            if answer.is_finished() {
                break;
            }
            assert!(!self.leap(last)?, "the call ends");
        }
        let live = self.live.as_ref().unwrap();
        Ok(live.turns.block_on(answer).unwrap())
    }

    /// Waits for something that needs no time to pass, only threads to do their work.
    pub(crate) fn comes_true(&self, is_so: impl Fn(&Self) -> bool) -> Result<bool, Interrupted> {
        let began = Instant::now();
        loop {
            self.quiet()?;
            if is_so(self) {
                return Ok(true);
            }
            if began.elapsed() > THREADS_PATIENCE {
                return Ok(false);
            }
            pause();
        }
    }

    /// Waits until nothing can happen any more at this time.
    pub(crate) fn quiet(&self) -> Result<(), Interrupted> {
        let signs = || (self.clock.times_asked(), self.watch.polls());
        let (mut quiet_turns, mut seen) = (0, signs());
        let mut at_work_since = None;
        while quiet_turns < QUIET_TURNS {
            let mut at_work = false;
            if let Some(live) = &self.live {
                at_work = !live.turns.take(&self.watch);
                if self.watch.interrupts() {
                    return Err(Interrupted);
                }
            }
            if at_work {
                let since = *at_work_since.get_or_insert_with(Instant::now);
                assert!(
                    since.elapsed() < THREADS_PATIENCE,
                    "the database never comes to rest"
                );
            } else {
                at_work_since = None;
            }
            self.neighbours.take(&self.watch);
            let now = signs();
            quiet_turns = if now == seen && !at_work {
                quiet_turns + 1
            } else {
                0
            };
            seen = now;
            if quiet_turns > 1 {
                pause();
            }
        }
        Ok(())
    }

    /// Leaps to the time at which the next sleeper wakes, but not past `until`; whether that has come.
    pub(crate) fn leap(&mut self, until: Timestamp) -> Result<bool, Interrupted> {
        self.quiet()?;
        let next = self.clock.next_waking().filter(|next| *next < until);
        self.clock.move_to(next.unwrap_or(until));
        self.leaps += 1;
        if next.is_none() {
            self.quiet()?;
        }
        Ok(next.is_none())
    }

    /// Lets time pass. Of a long time most passes as on a machine that is asleep: whoever was to wake in it wakes late.
    pub(crate) fn pass(&mut self, time: Duration) -> Result<(), Interrupted> {
        let until = self.clock.now() + time;
        for _ in 0..AWAKE_LEAPS {
            if self.leap(until)? {
                return Ok(());
            }
        }
        while self.clock.now() < until {
            self.clock.move_to(until.min(self.clock.now() + NAP));
            self.quiet()?;
            self.leaps += 1;
        }
        Ok(())
    }

    /// Ends the service where it stands, and starts the next one on what it left behind.
    pub(crate) fn crash(&mut self) {
        self.crash_points.push(self.watch.point());
        self.kill();
        self.start();
    }

    fn kill(&mut self) {
        let Some(Live { turns, service, .. }) = self.live.take() else {
            return;
        };
        turns.lets_go();
        self.watch.look_away(|| {
            turns.end();
            drop(service);
        });
    }

    /// Stops the service as it should stop, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.live.as_ref().unwrap().shutdown.begin();
        self.pass(Duration::from_secs(6)).unwrap();
        let Live {
            turns,
            service,
            shutdown,
        } = self.live.take().unwrap();
        turns.lets_go();
        assert!(
            turns.block_on(shutdown.finish(THREADS_PATIENCE)),
            "all tasks end by themselves"
        );
        // How long the database takes to close is up to the machine; the next service waits for it.
        turns.block_on(service.stop(THREADS_PATIENCE));
        turns.end();
        self.start();
    }

    fn start(&mut self) {
        self.wait_for_threads();
        self.live = Some(start(&self.config, &self.clock, &self.clients));
    }

    /// A crash of the process would end the database's threads with it. These end soon: once each has closed the log.
    fn wait_for_threads(&self) {
        let database = self.folder.path().join("test.db-wal");
        let opened = || {
            let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
            files
                .filter(|file| std::fs::read_link(file.path()).is_ok_and(|path| path == database))
                .count()
        };
        let began = Instant::now();
        // One is the watcher's own.
        while opened() > 1 {
            assert!(
                began.elapsed() < THREADS_PATIENCE,
                "the database of a service that ended is still open"
            );
            pause();
        }
    }
}

/// A folder in memory where the system has one: nothing here is to outlive the machine.
pub(crate) fn folder() -> TempDir {
    match Path::new("/dev/shm") {
        memory if memory.is_dir() => tempfile::tempdir_in(memory).unwrap(),
        _ => tempfile::tempdir().unwrap(),
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(config: &Config, clock: &Clock, clients: &Outgoing) -> Live {
    let (turns, shutdown) = (Turns::new(EACH_POLL), Shutdown::new());
    let starting = startup::start_with(config.clone(), clock.clone(), &shutdown, Some(clients));
    let service = turns.block_on(starting).unwrap();
    turns.uses(service.store().clone());
    Live {
        turns,
        service,
        shutdown,
    }
}

/// Lets the other threads work.
fn pause() {
    #[expect(clippy::disallowed_methods, reason = "the threads waited for know no clock")]
    std::thread::sleep(TURN);
}
