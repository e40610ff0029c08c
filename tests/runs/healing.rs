//! What goes wrong around the ledger, and how it mends: a backup that was restored, another Fusion account.

use std::fs;
use std::num::NonZeroU32;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wiz_context::domain::AllowedHosts;
use wiz_context::fusion::FusionAccount;
use wiz_context::shutdown::Shutdown;
use wiz_context::simulator::{Simulator, SimulatorSettings};

use crate::rig::{Rig, Service, assert_same, ip, labels_by, report, text};

const ONE: (&str, &str, &str, &str) = ("CVE-2024-0001", "vm-1", "10.0.0.1", "High");
const TWO: (&str, &str, &str, &str) = ("CVE-2024-0002", "vm-2", "10.0.0.2", "High");
const LATER: (&str, &str, &str, &str) = ("CVE-2024-0003", "vm-3", "10.0.0.3", "High");
const ONE_WORSE: (&str, &str, &str, &str) = ("CVE-2024-0001", "vm-1", "10.0.0.1", "Critical");

/// A service whose database was restored from a backup that is older than what Fusion holds: since then a value changed, a
/// pair went and others came, and now the report is as it was.
async fn restored(rig: &Rig) -> (Service, String) {
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    service.stop().await;
    let (database, backup) = (rig.folder().join("test.db"), rig.folder().join("backup.db"));
    fs::copy(&database, &backup).unwrap();

    rig.simulator.serve_csv(report(&[ONE_WORSE, LATER]));
    let service = rig.serve().await;
    service.succeed(&id).await;
    rig.assert_in_step();
    service.stop().await;

    for name in ["test.db", "test.db-wal", "test.db-shm"] {
        fs::remove_file(rig.folder().join(name)).ok();
    }
    fs::copy(&backup, &database).unwrap();
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    (rig.serve().await, id)
}

/// What is wanted, with what nobody here knows of.
fn with_unknown(rig: &Rig) -> crate::rig::Labels {
    let mut labels = rig.wanted();
    labels.extend(labels_by(&report(&[LATER])));
    labels
}

async fn verify(service: &Service, id: &str, query: &str) -> Value {
    let path = format!("/api/v1/integrations/context/{id}/verify{query}");
    let (status, answer) = service.call(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    service.end_of(&text(&answer["run"]["id"])).await
}

#[tokio::test]
async fn a_restored_backup_is_made_right_by_a_repair_and_what_it_cannot_know_by_adoption() {
    let rig = Rig::new().await;
    let (service, id) = restored(&rig).await;
    let run = verify(&service, &id, "?repair=true").await;
    assert_eq!(
        (
            &run["state"],
            &run["counts"]["added"],
            &run["counts"]["changed"],
            &run["counts"]["unchanged"]
        ),
        (&json!("succeeded"), &json!(3), &json!(1), &json!(2)),
        "{run:#}"
    );
    assert_eq!(run["warnings"][0]["code"], "labels_unknown");
    assert_same(&rig.simulator.labels(), &with_unknown(&rig));

    let pairs = labels_by(&report(&[LATER])).into_keys();
    let pairs: Value = pairs
        .map(|(ip, context)| json!({"ip": ip, "context": context}))
        .collect();
    let (status, answer) = service
        .call(Method::POST, "/api/v1/labels/adopt", Some(pairs))
        .await;
    assert_eq!((status, &answer["data"]["adopted"]), (StatusCode::OK, &json!(3)));
    service.succeed(&id).await;
    rig.assert_in_step();
}

#[tokio::test]
async fn a_restored_backup_is_made_right_by_a_full_run() {
    let rig = Rig::new().await;
    let (service, id) = restored(&rig).await;
    let run = service.start_run_with(&id, "?full=true").await;
    assert_eq!(service.end_of(&run).await["state"], "succeeded");
    assert_same(&rig.simulator.labels(), &with_unknown(&rig));
}

#[tokio::test]
async fn a_restored_backup_heals_by_itself() {
    let mut rig = Rig::new().await;
    rig.config.full_push_every = NonZeroU32::new(3).unwrap();
    let (service, id) = restored(&rig).await;
    // One success is in the backup.
    service.succeed(&id).await;
    service.succeed(&id).await;
    assert_same(&rig.simulator.labels(), &with_unknown(&rig));
}

#[tokio::test]
async fn another_account_gets_all_labels_and_the_one_before_keeps_its_own() {
    let mut rig = Rig::new().await;
    let tasks = Shutdown::new();
    // Accounts are told apart by host and short name.
    let elsewhere = SimulatorSettings {
        listen: "127.0.0.2:0".parse().unwrap(),
        ..SimulatorSettings::default()
    };
    let other = Simulator::start(elsewhere, rig.clock.clone(), &tasks)
        .await
        .unwrap();
    let hosts = format!("{},{}", rig.simulator.allow_hosts(), other.allow_hosts());
    let hosts: AllowedHosts = hosts.parse().unwrap();
    rig.config.allowed_hosts = hosts.clone();
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    service.stop().await;

    let first = rig
        .config
        .fusion
        .replace(FusionAccount::read(&other.netosecret(), &hosts).unwrap());
    other.plant_label(ip("192.0.2.9"), "cve", &["CVE-1999-0001"]);
    rig.simulator.serve_csv(report(&[ONE_WORSE, LATER]));
    let service = rig.serve().await;
    let path = format!("/api/v1/integrations/context/{id}/labels");
    let (_, labels) = service.call(Method::GET, &path, None).await;
    assert_eq!(labels["meta"]["count"], 0, "the other account holds nothing yet");
    let run = service.succeed(&id).await;
    assert_eq!(
        (&run["counts"]["added"], &run["counts"]["removed"]),
        (&json!(6), &json!(0))
    );
    let mut wanted = rig.wanted();
    wanted.insert(
        (ip("192.0.2.9"), "cve".to_owned()),
        vec!["CVE-1999-0001".to_owned()],
    );
    assert_same(&other.labels(), &wanted);
    assert_same(&rig.simulator.labels(), &labels_by(&report(&[ONE, TWO])));
    service.stop().await;

    // Back again: the ledger of that account is still there.
    rig.config.fusion = first;
    let service = rig.serve().await;
    let run = service.succeed(&id).await;
    assert_eq!(
        (
            &run["counts"]["removed"],
            &run["counts"]["added"],
            &run["counts"]["changed"]
        ),
        (&json!(3), &json!(3), &json!(1)),
        "{run:#}"
    );
    rig.assert_in_step();
    assert_same(&other.labels(), &wanted);
}
