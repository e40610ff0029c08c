//! Histories: values, so that they can be printed, played again and made smaller.

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use wiz_context::simulator::{Effect, Ending, Fault, StatusFault};

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
    Report { wiz: usize, rows: u16 },
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
    /// An integration is changed.
    Edit { place: usize, edit: Edit },
    /// The service stops as it should, and starts again.
    Restart,
    /// The service ends where it stands, and starts again.
    Crash,
    /// The service ends right after so many polls of runs' tasks, and starts again.
    CrashAtPoll { polls: u64 },
}

/// How a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    Real,
    Full,
    Dry,
    /// A dry run that a real one joins.
    Joined,
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

impl History {
    /// A history made by chance.
    pub(crate) fn by_chance(seed: u64) -> Self {
        let mut chance = Rng::with_seed(seed);
        let length = chance.usize(3..14);
        let mut steps = vec![
            Step::Report {
                wiz: 0,
                rows: chance.u16(..),
            },
            Step::Report {
                wiz: 1,
                rows: chance.u16(..),
            },
            Step::Create { place: 0 },
        ];
        if chance.bool() {
            steps.push(Step::Create { place: 1 });
        }
        for _ in 0..length {
            let next = step(&mut chance);
            // There is to be something that crashes.
            if matches!(next, Step::CrashAtPoll { .. }) && chance.u8(0..4) > 0 {
                let place = chance.usize(0..2);
                steps.push(Step::Start {
                    place,
                    how: How::Real,
                });
            }
            steps.push(next);
        }
        Self { seed, steps }
    }
}

fn step(chance: &mut Rng) -> Step {
    // The third place points to the account of the first.
    let place = *chance.choice(&[0, 0, 0, 1, 1, 2]).unwrap();
    let (wiz, how) = (
        chance.usize(0..2),
        *chance
            .choice(&[How::Real, How::Real, How::Real, How::Full, How::Dry, How::Joined])
            .unwrap(),
    );
    match chance.u8(0..100) {
        0..12 => Step::Report {
            wiz,
            rows: chance.u16(..) & chance.u16(..),
        },
        12..16 => Step::Report {
            wiz,
            rows: chance.u16(..),
        },
        16..36 => Step::Fault {
            wiz: chance.usize(0..2) * chance.usize(0..2),
            fault: fault(chance),
        },
        36..38 => Step::ClearFaults,
        38..52 => Step::Start { place, how },
        52..60 => Step::Run { place, how },
        60..67 => Step::Pass {
            seconds: chance.u64(0..20),
        },
        67..70 => Step::Pass {
            seconds: chance.u64(0..2 * 86_400),
        },
        70..72 => Step::Cancel { place },
        72..75 => Step::Create { place },
        75..77 => Step::Delete { place },
        77..82 => Step::Edit {
            place,
            edit: edit(chance),
        },
        82..83 => Step::LoseReports { wiz },
        83..87 => Step::Restart,
        87..91 => Step::Crash,
        // More of the early polls, of which there always are so many.
        _ => {
            let most = 1 + chance.u64(0..200);
            Step::CrashAtPoll {
                polls: 1 + chance.u64(0..most),
            }
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

fn fault(chance: &mut Rng) -> Fault {
    // Pushes matter most.
    let operation = *chance
        .choice(&[
            "fusion.put",
            "fusion.put",
            "fusion.put",
            "fusion.delete",
            "fusion.delete",
            "fusion.token",
            "wiz.token",
            "wiz.graphql",
            "wiz.graphql",
            "wiz.graphql.createReport",
            "wiz.graphql.rerunReport",
            "wiz.graphql.updateReport",
            "wiz.graphql.report",
            "wiz.graphql.reports",
            "wiz.graphql.reportRun",
            "wiz.report_file",
            "wiz.report_run",
            "wiz",
            "fusion",
        ])
        .unwrap();
    let effect = match operation {
        "wiz.report_run" => match chance.u8(0..4) {
            0 => Effect::ReportFailed {
                reason: "by chance".to_owned(),
            },
            1 => Effect::ReportExpired,
            2 => Effect::CountPlus {
                rows: chance.i64(-1..3),
            },
            _ => Effect::CountNull,
        },
        "wiz.report_file" if chance.bool() => Effect::Truncate {
            bytes: chance.u64(0..200),
            ending: *chance
                .choice(&[Ending::Cut, Ending::Honest, Ending::Unannounced])
                .unwrap(),
        },
        "fusion.put" | "fusion.delete" if chance.u8(0..4) == 0 => {
            let ip = chance.choice(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]).unwrap();
            Effect::RejectRecords {
                ip: ip.parse().unwrap(),
            }
        }
        _ => effect(operation.starts_with("wiz.graphql"), chance),
    };
    let times = *chance.choice(&[1, 1, 2, 3, 5, 40]).unwrap();
    Fault::new(operation, effect).times(times).after(chance.u32(0..4))
}

fn effect(graphql: bool, chance: &mut Rng) -> Effect {
    let status = |status, retry_after_s| {
        Effect::Status(StatusFault {
            status,
            retry_after_s,
            ..StatusFault::default()
        })
    };
    match chance.u8(0..12) {
        0 | 1 => Effect::Cut,
        2..6 => Effect::ResponseLost,
        6 => status(503, None),
        7 => status(429, Some(chance.u64(1..90))),
        8 => status(401, None),
        9 => status(500, None),
        10 if graphql => Effect::ErrorIn200 {
            code: "INTERNAL".to_owned(),
            carried_out: chance.bool(),
        },
        10 => Effect::EmptyBody,
        11 if graphql => Effect::PartialData,
        _ => Effect::Slow {
            seconds: chance.u64(1..60),
        },
    }
}
