//! That the command `labels` says beforehand what a run pushes.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::program::INTEGRATIONS;
use crate::reports::{generator, text};
use crate::world::World;

/// Label records to a page: so few that there are several pages, and pages that end within an address.
const PAGE: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_labels_says_what_a_run_pushes_and_what_the_api_then_lists() {
    let world = World::new(Duration::ZERO).await;
    // All columns that a run asks for, so that the file says what the run is told.
    world.simulator.generate(generator(0));
    let report = world.place.path("report.csv");
    std::fs::write(&report, world.simulator.report_csv()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wiz-context"));
    command.env_remove("WIZ_CONTEXT_SKIP_NETWORKS");
    let output = command.arg("labels").arg(report).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let said: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();

    let program = world.serve();
    let id = world.create(&program);
    world.succeed(&program, &id).await;
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{INTEGRATIONS}/{id}/labels?limit={PAGE}{cursor}");
        let (status, answer) = program.call("GET", &path, Some(&world.place.admin_key()), None);
        assert_eq!(status, 200, "{answer}");
        let page = answer["data"].as_array().unwrap();
        assert_eq!(answer["meta"]["count"], page.len());
        listed.extend(page.iter().cloned());
        if answer["meta"]["next"].is_null() {
            break;
        }
        assert_eq!(page.len(), PAGE, "a page that is not the last is full");
        cursor = format!("&cursor={}", text(&answer["meta"]["next"]));
    }
    program.stop();

    assert!(listed.len() > 2 * PAGE, "{} records", listed.len());
    assert!(
        said == listed,
        "the command says {} records, the API lists {}",
        said.len(),
        listed.len()
    );
    // Their order is by number of the address, here as there.
    let held = world.simulator.labels();
    let held = held
        .iter()
        .map(|((ip, context), labels)| serde_json::json!({"ip": ip, "context": context, "labels": labels}));
    assert!(held.eq(said), "Fusion holds other labels");
}
