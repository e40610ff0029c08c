//! Plans that can be read: what they tell, and how long they are kept.

use crate::rig::{Rig, assert_same, labels_by, report, text};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::holds::{assets, plan};

#[tokio::test]
async fn a_dry_run_tells_what_would_be_kept_back_and_keeps_nothing() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 50));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.serve_csv(assets(0, 0));
    let path = format!("/api/v1/integrations/context/{id}/run");
    let (_, answer) = service.call(Method::GET, &path, None).await;
    let run = service.end_of(&text(&answer["run"]["id"])).await;
    assert_eq!(
        (&run["state"], &run["counts"]["held"]),
        (&json!("succeeded"), &json!(150)),
        "{run:#}"
    );
    assert_eq!(plan(&service, &run).await["data"][0]["change"], "hold");
    assert_eq!(service.status_of(&id).await["held"], 0);
    assert_eq!(service.approve(&run).await.1["name"], "plan_replaced");
    assert_same(&rig.simulator.labels(), &labels_by(&assets(0, 50)));
}

#[tokio::test]
async fn plans_are_kept_for_the_newest_run_of_each_kind() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 3));
    let (service, id) = rig.serve_one().await;
    let first = service.succeed(&id).await;
    assert_eq!(plan(&service, &first).await["totals"]["added"], 9);
    rig.simulator.serve_csv(assets(1, 3));
    let second = service.succeed(&id).await;
    let steps = plan(&service, &second).await["data"].clone();
    let changes: Vec<_> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["change"])
        .collect();
    assert_eq!(changes, ["remove", "remove", "remove"]);
    let path = format!("/api/v1/runs/{}/plan", text(&first["id"]));
    let (code, answer) = service.call(Method::GET, &path, None).await;
    assert_eq!((code, &answer["name"]), (StatusCode::GONE, &json!("gone")));
}

#[tokio::test]
async fn the_plan_of_a_report_without_findings_tells_what_its_totals_tell() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    rig.simulator
        .serve_csv(report(&[("CVE-2024-0001", "vm-1", "10.0.0.1", "High")]));
    service.succeed(&one).await;
    rig.simulator
        .serve_csv(report(&[("CVE-2024-0002", "vm-2", "10.0.0.1", "High")]));
    service.succeed(&two).await;
    rig.simulator.serve_csv(assets(0, 0));
    let run = service.run(&one).await;
    assert_eq!(run["state"], "held", "{run:#}");
    let plan = plan(&service, &run).await;
    let steps = plan["data"].as_array().unwrap();
    let changes = steps.iter().filter(|step| step["change"] == "change").count();
    assert_eq!(json!(changes), plan["totals"]["changed"], "{plan:#}");
}

#[tokio::test]
async fn a_plan_is_read_page_by_page_by_programs_and_by_people() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 50));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    // 20 assets are gone, which is held; two are new, and one is worse than it was.
    let addresses: Vec<_> = (20..52)
        .map(|number| (number, format!("vm-{number}"), format!("10.0.0.{number}")))
        .collect();
    let rows: Vec<_> = addresses
        .iter()
        .map(|(number, asset, ip)| {
            let severity = if *number == 30 { "Critical" } else { "High" };
            ("CVE-2024-0001", asset.as_str(), ip.as_str(), severity)
        })
        .collect();
    rig.simulator.serve_csv(report(&rows));
    let run = service.run(&id).await;
    let whole = plan(&service, &run).await;

    let path = format!("/api/v1/runs/{}/plan?limit=7", text(&run["id"]));
    let (mut steps, mut lines, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = format!("{path}{cursor}");
        let (status, answer) = service.call(Method::GET, &page, None).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        steps.extend(answer["data"].as_array().unwrap().clone());
        let read = service.open(&page, &[("accept", "text/plain")]).await;
        let read = read.text().await.unwrap();
        let mut read = read.lines().skip(1);
        assert_eq!(
            read.next(),
            Some("6 to add, 1 to change, 0 to remove, 60 held, 89 unchanged")
        );
        let next = answer["meta"]["next"].as_str();
        let more = next.map(|next| format!("... more with ?cursor={next}"));
        let mut page: Vec<_> = read.map(str::to_owned).collect();
        if more.is_some() {
            assert_eq!(page.pop(), more);
        }
        lines.append(&mut page);
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(json!(steps), whole["data"]);
    assert_eq!(lines.len(), steps.len());
    for line in [
        "! 10.0.0.0 vuln_count: 1",
        "~ 10.0.0.30 cvss_rating: high -> critical",
        "+ 10.0.0.50 cve: CVE-2024-0001",
    ] {
        assert!(lines.iter().any(|read| read == line), "{line} of {lines:#?}");
    }
}
