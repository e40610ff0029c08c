//! What goes wrong at the neighbours, by chance.

use fastrand::Rng;
use wiz_context::simulator::{Effect, Ending, Fault, StatusFault};

/// A fault of any kind.
pub(crate) fn fault(chance: &mut Rng) -> Fault {
    // Pushes matter most.
    let operation = *chance
        .choice(&[
            "fusion.put",
            "fusion.put",
            "fusion.put",
            "fusion.delete",
            "fusion.delete",
            "fusion.get",
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
