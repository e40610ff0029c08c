//! The check of a connection: what it tells, and that it changes nothing.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Fault, SimulatorSettings, StatusFault};

use crate::rig::{Rig, Service, generator, report, text};

const STEPS: [&str; 6] = [
    "wiz_sign_in",
    "list_reports",
    "see_finding",
    "update_reports",
    "create_reports",
    "fusion_sign_in",
];

fn settings() -> SimulatorSettings {
    SimulatorSettings {
        generator: generator(0),
        ..SimulatorSettings::default()
    }
}

/// A rig in real time, so that no step is late because the machine is slow.
async fn rig(settings: SimulatorSettings) -> Rig {
    Rig::with_pace(settings, 1).await
}

async fn rig_without(scope: &str) -> Rig {
    let mut settings = settings();
    assert!(settings.scopes.remove(scope));
    rig(settings).await
}

/// The verdict, the states of all steps in their order, and their messages.
struct Told {
    ok: bool,
    states: Vec<String>,
    messages: Vec<String>,
}

impl Told {
    fn message(&self, step: &str) -> &str {
        let at = STEPS.iter().position(|name| *name == step).unwrap();
        &self.messages[at]
    }
}

async fn check(service: &Service, id: &str) -> Told {
    let path = format!("/api/v1/integrations/context/{id}/check");
    let (status, answer) = service.call(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["meta"], json!({"code": 200, "count": 1}));
    let steps = answer["data"]["steps"].as_array().unwrap();
    let all = |member: &str| steps.iter().map(|step| text(&step[member])).collect::<Vec<_>>();
    assert_eq!(all("name"), STEPS);
    let told = Told {
        ok: answer["data"]["ok"].as_bool().unwrap(),
        states: all("state"),
        messages: all("message"),
    };
    assert_eq!(told.ok, !told.states.contains(&"failed".to_owned()), "{answer}");
    told
}

/// What the world looks like: reports with their runs, labels written and deleted, and the service's own records.
async fn world(rig: &Rig, service: &Service, id: &str) -> Value {
    let reports = rig.simulator.reports();
    let runs: Vec<_> = reports
        .iter()
        .map(|report| (&report.id, &report.name, report.runs.len()))
        .collect();
    let (_, audit) = service.call(Method::GET, "/api/v1/audit", None).await;
    let (_, integration) = service
        .call(Method::GET, &format!("/api/v1/integrations/context/{id}"), None)
        .await;
    let mut settings = integration["data"].clone();
    settings["status"]["label_age_s"] = Value::Null;
    json!({
        "reports": runs,
        "labels": [rig.simulator.labels().len(), rig.simulator.labels_put(), rig.simulator.labels_deleted()],
        "audit": audit["data"],
        "integration": settings,
        "violations": rig.simulator.violations(),
    })
}

#[tokio::test]
async fn a_check_finds_a_good_connection_good_and_changes_nothing_anywhere() {
    let rig = rig(settings()).await;
    let (service, id) = rig.serve_one().await;
    let before = world(&rig, &service, &id).await;
    let told = check(&service, &id).await;
    assert!(told.ok);
    assert_eq!(
        told.states,
        ["ok", "ok", "ok", "ok", "unknown", "ok"],
        "{:#?}",
        told.messages
    );
    assert!(told.message("create_reports").contains("create:reports"));
    assert_eq!(world(&rig, &service, &id).await, before);
    assert_eq!(before["reports"], json!([]));
    let asked = |field: &str| rig.simulator.requests(&format!("wiz.graphql.{field}"));
    let changing = ["createReport", "updateReport", "deleteReport", "cancelReportRun"];
    assert_eq!(changing.map(asked), [0; 4]);
    assert_eq!(asked("rerunReport"), 1, "of a report that does not exist");
    assert_eq!(
        (
            rig.simulator.requests("fusion.put"),
            rig.simulator.requests("fusion.delete")
        ),
        (0, 0)
    );

    // With a report of its own, making one is no question any more, and that report does not run.
    service.succeed(&id).await;
    let before = world(&rig, &service, &id).await;
    assert_eq!(before["reports"][0][2], 1);
    let told = check(&service, &id).await;
    assert_eq!(told.states, ["ok"; 6], "{:#?}", told.messages);
    assert!(told.message("list_reports").contains("wiz-context/test/wiz1"));
    assert_eq!(world(&rig, &service, &id).await, before);
    rig.assert_in_step();
}

#[tokio::test]
async fn a_check_without_a_sign_in_leaves_the_rest_of_wiz_unknown_and_still_tries_fusion() {
    let rig = rig(settings()).await;
    let service = rig.serve().await;
    let mut integration = rig.integration("wiz1");
    integration["wiz"]["clientsecret"] = json!("planted-wrong-secret");
    let id = service.create(integration).await;
    let told = check(&service, &id).await;
    assert_eq!(
        told.states,
        ["failed", "unknown", "unknown", "unknown", "unknown", "ok"]
    );
    assert!(
        told.message("wiz_sign_in")
            .contains("Check wiz.clientid, wiz.clientsecret")
    );
    for step in &STEPS[1..5] {
        assert!(told.message(step).contains("sign-in at Wiz did not succeed"));
    }
    assert!(!told.messages.concat().contains("planted"));
    assert_eq!(rig.simulator.requests("wiz.graphql"), 0);
}

