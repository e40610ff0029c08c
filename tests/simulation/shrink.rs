//! Makes a history that fails smaller.

use std::time::{Duration, Instant};

use crate::history::History;
use crate::play::{Played, play};

/// How long to look for a smaller history.
const PATIENCE: Duration = Duration::from_mins(1);

/// The database's threads leave a little to chance: a history that fails at times is played so often.
const TRIES: u32 = 2;

/// Makes the history smaller, prints it, and fails.
pub(crate) fn report(history: History, played: Played) -> ! {
    println!("seed {} fails: {:?}", history.seed, played.failure);
    let (history, played) = shrink(history, played);
    let (broken, _) = played.failure.expect("it fails");
    let json = serde_json::to_string(&history).unwrap();
    println!("made smaller, it has {} steps:", history.steps.len());
    for step in &history.steps {
        println!("    {step:?}");
    }
    println!("play it again with WIZ_CONTEXT_HISTORY='{json}'");
    panic!("{} is broken: {}", broken.property, broken.detail);
}

/// Leaves out steps for as long as the same property breaks: halves first, then smaller parts, then single steps.
fn shrink(mut history: History, mut played: Played) -> (History, Played) {
    let began = Instant::now();
    let (broken, steps) = played.failure.clone().expect("it fails");
    history.steps.truncate(steps);
    let mut part = history.steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut smaller = false;
        while at < history.steps.len() {
            let mut candidate = history.clone();
            candidate.steps.drain(at..(at + part).min(candidate.steps.len()));
            let failed = (0..TRIES).map(|_| play(&candidate, false)).find(|played| {
                played
                    .failure
                    .as_ref()
                    .is_some_and(|(other, _)| other.property == broken.property)
            });
            match failed {
                Some(failed) => {
                    (history, played) = (candidate, failed);
                    smaller = true;
                }
                None => at += part,
            }
            if began.elapsed() > PATIENCE {
                return (history, played);
            }
        }
        match part {
            1 if !smaller => return (history, played),
            1 => {}
            _ => part = part.div_ceil(2),
        }
    }
}
