//! Histories: values, so that they can be printed, played again and made smaller.

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use wiz_context::simulator::Fault;

use crate::faults::fault;
use crate::rows;

/// What happens, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct History {
    /// Decides what is left to chance in the service: pauses, and how long what takes.
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Step>,
}

/// One thing that happens. An integration is named by its place; what cannot happen at its time does not.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Time passes.
    Pass { seconds: u64 },
    /// A Wiz account has another report from now on.
    Report { wiz: usize, rows: u32 },
    /// Somebody deletes all reports of a Wiz account.
    LoseReports { wiz: usize },
    /// Something is to go wrong, in one of the accounts.
    Fault { wiz: usize, fault: Fault },
    /// What was to go wrong and has not yet, does not.
    ClearFaults,
    /// A run is asked for.
    Start { place: usize, how: How },
    /// A run is asked for, and ends.
    Run { place: usize, how: How },
    /// The run under way is cancelled.
    Cancel { place: usize },
    /// An integration is made where there is none.
    Create { place: usize },
    /// An integration is deleted.
    Delete { place: usize },
    /// An integration is deleted after its labels.
    Remove { place: usize },
    /// A run that was held is approved: the last one, or the one before.
    Approve { place: usize, last: bool },
    /// What Fusion holds is compared with the ledger, and written right where that is asked.
    Verify { place: usize, repair: bool },
    /// A person changes a label in Fusion, or removes it.
    ByHand { which: usize, removes: bool },
    /// Labels that deleted integrations left behind are adopted, and one that never was.
    Adopt,
    /// An integration is changed.
    Edit { place: usize, edit: Edit },
    /// The service stops as it should, and starts again.
    Restart,
    /// The service ends where it stands, and starts again.
    Crash,
    /// Something happens right after so many polls of runs' tasks, while they go on.
    AtPoll { polls: u64, step: Box<Step> },
    /// Something happens so many polls after the next call of this name began, before its answer or soon after it.
    InCall {
        call: String,
        polls: u64,
        step: Box<Step>,
    },
}

/// Calls in which something may happen: what they do cannot be undone.
const CALLS: [&str; 12] = [
    "fusion.put_labels",
    "fusion.put_labels",
    "fusion.put_labels",
    "fusion.delete_labels",
    "fusion.delete_labels",
    "fusion.delete_labels",
    "fusion.read_context",
    "wiz.create_report",
    "wiz.rerun_report",
    "wiz.update_report",
    "wiz.read_report_run",
    "wiz.report_file",
];

/// How a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    Real,
    Full,
    Dry,
    /// A dry run that a real one joins.
    Joined,
    /// Of the last report.
    Last,
}

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Edit {
    /// Auto update goes on or off.
    AutoUpdate(bool),
    /// The name changes, and with it the report's.
    Rename(bool),
    /// The client secret is wrong or right from now on.
    Secret { right: bool },
    /// The integration points to this Wiz account.
    MoveTo { wiz: usize },
}

/// How often each kind of step comes, by its place in [`Chance::step`]. Each history favours some and does without others:
/// what takes three of a kind in a row comes up far more often so.
const WEIGHTS: [u32; 19] = [16, 20, 3, 14, 12, 7, 3, 5, 5, 3, 5, 2, 4, 12, 3, 4, 5, 3, 24];

/// What a history leaves to chance, within what it favours.
struct Chance {
    rng: Rng,
    weights: [u32; WEIGHTS.len()],
    /// The rows that reports list at most.
    rows: u32,
    /// Whether fleets come and go, whatever else reports list.
    fleets: bool,
    /// The faults that happen; all kinds when there are none.
    faults: Vec<Fault>,
}

impl History {
    /// A history made by chance.
    pub(crate) fn by_chance(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let length = chance.rng.usize(3..18);
        let mut steps = vec![
            Step::Report {
                wiz: 0,
                rows: chance.rows(0) | if chance.fleets { rows::FLEET_BITS } else { 0 },
            },
            Step::Report {
                wiz: 1,
                rows: chance.rows(1),
            },
            Step::Create { place: 0 },
        ];
        if chance.rng.bool() {
            steps.push(Step::Create { place: 1 });
        }
        if chance.fleets {
            steps.push(Step::Run {
                place: 0,
                how: How::Real,
            });
        }
        for _ in 0..length {
            let next = chance.step();
            // There is to be something that goes on.
            if matches!(next, Step::AtPoll { .. } | Step::InCall { .. }) && chance.rng.u8(0..4) > 0 {
                let place = chance.rng.usize(0..2);
                steps.push(match chance.rng.u8(0..8) {
                    0 | 1 => chance.approve(place),
                    2 => chance.verify(place),
                    3 if chance.rng.bool() => Step::Remove { place },
                    _ => Step::Start {
                        place,
                        how: How::Real,
                    },
                });
            }
            let changes_fleets = chance.fleets && matches!(next, Step::Report { .. });
            steps.push(next);
            if changes_fleets && chance.rng.u8(0..4) > 0 {
                steps.extend(chance.approval());
            }
        }
        Self { seed, steps }
    }
}

