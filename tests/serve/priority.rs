//! Which threads of the program go behind the others, as the system tells it.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;

use crate::program::Place;

/// The niceness of each thread of a process, by the thread's name.
fn niceness(process: u32) -> BTreeMap<String, Vec<i32>> {
    let mut threads: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
        let (before, after) = stat.rsplit_once(')').unwrap();
        let name = before.split_once('(').unwrap().1.to_owned();
        // The 19th field of the line, of which the name was the second.
        let nice = after.split_whitespace().nth(16).unwrap().parse().unwrap();
        threads.entry(name).or_default().push(nice);
    }
    threads
}

#[test]
fn the_threads_of_runs_go_behind_those_of_the_api_and_leave_one_file_behind() {
    let place = Place::new();
    let program = place.serve();
    let own = niceness(std::process::id())
        .into_values()
        .flatten()
        .min()
        .unwrap();
    let threads = niceness(program.process());
    let of = |name: &str| threads.get(name).cloned().unwrap_or_default();
    let below = (own + 10).min(19);
    assert!(
        of("behind").iter().all(|nice| *nice == below) && !of("behind").is_empty(),
        "{threads:?}"
    );
    assert!(
        of("wiz-context")
            .iter()
            .chain(&of("api"))
            .all(|nice| *nice == own)
            && !of("api").is_empty(),
        "{threads:?}"
    );
    // The writer and a reader of the runs, and a reader of the API.
    let mut databases: Vec<bool> = threads
        .iter()
        .filter(|(name, _)| name.starts_with("sqlx-sqlite"))
        .flat_map(|(_, nices)| nices.iter().map(|nice| *nice == below))
        .collect();
    databases.sort_unstable();
    // The runs read by more of them when several of their tasks do.
    assert_eq!(databases.first_chunk(), Some(&[false, true, true]), "{threads:?}");
    program.stop();
    // The last connection to go was one that writes.
    assert!(place.path("test.db").is_file() && !place.path("test.db-wal").exists());
}
