//! Whatever happens in whatever order — reports change, answers are lost, the service stops or crashes — one more run
//! makes Fusion hold what the report says.

#![expect(
    clippy::print_stdout,
    reason = "a history that fails tells what happened in it"
)]

use std::time::Duration;

use fastrand::Rng;
use wiz_context::simulator::{Effect, Fault};

use crate::rig::{Crashing, Rig, ip, report};

/// Histories that are played, each from its own seed.
const HISTORIES: u64 = 6;

const STEPS: usize = 10;

/// What a report may list: an asset that moves, addresses that are shared, a rating that changes.
const ROWS: [(&str, &str, &str, &str); 7] = [
    ("CVE-2024-0001", "vm-1", "10.0.0.1", "High"),
    ("CVE-2024-0001", "vm-1", "10.0.0.2", "High"),
    ("CVE-2024-0002", "vm-2", "10.0.0.2", "Low"),
    ("CVE-2024-0003", "vm-3", "10.0.0.3", "Critical"),
    ("CVE-2024-0004", "vm-3", "10.0.0.3", "Medium"),
    ("GHSA-c9cp-9c75-9v8c", "vm-4", "2001:db8::4", "Medium"),
    ("CVE-2024-0005", "vm-5", "10.0.0.1", "Critical"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_more_run_makes_every_history_right() {
    for seed in 0..HISTORIES {
        println!("seed {seed}");
        let mut chance = Rng::with_seed(seed);
        let rig = Rig::new().await;
        rig.simulator.plant_label(ip("10.0.0.2"), "owner", &["alice"]);
        let mut service = rig.serve_crashing().await;
        let ids = [
            service.create(rig.integration("one")).await,
            service.create(rig.integration("two")).await,
        ];
        for _ in 0..STEPS {
            service = step(&rig, service, &ids, &mut chance).await;
        }
        println!("the end");
        rig.simulator.clear_faults();
        let all_rows = report(&pick(&mut chance));
        rig.simulator.serve_csv(all_rows);
        for id in &ids {
            service.let_end(id).await;
            service.succeed_with_approval(id).await;
        }
        let mut held = rig.simulator.labels();
        assert!(held.remove(&(ip("10.0.0.2"), "owner".to_owned())).is_some());
        crate::rig::assert_same(&held, &rig.wanted());
        assert_eq!(rig.simulator.violations(), [""; 0]);
        assert_eq!(rig.simulator.reports().len(), 2, "one report an integration");
        service.crash();
    }
}

async fn step(rig: &Rig, service: Crashing, ids: &[String; 2], chance: &mut Rng) -> Crashing {
    let id = chance.choice(ids).unwrap();
    match chance.u8(0..8) {
        0 | 1 => {
            println!("the report changes");
            rig.simulator.serve_csv(report(&pick(chance)));
        }
        2 | 3 => {
            let operation = *chance
                .choice(&["fusion.put", "fusion.delete", "wiz.graphql", "wiz.report_file"])
                .unwrap();
            let effect = chance
                .choice(&[Effect::ResponseLost, Effect::Cut, Effect::status(503)])
                .unwrap()
                .clone();
            let (times, after) = (chance.u32(1..5), chance.u32(0..3));
            println!("{operation}: {effect:?}, {times} times after {after}");
            rig.simulator
                .inject(Fault::new(operation, effect).times(times).after(after));
        }
        4 => {
            println!("{id} runs to its end");
            service.run(id).await;
        }
        5 => {
            println!("{id} runs");
            service.start_run(id).await;
        }
        6 => {
            let seconds = chance.u64(0..40);
            println!("{id} runs, and after {seconds} s the service crashes");
            service.start_run(id).await;
            rig.clock.sleep(Duration::from_secs(seconds)).await;
            service.crash();
            return rig.serve_crashing().await;
        }
        _ => {
            println!("{id} runs, and the service stops");
            service.start_run(id).await;
            rig.clock.sleep(Duration::from_secs(chance.u64(0..20))).await;
            service.stop_crashing().await;
            return rig.serve_crashing().await;
        }
    }
    service
}

fn pick(chance: &mut Rng) -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    ROWS.into_iter().filter(|_| chance.bool()).collect()
}
