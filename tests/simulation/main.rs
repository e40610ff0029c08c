//! A simulation of the whole service: thousands of histories in which whatever can happen does, in any order.
//!
//! ```text
//!            history: steps made by chance from a seed
//!                          │
//!  API, called in process ─▼─ worker, store ──── HTTP ──── simulated Wiz (two accounts) and Fusion
//!            one runtime, which can crash                    another runtime, which cannot
//!                          └───────── one clock, which stands still ────────┘
//! ```
//!
//! - **Time** stands still while anything goes on, and leaps to the next sleeper's end when nothing does ([`world`]).
//! - **A crash** drops the service's runtime with all its tasks: at once, or right after a poll of a run's task that was
//!   counted out beforehand, from the beginning of a call or from now ([`watch`]). The next service starts on the same
//!   database.
//! - **Witnesses** in the database tell what happened while a call was made ([`witness`]).
//! - **In the middle** of a history, whenever nothing is going on: no label of another product was touched, and every label
//!   in Fusion is one that the ledger knows. **At its end** the faults stop and each integration runs once more; then Fusion
//!   is to hold what the reports say ([`checks`]).
//! - **A history that fails** is made smaller for as long as it fails in the same way, and printed as JSON ([`shrink`]).
//!
//! `WIZ_CONTEXT_HISTORIES` sets how many are played, `WIZ_CONTEXT_FIRST_SEED` where their seeds begin;
//! `WIZ_CONTEXT_HISTORY` plays the one that it holds, as it was printed, and shows the log.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a simulation tells what it did")]

mod checks;
mod faults;
mod history;
mod play;
#[expect(dead_code, reason = "other tests make their reports with it")]
#[path = "../common/reports.rs"]
mod reports;
mod rows;
mod shrink;
mod turns;
mod watch;
mod witness;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use history::History;
use play::{Played, play};

/// Histories in a test run: two to three minutes on two cores. What they find is in the architecture's page, by how many it took.
const HISTORIES: u64 = 1_000;

/// Histories at a time, by core: each waits for its database and for silence half of the time.
const BY_CORE: usize = 2;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text}")),
        Err(_) => default,
    }
}

#[test]
fn whatever_happened_one_more_run_makes_fusion_equal_to_the_reports() {
    if let Ok(text) = std::env::var("WIZ_CONTEXT_HISTORY") {
        let history: History = serde_json::from_str(&text).unwrap();
        let played = play(&history, true);
        println!("{played:#?}");
        assert!(played.failure.is_none(), "the history fails");
        return;
    }
    let first = number("WIZ_CONTEXT_FIRST_SEED", 0);
    let past = first + number("WIZ_CONTEXT_HISTORIES", HISTORIES);
    let (next, stop) = (AtomicU64::new(first), AtomicBool::new(false));
    let (total, failed) = (Mutex::new(Total::default()), Mutex::new(None));
    let workers = BY_CORE * std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= past {
                        return;
                    }
                    let history = History::by_chance(seed);
                    let played = play(&history, false);
                    if played.failure.is_some() {
                        stop.store(true, Ordering::SeqCst);
                        failed.lock().unwrap().get_or_insert((history, played.clone()));
                    }
                    total.lock().unwrap().add(played);
                }
            });
        }
    });
    println!("seeds {first}..{past}: {}", total.into_inner().unwrap());
    if let Some((history, played)) = failed.into_inner().unwrap() {
        shrink::report(history, played);
    }
}

/// What all histories came to.
#[derive(Default)]
struct Total {
    histories: u64,
    steps: u64,
    /// Runs by what they came to.
    runs: BTreeMap<String, u64>,
    crashes: u64,
    /// Where crashes fell: the phase, the call under way or last answered, and the polls since.
    crash_points: BTreeSet<String>,
    leaps: u64,
}

impl Total {
    fn add(&mut self, played: Played) {
        self.histories += 1;
        self.steps += played.steps;
        for (outcome, times) in played.runs {
            *self.runs.entry(outcome).or_default() += times;
        }
        self.crashes += played.crash_points.len() as u64;
        self.crash_points.extend(played.crash_points);
        self.leaps += played.leaps;
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            histories,
            steps,
            runs,
            crashes,
            crash_points,
            leaps,
        } = self;
        let (ended, points) = (runs.values().sum::<u64>(), crash_points.len());
        write!(
            f,
            "{histories} histories of {steps} steps, with {ended} runs, {crashes} crashes at {points} distinct points, and \
             {leaps} leaps of the clock"
        )?;
        runs.iter()
            .try_for_each(|(outcome, times)| write!(f, "\n    {outcome}: {times}"))
    }
}