#[tokio::test]
async fn a_check_names_each_permission_that_is_missing() {
    for (scope, step) in [
        ("read:reports", "list_reports"),
        ("read:vulnerabilities", "see_finding"),
        ("update:reports", "update_reports"),
    ] {
        let rig = rig_without(scope).await;
        let (service, id) = rig.serve_one().await;
        let told = check(&service, &id).await;
        let failed = STEPS.map(|name| if name == step { "failed" } else { "ok" });
        // Wiz named the permissions that are there, so that of making reports is known as well.
        assert_eq!(told.states, failed, "{scope}: {:#?}", told.messages);
        let message = told.message(step);
        assert!(
            message.contains(scope) && message.contains("Service Accounts"),
            "{message}"
        );
        assert!(rig.simulator.reports().is_empty());
    }
}

#[tokio::test]
async fn a_check_tells_of_the_permission_to_make_reports_only_what_an_error_gave_away() {
    let rig = rig_without("create:reports").await;
    let (service, id) = rig.serve_one().await;
    let told = check(&service, &id).await;
    assert_eq!(told.states, ["ok", "ok", "ok", "ok", "unknown", "ok"]);

    let mut settings = settings();
    settings.scopes = ["read:reports", "read:vulnerabilities"].map(str::to_owned).into();
    let rig = Rig::with_pace(settings, 1).await;
    let (service, id) = rig.serve_one().await;
    let told = check(&service, &id).await;
    assert_eq!(told.states, ["ok", "ok", "ok", "failed", "failed", "ok"]);
    assert!(
        told.message("create_reports")
            .contains("lacks the permission create:reports")
    );
}

#[tokio::test]
async fn a_check_that_sees_no_address_names_the_likely_causes() {
    let rig = rig(settings()).await;
    let (service, id) = rig.serve_one().await;
    for (findings, words) in [
        (report(&[]), "sees no open one"),
        (
            report(&[("CVE-2024-0001", "vm-1", "", "High")]),
            "none of the 1 that were looked at",
        ),
        (
            report(&[("CVE-2024-0001", "vm-1", "127.0.0.1", "High")]),
            "address that can carry labels",
        ),
    ] {
        rig.simulator.serve_csv(findings);
        let told = check(&service, &id).await;
        assert_eq!(told.states[2], "failed");
        let message = told.message("see_finding");
        assert!(
            message.contains(words) && message.contains("Most likely it is limited to projects"),
            "{message}"
        );
    }
    rig.simulator.serve_csv(report(&[
        ("CVE-2024-0001", "vm-1", "", "High"),
        ("CVE-2024-0001", "vm-2", "10.0.0.1", "High"),
    ]));
    assert!(check(&service, &id).await.ok);
}

#[tokio::test]
async fn a_check_of_a_service_without_fusion_or_with_a_refused_key_says_what_to_do() {
    let rig = rig(settings()).await;
    let (service, id) = rig.serve_one().await;
    rig.simulator
        .inject(Fault::new("fusion.token", Effect::status(401)));
    let told = check(&service, &id).await;
    assert_eq!(told.states[5], "failed");
    assert!(told.message("fusion_sign_in").contains("set its NETOSECRET"));

    let mut rig = Rig::with_pace(settings(), 1).await;
    rig.config.fusion = None;
    let (service, id) = rig.serve_one().await;
    let told = check(&service, &id).await;
    assert_eq!((told.ok, told.states[5].as_str()), (false, "failed"));
    assert!(told.message("fusion_sign_in").contains("NETOSECRET is not set"));
}

#[tokio::test]
async fn a_probe_that_wiz_answers_otherwise_leaves_the_permission_unknown() {
    let rig = rig(settings()).await;
    let (service, id) = rig.serve_one().await;
    let refusal = StatusFault {
        status: 400,
        message: Some("id is malformed".to_owned()),
        ..StatusFault::default()
    };
    rig.simulator
        .inject(Fault::new("wiz.graphql.rerunReport", Effect::Status(refusal)));
    let told = check(&service, &id).await;
    assert_eq!((told.ok, told.states[3].as_str()), (true, "unknown"));
    assert!(told.message("update_reports").contains("id is malformed"));
}

#[tokio::test]
async fn a_neighbour_that_hangs_does_not_hang_a_check() {
    // Of the steps that do not hang, some may still wait for their turn when the time leaps.
    for (operation, steps, states) in [
        (
            "wiz.token",
            0..5,
            &["failed", "unknown", "unknown", "unknown", "unknown"][..],
        ),
        (
            "wiz.graphql",
            0..5,
            &["ok", "failed", "failed", "unknown", "unknown"],
        ),
        ("fusion", 5..6, &["failed"]),
    ] {
        let rig = rig(settings()).await;
        let (service, id) = rig.serve_one().await;
        let hour = Effect::Slow { seconds: 3_600 };
        rig.simulator.inject(Fault::new(operation, hour).times(100));
        let told = check(&service, &id);
        tokio::pin!(told);
        let told = loop {
            tokio::select! {
                told = &mut told => break told,
                () = rig.clock.sleep(Duration::from_millis(300)) => {
                    if rig.simulator.requests(operation) > 0 {
                        rig.clock.advance(Duration::from_secs(20));
                    }
                }
            }
        };
        assert_eq!(told.states[steps], *states, "{operation}: {:#?}", told.messages);
        assert!(told.messages.concat().contains("within 20 seconds"));
        assert!(rig.simulator.reports().is_empty());
    }
}

#[tokio::test]
async fn a_check_of_nothing_is_not_found_and_a_parameter_is_refused() {
    let rig = rig(settings()).await;
    let (service, id) = rig.serve_one().await;
    let path = format!("/api/v1/integrations/context/{id}/check?repair=true");
    let (status, _) = service.call(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let path = "/api/v1/integrations/context/01a20d2a-3996-73a0-af57-c27859874f3e/check";
    let (status, _) = service.call(Method::POST, path, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
