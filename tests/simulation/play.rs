//! Plays a history.

mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::checks::{self, Broken, Pair};
use crate::history::{Edit, History, How, Step};
use crate::reports::text;
use crate::rows;
use crate::watch::Watch;
use crate::world::{Interrupted, World};

const INTEGRATIONS: &str = "/integrations/context";

/// Places for integrations.
const PLACES: usize = 3;

/// The account of Wiz that an integration points to at first, by place: the third shares the first one's.
const WIZ_OF_PLACE: [usize; PLACES] = [0, 1, 0];

/// Names by place, and those that they may change to.
const NAMES: [[&str; 2]; PLACES] = [["one", "uno"], ["two", "due"], ["three", "tre"]];

/// A run that has not ended by then never will: the longest pauses of eight attempts, each as long as it may be.
const LONGEST_RUN: Duration = Duration::from_hours(72);

/// How soon a cancelled run has ended.
const CANCELLED_WITHIN: Duration = Duration::from_secs(5);

/// How long to wait for a poll that may not come.
const INTERRUPTION_PATIENCE: Duration = Duration::from_mins(2);

/// The rows of a final report that would list nothing.
const FEW_ROWS: u32 = 0b1001;

/// What came of a history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Played {
    /// The property that it broke, and after how many steps.
    pub(crate) failure: Option<(Broken, usize)>,
    pub(crate) steps: u64,
    /// Runs by what they came to.
    pub(crate) runs: BTreeMap<String, u64>,
    pub(crate) leaps: u64,
    pub(crate) crash_points: Vec<String>,
}

/// An integration that exists.
#[derive(Clone, Debug)]
struct Integration {
    id: String,
    wiz: usize,
    auto_update: bool,
    /// The run that removes its labels, and then it.
    removal: Option<String>,
}

struct Play {
    world: World,
    places: [Option<Integration>; PLACES],
    /// What the reports of the Wiz accounts list.
    rows: [u32; 2],
    /// How many integrations ever pointed to each account of Wiz.
    pointed: [BTreeSet<String>; 2],
    /// Pairs whose labels stayed when the last integration that wanted them was deleted.
    given_up: BTreeSet<Pair>,
    /// Pairs that a person changed in Fusion, until the service sends them anew.
    by_hand: BTreeSet<Pair>,
}

/// Plays a history to its end, or to the first property that it breaks. With `shows` it tells what happens.
pub(crate) fn play(history: &History, shows: bool) -> Played {
    fastrand::seed(history.seed);
    let (watch, _watching) = Watch::begin(shows);
    let mut play = Play::new(World::new(watch));
    let mut played = Played::default();
    for (at, step) in history.steps.iter().enumerate() {
        play.world
            .watch
            .say(|| format!("{} {step:?}", play.world.clock.now()));
        played.steps += 1;
        if let Err(broken) = play.step(step).and_then(|()| play.check()) {
            played.failure = Some((broken, at + 1));
            break;
        }
    }
    if played.failure.is_none() {
        play.world
            .watch
            .say(|| format!("{} the end", play.world.clock.now()));
        played.failure = play.end().err().map(|broken| (broken, history.steps.len()));
    }
    played.runs = play.outcomes();
    played.leaps = play.world.leaps;
    played.crash_points = std::mem::take(&mut play.world.crash_points);
    played
}

impl Play {
    fn new(world: World) -> Self {
        for ((ip, context), labels) in checks::foreign() {
            let labels: Vec<_> = labels.iter().map(String::as_str).collect();
            world.fusion().plant_label(ip, &context, &labels);
        }
        let mut play = Self {
            world,
            places: [const { None }; PLACES],
            rows: [0; 2],
            pointed: Default::default(),
            given_up: BTreeSet::new(),
            by_hand: BTreeSet::new(),
        };
        play.report(0, 0);
        play.report(1, 0);
        play
    }

