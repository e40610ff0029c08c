//! The ledger compared with what Fusion really holds.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Fault};

use crate::rig::{Rig, Service, assert_same, ip, labels_by, report, text};

const ONE: (&str, &str, &str, &str) = ("CVE-2024-0001", "vm-1", "10.0.0.1", "High");
const TWO: (&str, &str, &str, &str) = ("CVE-2024-0002", "vm-2", "10.0.0.2", "High");

async fn start(service: &Service, id: &str, query: &str) -> String {
    let path = format!("/api/v1/integrations/context/{id}/verify{query}");
    let (status, answer) = service.call(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(answer["run"]["trigger"], "verify");
    text(&answer["run"]["id"])
}

async fn verify(service: &Service, id: &str, query: &str) -> Value {
    let run = start(service, id, query).await;
    let run = service.end_of(&run).await;
    assert_eq!(run["state"], "succeeded", "{run:#}");
    run
}

async fn plan(service: &Service, run: &Value) -> Vec<Value> {
    let path = format!("/api/v1/runs/{}/plan?limit=1000", text(&run["id"]));
    let (status, plan) = service.call(Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{plan}");
    plan["data"].as_array().unwrap().clone()
}

fn counts(run: &Value) -> [u64; 5] {
    ["added", "changed", "removed", "held", "unchanged"].map(|name| run["counts"][name].as_u64().unwrap())
}

fn codes(run: &Value) -> Vec<&str> {
    let warnings = run["warnings"].as_array().unwrap().iter();
    warnings.filter_map(|warning| warning["code"].as_str()).collect()
}

/// Assets with an address of their own each, 256 a network.
fn many(count: u32) -> Vec<u8> {
    let rows: Vec<_> = (0..count)
        .map(|number| {
            (
                format!("vm-{number}"),
                format!("10.1.{}.{}", number / 256, number % 256),
            )
        })
        .collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|(asset, ip)| ("CVE-2024-0001", asset.as_str(), ip.as_str(), "High"))
        .collect();
    report(&rows)
}

#[tokio::test]
async fn nothing_differs_after_a_run() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let written = rig.simulator.labels_put();
    let run = verify(&service, &id, "?repair=true").await;
    assert_eq!((counts(&run), codes(&run)), ([0, 0, 0, 0, 6], vec![]), "{run:#}");
    assert_eq!(run["counts"]["addresses"], 2);
    assert!(plan(&service, &run).await.is_empty());
    assert_eq!(rig.simulator.labels_put(), written);
}

#[tokio::test]
async fn what_others_changed_is_found_and_the_next_run_makes_it_right() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.plant_label(ip("10.0.0.1"), "cvss_rating", &["low"]);
    rig.simulator.remove_label(ip("10.0.0.2"), "cve");
    rig.simulator
        .plant_label(ip("192.0.2.9"), "cve", &["CVE-1999-0001"]);
    rig.simulator.plant_label(ip("10.0.0.1"), "cvss_score", &["1.0"]);
    let before = rig.simulator.labels();

    let run = verify(&service, &id, "").await;
    assert_eq!(counts(&run), [1, 1, 0, 0, 4], "{run:#}");
    assert_eq!(
        (&run["dry_run"], &run["phase"], codes(&run)),
        (
            &json!(true),
            &json!("planning"),
            vec!["labels_differ", "labels_unknown"]
        )
    );
    assert!(
        text(&run["warnings"][1]["message"]).contains("2 pairs"),
        "{run:#}"
    );
    assert_eq!(
        plan(&service, &run).await,
        [
            json!({"ip": "10.0.0.1", "context": "cvss_rating", "change": "change", "before": ["low"], "after": ["high"]}),
            json!({"ip": "10.0.0.2", "context": "cve", "change": "add", "before": null, "after": ["CVE-2024-0002"]}),
        ]
    );
    assert_eq!(rig.simulator.labels(), before, "Fusion is left as it is");

    let run = service.succeed(&id).await;
    assert_eq!(run["counts"]["changed"], 2, "{run:#}");
    let mut wanted = rig.wanted();
    wanted.insert((ip("10.0.0.1"), "cvss_score".to_owned()), vec!["1.0".to_owned()]);
    wanted.insert(
        (ip("192.0.2.9"), "cve".to_owned()),
        vec!["CVE-1999-0001".to_owned()],
    );
    assert_same(&rig.simulator.labels(), &wanted);
    assert_eq!(rig.simulator.violations(), [""; 0]);
}

#[tokio::test]
async fn a_repair_writes_right_what_differs() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let (service, id) = rig.serve_one().await;
    let first = service.succeed(&id).await;
    rig.simulator.plant_label(ip("10.0.0.1"), "cvss_rating", &["low"]);
    rig.simulator.remove_label(ip("10.0.0.2"), "cve");
    let written = rig.simulator.labels_put();
    let run = verify(&service, &id, "?repair=true").await;
    assert_eq!(counts(&run), [1, 1, 0, 0, 4], "{run:#}");
    assert_eq!((&run["phase"], codes(&run)), (&json!("pushing"), vec![]));
    assert_eq!(rig.simulator.labels_put(), written + 2, "no more than that");
    rig.assert_in_step();
    let status = service.status_of(&id).await;
    assert_eq!(
        (&status["last_success"]["id"], &status["last_run"]["id"]),
        (&first["id"], &run["id"]),
        "no report was read"
    );
}

