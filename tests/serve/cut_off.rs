//! Services that end in the middle of a run, killed or asked to: the next one brings the run to its end, and nothing is done
//! twice that Wiz or Fusion would notice.

use std::fmt::Write as _;
use std::time::Duration;

use wiz_context::simulator::{Effect, Ending, Fault};

use crate::program::Program;
use crate::reports::report;
use crate::world::{REPORT_TIME, World, until};

/// How a service ends.
#[derive(Clone, Copy)]
enum End {
    /// By a signal that it cannot hear.
    Killed,
    /// By one that asks it to.
    Asked,
}

/// A run that is held in a phase.
struct Held {
    world: World,
    program: Program,
    run: String,
}

impl Held {
    async fn begin(world: World, phase: &str) -> Self {
        let program = world.serve();
        let integration = world.create(&program);
        let run = world.start_run(&program, &integration);
        let held = Self { world, program, run };
        until(phase, || {
            held.world.run(&held.program, &held.run)["phase"] == phase
        })
        .await;
        held
    }

    /// Ends the service, starts it again, and checks that the run comes to its end as if nothing had been.
    async fn cut_off(self, end: End) -> World {
        let Self { world, program, run } = self;
        match end {
            End::Killed => program.kill(),
            End::Asked => drop(program.stop()),
        }
        world.release();
        let program = world.serve();
        let run = world.end_of(&program, &run).await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
        assert_eq!(run["attempts"], 2, "{run:#}");
        program.stop();
        assert_eq!(world.runs_of_reports(), [1]);
        world.assert_in_step();
        world
    }
}

async fn waiting_for_the_report() -> Held {
    Held::begin(World::new(REPORT_TIME).await, "waiting_for_report").await
}

async fn downloading() -> Held {
    let world = World::new(Duration::ZERO).await;
    let (bytes, ending) = (1_000, Ending::Cut);
    let cut = Effect::Truncate { bytes, ending };
    world.simulator.inject(Fault::new("wiz.report_file", cut));
    world.hold("wiz.report_file", 1);
    let held = Held::begin(world, "downloading").await;
    let simulator = held.world.simulator.clone();
    until("the second part", || simulator.requests("wiz.report_file") == 2).await;
    held
}

impl World {
    /// Makes a run during which a service is killed in each of these calls, before it is carried out.
    async fn run_killed_in_each(&self, integration: &str, calls: &[&str]) {
        let mut run = None;
        for call in calls {
            let before = self.simulator.requests(call);
            self.hold(call, 0);
            let program = self.serve();
            let run = run.get_or_insert_with(|| self.start_run(&program, integration));
            until(call, || {
                let run = self.run(&program, run);
                assert!(run["finished_at"].is_null(), "it ended before {call}: {run:#}");
                self.simulator.requests(call) > before
            })
            .await;
            program.kill();
            self.simulator.clear_faults();
        }
        let program = self.serve();
        let run = self.end_of(&program, &run.unwrap()).await;
        assert_eq!(run["state"], "succeeded", "{run:#}");
        assert_eq!(run["attempts"], calls.len() + 1, "{run:#}");
        program.stop();
        self.assert_in_step();
    }
}

/// Addresses with a hundred labels each in three records, of which Fusion takes a hundred in one call: three calls and a bit.
const ADDRESSES: usize = 330;

/// The first batch is answered; the others are held.
async fn pushing(hold_calls: fn(&World, &str, u32)) -> Held {
    let world = World::new(Duration::ZERO).await;
    let mut report = "Name,Severity,AssetID,IpAddresses\n".to_owned();
    for at in 0..ADDRESSES {
        for cve in 1000..1098 {
            let (high, low) = (at / 250, at % 250 + 1);
            writeln!(report, "CVE-2024-{cve},High,vm-{at},10.0.{high}.{low}").unwrap();
        }
    }
    world.simulator.serve_csv(report);
    hold_calls(&world, "fusion.put", 1);
    let held = Held::begin(world, "pushing").await;
    let first_is_settled = || held.world.run(&held.program, &held.run)["progress"]["rows"] != 0;
    until("the answer to the first batch", first_is_settled).await;
    // One that is still on its way when the service ends would be carried out.
    let all_arrived = || held.world.simulator.requests("fusion.put") == 4;
    until("the other batches", all_arrived).await;
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_waits_for_the_report_it_goes_on_with_the_same_report() {
    waiting_for_the_report().await.cut_off(End::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_while_it_waits_for_the_report_it_goes_on_with_the_same_report() {
    waiting_for_the_report().await.cut_off(End::Asked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_downloads_it_reads_the_same_file_anew() {
    downloading().await.cut_off(End::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_while_it_downloads_it_reads_the_same_file_anew() {
    downloading().await.cut_off(End::Asked).await;
}

/// The batch that was acknowledged is not sent again, and those under way, which did not arrive, are.
fn assert_sent_once(world: &World) {
    assert_eq!(world.simulator.labels().len(), ADDRESSES * 3);
    assert_eq!(world.simulator.labels_put(), ADDRESSES as u64 * 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_pushes_it_sends_the_rest() {
    assert_sent_once(&pushing(World::hold).await.cut_off(End::Killed).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_while_it_pushes_to_a_silent_fusion_it_ends_in_time_and_sends_the_rest() {
    assert_sent_once(&pushing(World::hold).await.cut_off(End::Asked).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_while_it_pushes_it_hears_the_answers_under_way() {
    let Held { world, program, run } = pushing(World::hold_until_release).await;
    program.signal("TERM");
    until("the end to begin", || !program.listens()).await;
    world.release();
    program.stop();
    assert_eq!(world.simulator.labels().len(), ADDRESSES * 3);

    let program = world.serve();
    let run = world.end_of(&program, &run).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    program.stop();
    world.assert_in_step();
    assert_sent_once(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_each_of_its_calls_it_brings_its_runs_to_their_end_all_the_same() {
    let world = World::new(Duration::ZERO).await;
    let rows = |last| (1..=last).map(|at| ("CVE-2024-0001", format!("vm-{at}"), format!("10.0.0.{at}")));
    let serve = |last| {
        let rows: Vec<_> = rows(last).collect();
        let rows = rows
            .iter()
            .map(|(cve, asset, ip)| (*cve, &**asset, &**ip, "High"));
        world.simulator.serve_csv(report(&rows.collect::<Vec<_>>()));
    };
    let program = world.serve();
    let integration = world.create(&program);
    program.stop();
    serve(9);
    let first = [
        "wiz.token",
        "wiz.graphql.reports",
        "wiz.graphql.createReport",
        "wiz.graphql.reportRuns",
        "wiz.graphql.reportRun",
        "wiz.report_file",
        "fusion.put",
    ];
    world.run_killed_in_each(&integration, &first).await;
    assert_eq!(world.runs_of_reports(), [1]);

    serve(5);
    let second = [
        "wiz.graphql.vulnerabilityFindings",
        "fusion.token",
        "wiz.graphql.report",
        "wiz.graphql.reportRuns",
        "wiz.graphql.reportRun",
        "wiz.report_file",
        "fusion.delete",
    ];
    world.run_killed_in_each(&integration, &second).await;
    assert_eq!(world.runs_of_reports(), [2]);
    assert_eq!(
        (world.simulator.labels_put(), world.simulator.labels_deleted()),
        (27, 12)
    );
}