    fn step(&mut self, step: &Step) -> Result<(), Broken> {
        self.see_removals();
        match step {
            Step::Pass { seconds } => whole(self.world.pass(Duration::from_secs(*seconds))),
            Step::Report { wiz, rows } => self.report(*wiz, *rows),
            Step::LoseReports { wiz } => self.world.simulators[*wiz].delete_reports(),
            Step::Fault { wiz, fault } => self.world.simulators[*wiz].inject(fault.clone()),
            Step::ClearFaults => self.clear_faults(),
            Step::Start { place, how } => drop(self.start(*place, *how)),
            Step::Run { place, how } => self.run(*place, *how)?,
            Step::Cancel { place } => self.cancel(*place)?,
            Step::Create { place } => self.create(*place),
            Step::Delete { place } => self.delete(*place)?,
            Step::Remove { place } => self.remove(*place),
            Step::Approve { place, last } => self.approve(*place, *last)?,
            Step::Verify { place, repair } => drop(self.verify(*place, *repair)),
            Step::ByHand { which, removes } => self.change_by_hand(*which, *removes),
            Step::Adopt => self.adopt(),
            Step::Edit { place, edit } => self.edit(*place, *edit),
            Step::Restart => self.world.restart(),
            Step::Crash => self.world.crash(),
            Step::AtPoll { polls, step } => {
                self.world.watch.interrupt_after(*polls);
                self.interrupted(step)?;
            }
            Step::InCall { call, polls, step } => {
                self.world.watch.interrupt_in(call, *polls);
                self.interrupted(step)?;
            }
        }
        Ok(())
    }

    /// Takes a step as soon as the watch interrupts. When it does not come so far it happens all the same.
    fn interrupted(&mut self, step: &Step) -> Result<(), Broken> {
        drop(self.world.pass(INTERRUPTION_PATIENCE));
        self.world.watch.go_on();
        self.step(step)
    }

    /// What holds at any time at which nothing is going on.
    fn check(&mut self) -> Result<(), Broken> {
        whole(self.world.quiet());
        checks::foreign_labels_are_untouched(&self.world)?;
        checks::nobody_did_what_he_must_not(&self.world)?;
        checks::the_ledger_knows_what_fusion_holds(&mut self.world, &mut self.given_up, &mut self.by_hand)?;
        checks::nothing_that_is_kept_back_is_lost(&mut self.world)?;
        checks::no_run_removes_many_without_asking(&mut self.world)?;
        checks::no_error_is_logged(&self.world)
    }

    /// The faults stop, and each integration runs once more; in one half of the histories what was changed by hand is
    /// repaired before, in the other that run sends everything.
    fn end(&mut self) -> Result<(), Broken> {
        self.clear_faults();
        for place in 0..PLACES {
            self.let_end(place)?;
        }
        self.see_removals();
        if self.places.iter().all(Option::is_none) {
            self.create(0);
        }
        for wiz in [0, 1] {
            if rows::wanted(&[self.rows[wiz]]).is_empty() {
                self.report(wiz, FEW_ROWS);
            }
        }
        for place in 0..PLACES {
            self.edit(place, Edit::AutoUpdate(false));
            self.edit(place, Edit::Secret { right: true });
            self.let_end(place)?;
        }
        let repairs = !self.by_hand.is_empty() && self.world.watch.polls().is_multiple_of(2);
        for place in 0..PLACES {
            if repairs && let Some(run) = self.verify(place, true) {
                self.succeeds(&run)?;
                self.check()?;
            }
        }
        let how = if self.by_hand.is_empty() || repairs {
            How::Real
        } else {
            How::Full
        };
        for place in 0..PLACES {
            let Some(run) = self.start(place, how) else {
                continue;
            };
            self.succeeds(&run)?;
            self.check()?;
        }
        let newest_first = self
            .places
            .iter()
            .rev()
            .flatten()
            .map(|integration| self.rows[integration.wiz]);
        let wanted = rows::wanted(&newest_first.collect::<Vec<_>>());
        checks::fusion_holds_what_the_reports_say(&self.world, &wanted, &self.given_up)?;
        checks::nothing_is_in_doubt(&mut self.world)?;
        let pointed = self.pointed.each_ref().map(BTreeSet::len);
        checks::there_is_one_report_per_integration(&self.world, &pointed)
    }

