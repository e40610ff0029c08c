//! Services that are killed before they hear what became of a call that was carried out: the next one finds out, or does
//! without knowing.

use std::time::Duration;

use wiz_context::simulator::{Effect, Fault};

use crate::program::Program;
use crate::reports::report;
use crate::world::{World, until};

const ONE: (&str, &str, &str, &str) = ("CVE-2024-0001", "vm-1", "10.0.0.1", "High");
const TWO: (&str, &str, &str, &str) = ("CVE-2024-0002", "vm-2", "10.0.0.2", "High");

impl World {
    /// Starts a run of which every answer to an operation is lost, and kills the service once there is something to hear.
    /// Gives the run, which nobody has ended.
    async fn killed_unheard(
        &self,
        program: Program,
        integration: &str,
        operation: &str,
        is_done: impl Fn() -> bool,
    ) -> String {
        let lost = Fault::new(operation, Effect::ResponseLost).times(u32::MAX);
        self.simulator.inject(lost);
        let run = self.start_run(&program, integration);
        until(operation, is_done).await;
        program.kill();
        run
    }

    /// Starts a service that may not go on with the run either, and cancels the run: what became of its calls stays
    /// unheard for good.
    async fn cancelled_by_the_next(&self, run: &str, operation: &str) -> Program {
        self.simulator.clear_faults();
        self.hold(operation, 0);
        let program = self.serve();
        let path = format!("/api/v1/runs/{run}/cancel");
        let (status, answer) = program.call("POST", &path, Some(&self.place.admin_key()), None);
        assert_eq!(status, 202, "{answer}");
        let run = self.end_of(&program, run).await;
        assert_eq!(run["state"], "cancelled", "{run:#}");
        self.simulator.clear_faults();
        program
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_it_hears_of_a_write_it_leaves_no_label_behind() {
    let world = World::new(Duration::ZERO).await;
    world.simulator.serve_csv(report(&[ONE, TWO]));
    let program = world.serve();
    let id = world.create(&program);
    let is_written = || world.simulator.labels().len() == 6;
    let run = world.killed_unheard(program, &id, "fusion.put", is_written).await;

    world.simulator.serve_csv(report(&[TWO]));
    let program = world.cancelled_by_the_next(&run, "fusion.put").await;
    assert_eq!(world.simulator.labels().len(), 6, "nobody took anything back");
    world.succeed(&program, &id).await;
    program.stop();
    world.assert_in_step();
    assert_eq!(world.simulator.labels().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_it_hears_of_a_removal_it_leaves_no_label_missing() {
    let world = World::new(Duration::ZERO).await;
    world.simulator.serve_csv(report(&[ONE, TWO]));
    let program = world.serve();
    let id = world.create(&program);
    world.succeed(&program, &id).await;
    world.simulator.serve_csv(report(&[TWO]));
    let is_removed = || world.simulator.labels().len() == 3;
    let run = world
        .killed_unheard(program, &id, "fusion.delete", is_removed)
        .await;

    world.simulator.serve_csv(report(&[ONE, TWO]));
    let program = world.cancelled_by_the_next(&run, "fusion.delete").await;
    assert_eq!(world.simulator.labels().len(), 3, "nobody put anything back");
    world.succeed(&program, &id).await;
    program.stop();
    world.assert_in_step();
    assert_eq!(world.simulator.labels().len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_it_hears_of_the_report_it_made_it_makes_no_second_one() {
    let world = World::new(Duration::ZERO).await;
    let program = world.serve();
    let id = world.create(&program);
    // The service that is killed does not get to look for it.
    world.hold("wiz.graphql.reports", 1);
    let is_made = || !world.simulator.reports().is_empty();
    let run = world
        .killed_unheard(program, &id, "wiz.graphql.createReport", is_made)
        .await;

    world.simulator.clear_faults();
    let program = world.serve();
    let run = world.end_of(&program, &run).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    program.stop();
    assert_eq!(world.runs_of_reports(), [1]);
    world.assert_in_step();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_it_hears_of_a_rerun_it_asks_for_no_second_one() {
    let world = World::new(Duration::ZERO).await;
    world.simulator.serve_csv(report(&[ONE]));
    let program = world.serve();
    let id = world.create(&program);
    world.succeed(&program, &id).await;
    world.simulator.serve_csv(report(&[TWO]));
    let is_rerun = || world.runs_of_reports() == [2];
    // The service that is killed does not get to look for it.
    world.hold("wiz.graphql.reportRuns", 1);
    let run = world
        .killed_unheard(program, &id, "wiz.graphql.rerunReport", is_rerun)
        .await;

    world.simulator.clear_faults();
    let program = world.serve();
    let run = world.end_of(&program, &run).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    program.stop();
    assert_eq!(world.runs_of_reports(), [2]);
    world.assert_in_step();
}
