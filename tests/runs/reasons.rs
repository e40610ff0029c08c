//! Why an address carries its labels.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Fault};

use crate::rig::{Rig, Service, report, text};

const ONE: (&str, &str, &str, &str) = ("CVE-2024-0001", "vm-1", "10.0.0.1", "High");
const TWO: (&str, &str, &str, &str) = ("CVE-2024-0002", "vm-2", "10.0.0.1", "Critical");
const SIX: (&str, &str, &str, &str) = ("CVE-2024-0006", "vm-6", "2001:db8::6", "High");
const LONE: (&str, &str, &str, &str) = ("CVE-2024-0009", "vm-9", "10.0.0.9", "High");

async fn answer(service: &Service, id: &str, ip: &str) -> (StatusCode, Value) {
    let path = format!("/api/v1/integrations/context/{id}/addresses/{ip}");
    service.call(Method::GET, &path, None).await
}

async fn why(service: &Service, id: &str, ip: &str) -> Value {
    let (status, answer) = answer(service, id, ip).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["data"].clone()
}

fn pair<'a>(why: &'a Value, context: &str) -> &'a Value {
    let mut pairs = why["labels"].as_array().unwrap().iter();
    pairs.find(|pair| pair["context"] == context).unwrap()
}

#[tokio::test]
async fn an_address_tells_its_labels_their_assets_and_the_run_that_changed_them_last() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator.serve_csv(report(&[ONE, SIX]));
    let first = service.succeed(&one).await;
    rig.simulator.serve_csv(report(&[TWO]));
    let second = service.succeed(&two).await;

    let why_one = why(&service, &one, "10.0.0.1").await;
    let cve = pair(&why_one, "cve");
    assert_eq!(
        (&cve["state"], &cve["labels"], &cve["wanted"]),
        (
            &json!("right"),
            &json!(["CVE-2024-0001", "CVE-2024-0002"]),
            &json!(["CVE-2024-0001", "CVE-2024-0002"])
        )
    );
    assert_eq!(
        (&cve["changed_by"], &cve["run"], &cve["held_by"]),
        (&second["id"], &second["id"], &Value::Null)
    );
    assert!(cve["acknowledged_at"].is_string() && cve["changed_at"].is_string());
    let assets = why_one["assets"].as_array().unwrap();
    let names: Vec<_> = assets
        .iter()
        .map(|asset| (&asset["key"], &asset["integration_name"], &asset["own"]))
        .collect();
    assert_eq!(
        names,
        [
            (&json!("vm-1"), &json!("one"), &json!(true)),
            (&json!("vm-2"), &json!("two"), &json!(false))
        ]
    );
    assert_eq!(
        assets[1]["cves"],
        json!([{"id": "CVE-2024-0002", "kev": false, "exploit": false, "score": null, "rating": "critical"}])
    );
    let made = &first["certificate"]["report_run_at"];
    assert_eq!(
        (
            &assets[0]["first_seen_at"],
            &assets[0]["last_seen_at"],
            &assets[0]["superseded_by"]
        ),
        (made, made, &Value::Null)
    );
    assert_eq!(why(&service, &two, "10.0.0.1").await["assets"][0]["key"], "vm-2");

    // However the address is written.
    for ip in ["::ffff:10.0.0.1", "%3A%3Affff%3A10.0.0.1", "10.0.0.1%2F32"] {
        assert_eq!(why(&service, &one, ip).await, why_one, "{ip}");
    }
    for ip in ["2001:DB8:0:0::6", "2001%3Adb8%3A%3A6%25eth0"] {
        assert_eq!(why(&service, &one, ip).await["ip"], "2001:db8::6");
    }

    // The other one's newer report takes the asset over; it is still there since the first.
    rig.clock.advance(Duration::from_hours(1));
    rig.simulator.serve_csv(report(&[ONE, TWO]));
    let third = service.succeed(&two).await;
    let seen = why(&service, &one, "10.0.0.1").await;
    assert_eq!(seen["assets"][0]["superseded_by"], json!(two));
    assert_eq!(
        pair(&seen, "vuln_count")["wanted"],
        json!(["2"]),
        "it counts once"
    );
    assert_eq!(pair(&seen, "vuln_count")["changed_by"], second["id"]);
    let again = &seen["assets"][2];
    assert_eq!(
        (&again["key"], &again["first_seen_at"], &again["last_seen_at"]),
        (
            &json!("vm-2"),
            &second["certificate"]["report_run_at"],
            &third["certificate"]["report_run_at"]
        )
    );
}

#[tokio::test]
async fn an_address_without_anything_is_an_answer_and_a_wrong_one_says_why() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    assert_eq!(
        why(&service, &id, "192.0.2.1").await,
        json!({"ip": "192.0.2.1", "labels": [], "assets_total": 0, "assets": []})
    );
    for (ip, why) in [
        ("10.0.0", "not an IP address"),
        ("10.0.0.0%2F8", "not an IP address"),
        ("127.0.0.1", "a loopback address"),
    ] {
        let (status, answer) = answer(&service, &id, ip).await;
        assert_eq!(
            (status, &answer["errors"][0]["pointer"]),
            (StatusCode::BAD_REQUEST, &json!("{ip}")),
            "{ip}: {answer}"
        );
        assert!(text(&answer["detail"]).contains(why), "{answer}");
    }
    let (status, _) = answer(&service, "019aba55-36e4-7a53-a53a-51f2f1a42a4b", "10.0.0.1").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_still_to_be_done_shows() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(report(&[ONE, LONE]));
    let (service, id) = rig.serve_one().await;
    let first = service.succeed(&id).await;
    rig.simulator.serve_csv(report(&[TWO]));
    rig.simulator
        .inject(Fault::new("fusion.delete", Effect::status(403)).times(9));
    rig.simulator
        .inject(Fault::new("fusion.put", Effect::status(403)).times(9));
    let failed = service.run(&id).await;
    assert_eq!(failed["state"], "failed", "{failed:#}");

    let one = why(&service, &id, "10.0.0.1").await;
    let rating = pair(&one, "cvss_rating");
    assert_eq!(
        (&rating["labels"], &rating["wanted"], &rating["changed_by"]),
        (&json!(["high"]), &json!(["critical"]), &first["id"])
    );
    assert_eq!(pair(&one, "vuln_count")["state"], "right");
    let gone = why(&service, &id, "10.0.0.9").await;
    assert_eq!(
        (&gone["assets_total"], &pair(&gone, "cve")["wanted"]),
        (&json!(0), &Value::Null)
    );

    rig.simulator.clear_faults();
    rig.simulator.serve_csv(report(&[]));
    let held = service.run(&id).await;
    assert_eq!(held["state"], "held", "{held:#}");
    let one = why(&service, &id, "10.0.0.1").await;
    // The facts stay in force, so the labels are wanted still; a mark shows what waits.
    assert_eq!(pair(&one, "vuln_count")["held_by"], held["id"]);
}
