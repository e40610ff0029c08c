//! Answers that get lost: what Fusion holds is then unknown, and the next run makes it right.

use serde_json::json;
use wiz_context::simulator::{Effect, Fault};

use crate::rig::{Rig, ip, report};

const ONE: (&str, &str, &str, &str) = ("CVE-2024-0001", "vm-1", "10.0.0.1", "High");
const TWO: (&str, &str, &str, &str) = ("CVE-2024-0002", "vm-2", "10.0.0.2", "High");

/// Every answer of an operation is lost after it was carried out.
fn lost(operation: &str) -> Fault {
    Fault::new(operation, Effect::ResponseLost).times(1000)
}

#[tokio::test]
async fn a_lost_answer_to_a_write_leaves_no_label_behind() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let (service, id) = rig.serve_one().await;
    rig.simulator.inject(lost("fusion.put"));
    let run = service.run(&id).await;
    assert_eq!(
        (&run["state"], &run["failure"]["kind"]),
        (&json!("failed"), &json!("fusion_unavailable")),
        "{run:#}"
    );
    assert_eq!(rig.simulator.labels().len(), 6, "carried out all the same");

    rig.simulator.clear_faults();
    rig.simulator.serve_csv(report(&[TWO]));
    service.succeed(&id).await;
    rig.assert_in_step();
    assert_eq!(rig.simulator.labels().len(), 3);
}

#[tokio::test]
async fn a_lost_answer_to_a_removal_leaves_no_label_missing() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(report(&[TWO]));
    rig.simulator.inject(lost("fusion.delete"));
    let run = service.run(&id).await;
    assert_eq!(run["state"], "failed", "{run:#}");
    assert_eq!(rig.simulator.labels().len(), 3, "carried out all the same");

    rig.simulator.clear_faults();
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    service.succeed(&id).await;
    rig.assert_in_step();
    assert_eq!(rig.simulator.labels().len(), 6);
}

#[tokio::test]
async fn another_integration_looks_after_the_doubts_of_one_that_failed() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator.serve_csv(report(&[ONE]));
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::Cut).times(1000));
    assert_eq!(service.run(&one).await["state"], "failed");
    assert!(rig.simulator.labels().is_empty());

    rig.simulator.clear_faults();
    rig.simulator.serve_csv(report(&[TWO]));
    service.succeed(&two).await;
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    rig.assert_in_step();
}

#[tokio::test]
async fn a_refusal_does_not_settle_what_an_earlier_lost_answer_left_in_doubt() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let (service, id) = rig.serve_one().await;
    rig.simulator.inject(lost("fusion.put"));
    assert_eq!(service.run(&id).await["state"], "failed");
    rig.simulator.clear_faults();
    let ip = ip("10.0.0.1");
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::RejectRecords { ip }).times(1000));
    service.succeed(&id).await;

    rig.simulator.clear_faults();
    rig.simulator.serve_csv(report(&[TWO]));
    service.succeed(&id).await;
    rig.assert_in_step();
}