#[tokio::test]
async fn more_than_one_answer_carries_is_read_address_by_address() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(many(1_100));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.plant_label(ip("10.1.0.7"), "vuln_count", &["99"]);
    rig.simulator.remove_label(ip("10.1.4.70"), "cve");
    // The connection breaks where it has read a good part: it goes on from there.
    rig.simulator
        .inject(Fault::new("fusion.get", Effect::status(503)).after(800).times(12));
    let run = verify(&service, &id, "?repair=true").await;
    assert_eq!(counts(&run), [1, 1, 0, 0, 3_298], "{run:#}");
    assert_eq!(run["counts"]["addresses"], 1_100);
    assert!(run["attempts"].as_u64() > Some(1), "{run:#}");
    assert!(
        rig.simulator.requests("fusion.get") < 1_800,
        "not from the beginning"
    );
    rig.assert_in_step();
}

#[tokio::test]
async fn a_held_pair_stays_held() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(many(50));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(many(20));
    let held = service.run(&id).await;
    assert_eq!(held["state"], "held", "{held:#}");
    rig.simulator.remove_label(ip("10.1.0.40"), "cve");
    rig.simulator.remove_label(ip("10.1.0.1"), "cve");

    let run = verify(&service, &id, "?repair=true").await;
    assert_eq!(counts(&run), [1, 0, 0, 1, 148], "{run:#}");
    let mut expected = labels_by(&many(50));
    expected.remove(&(ip("10.1.0.40"), "cve".to_owned()));
    assert_same(&rig.simulator.labels(), &expected);
    assert_eq!(service.status_of(&id).await["held"], 90);

    // It comes back, and is not taken for there.
    rig.simulator.serve_csv(many(50));
    service.succeed(&id).await;
    rig.assert_in_step();
}

#[tokio::test]
async fn what_a_lost_answer_left_behind_is_found() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(report(&[ONE]));
    rig.simulator
        .inject(Fault::new("fusion.delete", Effect::Cut).times(1000));
    assert_eq!(service.run(&id).await["state"], "failed");
    rig.simulator.clear_faults();
    let run = verify(&service, &id, "").await;
    assert_eq!(counts(&run), [0, 0, 3, 0, 3], "{run:#}");
    verify(&service, &id, "?repair=true").await;
    rig.assert_in_step();
}

#[tokio::test]
async fn each_integration_verifies_its_own_addresses() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator.serve_csv(report(&[ONE]));
    service.succeed(&one).await;
    rig.simulator.serve_csv(report(&[TWO]));
    service.succeed(&two).await;
    rig.simulator.remove_label(ip("10.0.0.2"), "cve");
    rig.simulator.plant_label(ip("10.0.0.2"), "cvss_score", &["1.0"]);
    let run = verify(&service, &one, "").await;
    assert_eq!((counts(&run), codes(&run)), ([0, 0, 0, 0, 3], vec![]), "{run:#}");
    assert_eq!(counts(&verify(&service, &two, "").await), [1, 0, 0, 0, 2]);
}

#[tokio::test]
async fn a_verification_joins_its_like_only_and_its_plan_stands_beside_the_others() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[ONE]));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let path = format!("/api/v1/integrations/context/{id}/run");
    let (_, dry) = service.call(Method::GET, &path, None).await;
    let dry = service.end_of(&text(&dry["run"]["id"])).await;

    rig.simulator
        .inject(Fault::new("fusion.get", Effect::Slow { seconds: 100 }));
    let first = start(&service, &id, "").await;
    assert_eq!(start(&service, &id, "?repair=true").await, first);
    let (status, answer) = service.call(Method::PUT, &path, None).await;
    assert_eq!(
        (status, &answer["name"]),
        (StatusCode::CONFLICT, &json!("run_under_way"))
    );
    let run = service.end_of(&first).await;
    assert_eq!(
        (&run["state"], &run["dry_run"], &run["phase"]),
        (&json!("succeeded"), &json!(false), &json!("pushing")),
        "{run:#}"
    );
    assert_eq!(plan(&service, &run).await.len(), 0);
    plan(&service, &dry).await;
    let again = verify(&service, &id, "").await;
    plan(&service, &again).await;
    let (status, answer) = service.call(Method::GET, &path, None).await;
    assert_eq!(
        (status, &answer["run"]["id"]),
        (StatusCode::OK, &dry["id"]),
        "the dry run answers"
    );
}

#[tokio::test]
async fn without_an_account_there_is_nothing_to_compare_with() {
    let mut rig = Rig::new().await;
    rig.config.fusion = None;
    let (service, id) = rig.serve_one().await;
    let run = start(&service, &id, "").await;
    let run = service.end_of(&run).await;
    assert_eq!(
        (&run["state"], &run["failure"]["kind"]),
        (&json!("failed"), &json!("credentials")),
        "{run:#}"
    );
    assert!(text(&run["failure"]["message"]).contains("NETOSECRET"));
}
