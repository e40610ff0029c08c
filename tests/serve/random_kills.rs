//! A service that is killed at random moments of runs of all kinds, again and again: each run comes to its end, and Fusion
//! holds what the report says.
//!
//! `WIZ_CONTEXT_KILLS` says how often it is killed, `WIZ_CONTEXT_SEED` by which chance; both are printed. When exactly a
//! process dies is the machine's doing, so a seed repeats the plan of a test and not each instant of it.

#![expect(
    clippy::print_stdout,
    reason = "the test tells what it did, and how to do it again"
)]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use wiz_context::clock::Clock;

use crate::program::{INTEGRATIONS, Program};
use crate::reports::{Labels, assert_same, labels_by, text};
use crate::world::World;

/// How often the service is killed when nothing else is said: some seconds' worth.
const KILLS: u64 = 8;

/// How often at most during one run: after eight deaths without any progress a run is given up.
const KILLS_A_RUN: u64 = 4;

/// Assets with an address each. With their labels they fill several requests, of which four are under way at a time.
const ASSETS: usize = 400;

/// What other products wrote: at addresses of the report and at others, in contexts of ours and in others.
const FOREIGN: [(&str, &str, &str); 5] = [
    ("10.0.0.1", "owner", "alice"),
    ("10.0.1.7", "os", "linux"),
    ("192.0.2.1", "cve", "CVE-2020-0001"),
    ("192.0.2.1", "vuln_count", "1"),
    ("2001:db8::1", "cvss_score", "9.9"),
];

/// The phases of a run; those that fetch no report have the last two.
const PHASES: [&str; 6] = [
    "signing_in",
    "requesting_report",
    "waiting_for_report",
    "downloading",
    "planning",
    "pushing",
];
const FETCHING_PHASES: usize = 4;

/// A report of these assets, each with the CVEs of a day.
fn report(assets: Range<usize>, day: usize) -> Vec<u8> {
    let mut report = "Name,Severity,AssetID,IpAddresses\n".to_owned();
    for at in assets {
        // Some findings are new each day, at some of the assets.
        let first = 1000 + if at.is_multiple_of(3) { day } else { 0 };
        for cve in first..first + 97 {
            let (high, low) = (at / 250, at % 250 + 1);
            writeln!(report, "CVE-2024-{cve},High,vm-{at},10.0.{high}.{low}").unwrap();
        }
    }
    report.into_bytes()
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().expect(variable))
}

/// What is played: one service after the other, on one database.
struct Play {
    world: World,
    program: Program,
    chance: Rng,
    kills_left: u64,
    /// Kills by the kind of the run and its phase.
    kills: BTreeMap<(&'static str, String), u64>,
    integration: String,
    /// The assets that Wiz lists.
    assets: Range<usize>,
    day: usize,
    /// Runs that fetched a report.
    fetched: usize,
}

impl Play {
    /// Everything that the simulator was asked so far.
    fn requests(&self) -> u64 {
        self.world.simulator.requests("wiz") + self.world.simulator.requests("fusion")
    }

    async fn pause(&self, milliseconds: u64) {
        Clock::system().sleep(Duration::from_millis(milliseconds)).await;
    }

    /// Waits for a random moment of a run; gives the run's phase, unless it has ended.
    async fn moment(&mut self, run: &str) -> Option<String> {
        let look = |play: &Self| play.world.run(&play.program, run);
        let fetches = !["approval", "removal"].contains(&look(self)["trigger"].as_str().unwrap());
        match self.chance.u8(0..4) {
            0 => {
                let pause = self.chance.u64(0..if fetches { 1_500 } else { 300 });
                self.pause(pause).await;
            }
            1 => {
                let enough = self.requests() + self.chance.u64(1..12);
                while self.requests() < enough && look(self)["finished_at"].is_null() {
                    self.pause(1).await;
                }
                let pause = self.chance.u64(0..20);
                self.pause(pause).await;
            }
            _ => {
                let phases = &PHASES[if fetches { 0 } else { FETCHING_PHASES }..];
                let phase = *self.chance.choice(phases).unwrap();
                let is_there = |record: Value| record["phase"] == phase || !record["finished_at"].is_null();
                while !is_there(look(self)) {
                    self.pause(1).await;
                }
                let pause = self.chance.u64(0..60);
                self.pause(pause).await;
            }
        }
        let record = look(self);
        let phase = record["phase"].as_str().unwrap_or("queued").to_owned();
        record["finished_at"].is_null().then_some(phase)
    }

