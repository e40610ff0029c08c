//! What only a person can mend fails at once, names the cause, and is not tried again.

use serde_json::json;
use wiz_context::simulator::{Effect, Fault, SimulatorSettings};

use crate::rig::{Rig, text};

#[tokio::test]
async fn wrong_wiz_credentials_fail_at_once() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let mut body = rig.integration("wiz1");
    body["wiz"]["clientsecret"] = json!("another");
    let id = service.create(body).await;
    let run = service.run(&id).await;
    assert_eq!(
        (&run["state"], &run["attempts"]),
        (&json!("failed"), &json!(1)),
        "{run:#}"
    );
    assert_eq!(
        (&run["failure"]["kind"], &run["failure"]["retryable"]),
        (&json!("credentials"), &json!(false))
    );
    assert!(
        text(&run["failure"]["message"]).contains("wiz.clientsecret"),
        "{run:#}"
    );
    assert!(rig.simulator.reports().is_empty());
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    for missing in ["create:reports", "read:reports", "read:vulnerabilities"] {
        let mut settings = SimulatorSettings::default();
        settings.scopes.remove(missing);
        let rig = Rig::with(settings).await;
        let (service, id) = rig.serve_one().await;
        let run = service.run(&id).await;
        assert_eq!(
            (&run["state"], &run["attempts"]),
            (&json!("failed"), &json!(1)),
            "{missing}: {run:#}"
        );
        assert_eq!(run["failure"]["kind"], "permission", "{missing}: {run:#}");
        assert!(text(&run["failure"]["message"]).contains(missing), "{run:#}");
        assert!(rig.simulator.labels().is_empty());
    }
    // needed from the second run on
    let mut settings = SimulatorSettings::default();
    settings.scopes.remove("update:reports");
    let rig = Rig::with(settings).await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let run = service.run(&id).await;
    assert_eq!(run["failure"]["kind"], "permission", "{run:#}");
    assert!(
        text(&run["failure"]["message"]).contains("update:reports"),
        "{run:#}"
    );
}

#[tokio::test]
async fn a_key_that_fusion_refuses_fails_before_the_report_is_asked_for() {
    let rig = Rig::new().await;
    rig.simulator
        .inject(Fault::new("fusion.token", Effect::status(401)).times(100));
    let (service, id) = rig.serve_one().await;
    let run = service.run(&id).await;
    assert_eq!(
        (&run["state"], &run["phase"]),
        (&json!("failed"), &json!("signing_in")),
        "{run:#}"
    );
    assert_eq!(run["failure"]["kind"], "credentials");
    assert!(text(&run["failure"]["message"]).contains("NETOSECRET"), "{run:#}");
    assert!(rig.simulator.reports().is_empty());
}