    /// Lets a run end, and the approval of what it keeps back; they are to succeed.
    fn succeeds(&mut self, run: &str) -> Result<(), Broken> {
        let mut run = self.end_of(run)?;
        if run["state"] == "held" {
            let (status, answer) =
                self.world
                    .call(Method::POST, &format!("/runs/{}/approve", text(&run["id"])), None);
            assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
            run = self.end_of(&text(&answer["run"]["id"]))?;
        }
        if run["state"] == "succeeded" {
            Ok(())
        } else {
            Err(Broken::new("the_last_run_succeeds", format!("{run:#}")))
        }
    }

    fn outcomes(&mut self) -> BTreeMap<String, u64> {
        let mut outcomes = BTreeMap::new();
        for (trigger, state, dry, times) in self.world.outcomes() {
            let what = match trigger.as_str() {
                "manual" | "create" | "schedule" => "report",
                other => other,
            };
            let dry = if dry { "dry " } else { "" };
            *outcomes.entry(format!("{dry}{what} {state}")).or_default() += times.unsigned_abs();
        }
        outcomes
    }

    fn clear_faults(&self) {
        for simulator in &self.world.simulators {
            simulator.clear_faults();
        }
    }

    fn report(&mut self, wiz: usize, rows: u32) {
        self.rows[wiz] = rows;
        self.world.simulators[wiz].serve_csv(rows::report(rows));
    }

    /// Notices the ends of removals.
    fn see_removals(&mut self) {
        for place in 0..PLACES {
            let removal = self.places[place].as_ref().and_then(|one| one.removal.clone());
            let Some(run) = removal.map(|run| self.record(&run)) else {
                continue;
            };
            if run["state"] == "succeeded" {
                self.places[place] = None;
            } else if !run["finished_at"].is_null()
                && let Some(one) = &mut self.places[place]
            {
                one.removal = None;
            }
        }
    }

    fn record(&self, run: &str) -> Value {
        record(&self.world, run)
    }

    fn active_run(&self, integration: &str) -> Option<String> {
        let (status, answer) =
            self.world
                .call(Method::GET, &format!("{INTEGRATIONS}/{integration}/status"), None);
        assert!(matches!(status.as_u16(), 200 | 404), "{status} {answer}");
        answer["data"]["active_run"]["id"].as_str().map(str::to_owned)
    }

    fn let_end(&mut self, place: usize) -> Result<(), Broken> {
        let Some(integration) = self.places[place].clone() else {
            return Ok(());
        };
        while let Some(run) = self.active_run(&integration.id) {
            self.end_of(&run)?;
        }
        Ok(())
    }

    /// Lets time pass until a run has ended; gives its record.
    fn end_of(&mut self, run: &str) -> Result<Value, Broken> {
        /// The record is read again after so many leaps without a sign that a run ended.
        const LEAPS: u32 = 50;
        let last = self.world.clock.now() + LONGEST_RUN;
        loop {
            let record = self.record(run);
            if !record["finished_at"].is_null() {
                return Ok(record);
            }
            let ended = self.world.watch.runs_ended();
            for _ in 0..LEAPS {
                if whole(self.world.leap(last)) {
                    return Err(Broken::new("every_run_ends", format!("{record:#}")));
                }
                if self.world.watch.runs_ended() > ended {
                    whole(self.world.quiet());
                    break;
                }
            }
        }
    }
}

fn record(world: &World, run: &str) -> Value {
    let (status, answer) = world.call(Method::GET, &format!("/runs/{run}"), None);
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["data"].clone()
}

/// Only the step that asks for an interruption is interrupted.
fn whole<T>(done: Result<T, Interrupted>) -> T {
    done.expect("nobody asked for an interruption")
}