    /// Sees a run to its end, through some deaths; gives its record.
    async fn outlive(&mut self, kind: &'static str, run: &str) -> Value {
        let kills = self.chance.u64(1..=KILLS_A_RUN).min(self.kills_left);
        for _ in 0..kills {
            let Some(phase) = self.moment(run).await else {
                break;
            };
            println!("{kind}: killed in {phase}");
            self.program.end_at_once();
            self.program = self.world.serve();
            *self.kills.entry((kind, phase)).or_default() += 1;
            self.kills_left -= 1;
        }
        self.world.end_of(&self.program, run).await
    }

    /// Makes a run of the present report; gives its record.
    async fn run(&mut self, kind: &'static str) -> Value {
        self.day += 1;
        let report = report(self.assets.clone(), self.day);
        self.world.simulator.serve_csv(report);
        self.fetched += 1;
        let run = self.world.start_run(&self.program, &self.integration);
        self.outlive(kind, &run).await
    }

    /// A run that an API call starts beside those of reports.
    async fn call(&mut self, kind: &'static str, method: &str, path: &str) {
        let key = self.world.place.admin_key();
        let (status, answer) = self.program.exchange(method, path, Some(&key), &[], "");
        assert_eq!(status, 202, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let run = self.outlive(kind, &text(&answer["run"]["id"])).await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
    }

    async fn first(&mut self) {
        self.integration = self.world.create(&self.program);
        self.assets = 0..ASSETS;
        let run = self.run("first run").await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
        self.check(&self.wanted());
    }

    /// Some assets come, some change, and so few go that nobody has to approve it.
    async fn changed(&mut self) {
        let few = self.assets.len() / 10;
        let first = self.assets.start + self.chance.usize(0..few);
        self.assets = first..first + ASSETS;
        let run = self.run("changed report").await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
        self.check(&self.wanted());
    }

    /// So many assets go that a person has to approve it.
    async fn approved(&mut self) {
        let before = self.wanted();
        self.assets = self.assets.start..self.assets.start + self.assets.len() / 2;
        let run = self.run("held run").await;
        assert_eq!(run["state"], "held", "{run:#}");
        let mut kept = before;
        kept.extend(self.wanted());
        self.check(&kept);
        let path = format!("/api/v1/runs/{}/approve", text(&run["id"]));
        self.call("approval", "POST", &path).await;
        self.check(&self.wanted());
    }

    /// The integration goes with its labels.
    async fn removed(&mut self) {
        let path = format!("{INTEGRATIONS}/{}?labels=remove", self.integration);
        self.call("removal", "DELETE", &path).await;
        self.check(&Labels::new());
        self.integration.clear();
    }

    fn wanted(&self) -> Labels {
        labels_by(&self.world.simulator.report_csv())
    }

    /// Nothing is lost, nothing of others is touched, and no report was made or ordered twice.
    fn check(&self, wanted: &Labels) {
        let mut held = self.world.simulator.labels();
        for (ip, context, label) in FOREIGN {
            let pair = (ip.parse::<IpAddr>().unwrap(), context.to_owned());
            assert_eq!(held.remove(&pair), Some(vec![label.to_owned()]), "{pair:?}");
        }
        assert_same(&held, wanted);
        assert_eq!(self.world.simulator.violations(), [""; 0]);
        assert_eq!(self.world.runs_of_reports(), [self.fetched]);
        assert!(self.world.simulator.removed_but_never_put().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_it_loses_nothing_and_touches_nothing_of_others() {
    let kills = number("WIZ_CONTEXT_KILLS").unwrap_or(KILLS);
    let seed = number("WIZ_CONTEXT_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("WIZ_CONTEXT_KILLS={kills} WIZ_CONTEXT_SEED={seed}");
    // Long enough to be waited for.
    let world = World::new(Duration::from_millis(500)).await;
    for (ip, context, label) in FOREIGN {
        world
            .simulator
            .plant_label(ip.parse().unwrap(), context, &[label]);
    }
    let program = world.serve();
    let mut play = Play {
        world,
        program,
        chance: Rng::with_seed(seed),
        kills_left: kills,
        kills: BTreeMap::new(),
        integration: String::new(),
        assets: 0..0,
        day: 0,
        fetched: 0,
    };
    let mut rounds = 0;
    while play.kills_left > 0 {
        rounds += 1;
        match play.chance.u8(0..4) {
            _ if play.integration.is_empty() => play.first().await,
            0 if play.assets.len() == ASSETS => play.approved().await,
            1 => play.removed().await,
            _ => play.changed().await,
        }
    }
    play.program.stop();
    println!("{kills} kills in {rounds} rounds with {} reports:", play.fetched);
    for ((kind, phase), kills) in play.kills {
        println!("{kills:4}  {kind}, {phase}");
    }
}