impl Chance {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let weights = WEIGHTS.map(|weight| weight * [0, 1, 1, 1, 3][rng.usize(0..5)]);
        let rows = if rng.bool() {
            u32::MAX
        } else {
            rng.u32(..) & rng.u32(..)
        };
        let fleets = rng.bool();
        let faults = (0..rng.usize(0..4)).map(|_| fault(&mut rng)).collect();
        Self {
            rng,
            weights,
            rows,
            fleets,
            faults,
        }
    }

    fn rows(&mut self, wiz: usize) -> u32 {
        let few = if self.rng.bool() {
            self.rng.u32(..)
        } else {
            u32::MAX
        };
        // Where every integration has all of them nothing is ever lost.
        let fleets = match self.rng.u8(0..4) {
            0 | 1 => 0,
            _ if wiz == 0 => rows::FLEET_BITS,
            _ => self.rng.u32(..) & self.rng.u32(..) & rows::FLEET_BITS,
        };
        let fleets = if self.fleets { fleets } else { 0 };
        self.rng.u32(..) & few & self.rows & !rows::FLEET_BITS | fleets
    }

    fn fault(&mut self) -> Fault {
        match self.rng.choice(&self.faults).cloned() {
            Some(favoured) if self.rng.u8(0..8) > 0 => favoured,
            _ => fault(&mut self.rng),
        }
    }

    fn step(&mut self) -> Step {
        // The third place points to the account of the first.
        let place = *self.rng.choice(&[0, 0, 0, 1, 1, 2]).unwrap();
        let how = *self
            .rng
            .choice(&[
                How::Real,
                How::Real,
                How::Real,
                How::Real,
                How::Full,
                How::Dry,
                How::Joined,
                How::Last,
            ])
            .unwrap();
        let wiz = self.rng.usize(0..2);
        let mut left = self.rng.u32(0..self.weights.iter().sum::<u32>().max(1));
        let is_it = |weight: &u32| {
            let it = left < *weight;
            left = left.saturating_sub(*weight);
            it
        };
        match self.weights.iter().position(is_it).unwrap_or_default() {
            0 => Step::Report {
                wiz,
                rows: self.rows(wiz),
            },
            // Fusion is the first account's.
            1 => Step::Fault {
                wiz: wiz * self.rng.usize(0..2),
                fault: self.fault(),
            },
            2 => Step::ClearFaults,
            3 => Step::Start { place, how },
            4 => Step::Run { place, how },
            5 => Step::Pass {
                seconds: self.rng.u64(0..20),
            },
            6 => Step::Pass {
                seconds: self.rng.u64(0..2 * 86_400),
            },
            7 => Step::Cancel { place },
            8 => Step::Create { place },
            9 => Step::Delete { place },
            10 => Step::Edit {
                place,
                edit: edit(&mut self.rng),
            },
            11 => Step::LoseReports { wiz },
            12 => Step::Restart,
            13 => self.approve(place),
            14 => Step::Remove { place },
            15 => self.verify(place),
            16 => Step::ByHand {
                which: self.rng.usize(0..1_000),
                removes: self.rng.bool(),
            },
            17 => Step::Adopt,
            _ => {
                // More of the early polls, of which there always are so many.
                let most = 1 + self.rng.u64(0..250);
                let polls = 1 + self.rng.u64(0..most);
                let step = Box::new(match self.rng.u8(0..20) {
                    0 | 1 => Step::Cancel { place },
                    2 => Step::Delete { place },
                    3 => Step::Edit {
                        place,
                        edit: edit(&mut self.rng),
                    },
                    4 => Step::Start { place, how },
                    5 => self.approve(place),
                    6 => Step::Remove { place },
                    7 => self.verify(place),
                    8 => Step::Adopt,
                    _ => Step::Crash,
                });
                if self.rng.bool() {
                    return Step::AtPoll { polls, step };
                }
                let call = (*self.rng.choice(&CALLS).unwrap()).to_owned();
                let polls = self.rng.u64(0..8);
                Step::InCall { call, polls, step }
            }
        }
    }
}

impl Chance {
    /// A run that may be held, and perhaps its approval.
    fn approval(&mut self) -> Vec<Step> {
        // Fleets are the first account's above all.
        let (place, how) = (0, How::Real);
        let mut steps = vec![Step::Run { place, how }];
        if self.rng.u8(0..3) > 0 {
            steps.push(self.approve(place));
        }
        steps
    }

    fn approve(&mut self, place: usize) -> Step {
        Step::Approve {
            place,
            last: self.rng.u8(0..4) > 0,
        }
    }

    fn verify(&mut self, place: usize) -> Step {
        Step::Verify {
            place,
            repair: self.rng.bool(),
        }
    }
}

fn edit(chance: &mut Rng) -> Edit {
    match chance.u8(0..6) {
        0 | 1 => Edit::AutoUpdate(chance.bool()),
        2 => Edit::Rename(chance.bool()),
        3 => Edit::Secret { right: false },
        4 => Edit::Secret { right: true },
        _ => Edit::MoveTo {
            wiz: chance.usize(0..2),
        },
    }
}
