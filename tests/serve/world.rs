//! A world for services to live and die in: the simulator with a clock of its own, one integration, and the database that
//! outlives them.

use std::time::Duration;

use serde_json::Value;
use wiz_context::clock::Clock;
use wiz_context::shutdown::Shutdown;
use wiz_context::simulator::{Effect, Fault, GeneratorSettings, Simulator, SimulatorSettings};

use crate::program::{INTEGRATIONS, Place, Program, wiz_of};
use crate::reports::{assert_same, generator, labels_by, text};

/// How long a report takes where a test holds its run while it waits for it. It passes only when the test says so, and is
/// shorter than the difference of clocks that Fusion takes.
pub(crate) const REPORT_TIME: Duration = Duration::from_mins(2);

/// How often a condition is looked at, and how many times at most: half a minute, which nothing here takes.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: u32 = 1_500;

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    /// The simulator's clock; the services have the system's.
    clock: Clock,
    pub(crate) place: Place,
    _tasks: Shutdown,
}

impl World {
    /// A world in which reports take their time, or none.
    pub(crate) async fn new(report_duration: Duration) -> Self {
        let (tasks, clock) = (Shutdown::new(), Clock::test(Clock::system().now(), 1));
        let settings = SimulatorSettings {
            generator: GeneratorSettings {
                findings: 300,
                assets: 30,
                ..generator(0)
            },
            report_duration,
            stale_last_run_reads: 0,
            // Services that follow each other do not know of each other's requests.
            wiz_requests_per_second: 100,
            ..SimulatorSettings::default()
        };
        let simulator = Simulator::start(settings, clock.clone(), &tasks).await.unwrap();
        let place = Place::new()
            .with("NETOSECRET", simulator.netosecret())
            .with("WIZ_CONTEXT_ALLOW_HOSTS", simulator.allow_hosts())
            .with("WIZ_CONTEXT_WIZ_REQUESTS_PER_SECOND", "10");
        Self {
            simulator,
            clock,
            place,
            _tasks: tasks,
        }
    }

    pub(crate) fn serve(&self) -> Program {
        self.place.serve()
    }

    /// Makes the integration; gives its id.
    pub(crate) fn create(&self, program: &Program) -> String {
        program.create(&self.place.admin_key(), &wiz_of(&self.simulator))
    }

    /// Starts a run and does not wait for it; gives its id.
    pub(crate) fn start_run(&self, program: &Program, integration: &str) -> String {
        let (path, key) = (
            format!("{INTEGRATIONS}/{integration}/run"),
            self.place.admin_key(),
        );
        let (status, answer) = program.exchange("PUT", &path, Some(&key), &[], "");
        assert_eq!(status, 202, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        text(&answer["run"]["id"])
    }

    pub(crate) fn run(&self, program: &Program, run: &str) -> Value {
        let path = format!("/api/v1/runs/{run}");
        let (status, answer) = program.call("GET", &path, Some(&self.place.admin_key()), None);
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    }

    /// The record of a run that ended by itself.
    pub(crate) async fn end_of(&self, program: &Program, run: &str) -> Value {
        until("the end of the run", || {
            !self.run(program, run)["finished_at"].is_null()
        })
        .await;
        self.run(program, run)
    }

    /// Makes a new run, which is to succeed.
    pub(crate) async fn succeed(&self, program: &Program, integration: &str) {
        let run = self.start_run(program, integration);
        let run = self.end_of(program, &run).await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
    }

    /// Holds every call of an operation from now on, but for the first `after`; for good, since nothing lets the time pass.
    pub(crate) fn hold(&self, operation: &str, after: u32) {
        self.hold_for(Duration::from_hours(24), operation, after);
    }

    /// The same until the release.
    pub(crate) fn hold_until_release(&self, operation: &str, after: u32) {
        self.hold_for(REPORT_TIME, operation, after);
    }

    fn hold_for(&self, time: Duration, operation: &str, after: u32) {
        let seconds = time.as_secs();
        let fault = Fault::new(operation, Effect::Slow { seconds });
        self.simulator.inject(fault.after(after).times(u32::MAX));
    }

    /// Lets everything go well, and the report be ready.
    pub(crate) fn release(&self) {
        self.simulator.clear_faults();
        self.clock.advance(REPORT_TIME);
    }

    /// Checks that Fusion holds what the present report says, and that nobody did what he must not.
    pub(crate) fn assert_in_step(&self) {
        let wanted = labels_by(&self.simulator.report_csv());
        assert_same(&self.simulator.labels(), &wanted);
        assert_eq!(self.simulator.violations(), [""; 0]);
    }

    /// How many runs each report in Wiz has.
    pub(crate) fn runs_of_reports(&self) -> Vec<usize> {
        let reports = self.simulator.reports();
        reports.iter().map(|report| report.runs.len()).collect()
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let clock = Clock::system();
    for _ in 0..LOOKS {
        if holds() {
            return;
        }
        clock.sleep(LOOK).await;
    }
    panic!("{what} did not come");
}
