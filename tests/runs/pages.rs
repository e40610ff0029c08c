//! Lists of pairs, page by page, while runs change what they list.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::holds::assets;
use crate::rig::{Rig, Service, report, text};

/// One page: its pairs, and the cursor of the next.
async fn page(
    service: &Service,
    path: &str,
    limit: u32,
    cursor: Option<&str>,
) -> (Vec<String>, Option<String>) {
    let cursor = cursor
        .map(|cursor| format!("&cursor={cursor}"))
        .unwrap_or_default();
    let path = format!("{path}?limit={limit}{cursor}");
    let (status, answer) = service.call(Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let pair = |record: &Value| format!("{} {}", text(&record["ip"]), text(&record["context"]));
    let pairs = answer["data"].as_array().unwrap().iter().map(pair).collect();
    (pairs, answer["meta"]["next"].as_str().map(str::to_owned))
}

/// Reads a list to its end, from this page on.
async fn rest(service: &Service, path: &str, mut cursor: Option<String>, seen: &mut Vec<String>) {
    while let Some(at) = cursor {
        let (pairs, next) = page(service, path, 7, Some(&at)).await;
        seen.extend(pairs);
        cursor = next;
    }
}

fn are_different(seen: &[String]) {
    let different: BTreeSet<_> = seen.iter().collect();
    assert_eq!(different.len(), seen.len(), "{seen:?}");
}

#[tokio::test]
async fn labels_may_come_and_go_between_two_pages() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(10, 40));
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let path = format!("/api/v1/integrations/context/{id}/labels");
    let (mut seen, next) = page(&service, &path, 7, None).await;
    assert_eq!(seen.last().unwrap(), "10.0.0.12 cve");
    let stayed: Vec<_> = page(&service, &path, 1000, None).await.0;

    // The address that the page ended at goes, as does the last; others come before it, and among those to come.
    let numbers = [1, 2, 10, 11].into_iter().chain(13..39);
    let mut rows: Vec<_> = numbers
        .map(|number| (format!("vm-{number}"), format!("10.0.0.{number}")))
        .collect();
    rows.push(("vm-new".to_owned(), "10.0.0.200".to_owned()));
    let rows: Vec<_> = rows
        .iter()
        .map(|(asset, ip)| ("CVE-2024-0001", asset.as_str(), ip.as_str(), "High"))
        .collect();
    rig.simulator.serve_csv(report(&rows));
    service.succeed(&id).await;

    rest(&service, &path, next, &mut seen).await;
    are_different(&seen);
    let now = page(&service, &path, 1000, None).await.0;
    let stayed: Vec<_> = stayed.iter().filter(|pair| now.contains(pair)).collect();
    assert_eq!(stayed.len(), 28 * 3);
    let listed: Vec<_> = seen.iter().filter(|pair| stayed.contains(pair)).collect();
    assert_eq!(listed, stayed);
    assert!(
        seen.contains(&"10.0.0.200 cve".to_owned()),
        "what came later is shown"
    );
    service.stop().await;
}

#[tokio::test]
async fn the_pages_of_a_plan_stay_together_while_other_runs_make_theirs() {
    let rig = Rig::new().await;
    rig.simulator.serve_csv(assets(0, 20));
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    let first = service.succeed(&one).await;
    let path = format!("/api/v1/runs/{}/plan", text(&first["id"]));
    let whole = page(&service, &path, 1000, None).await.0;
    assert_eq!(whole.len(), 60);
    let (mut seen, next) = page(&service, &path, 7, None).await;

    rig.simulator.serve_csv(assets(5, 30));
    let other = service.succeed(&two).await;
    rest(&service, &path, next.clone(), &mut seen).await;
    assert_eq!(seen, whole);

    // The same place of another plan, and of the labels, is another one.
    let cursor = next.unwrap();
    let labels = format!("/api/v1/integrations/context/{one}/labels");
    let plan = format!("/api/v1/runs/{}/plan", text(&other["id"]));
    for path in [labels, plan] {
        let path = format!("{path}?cursor={cursor}");
        let (status, answer) = service.call(Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(answer["errors"][0]["pointer"], "?cursor");
    }
    service.stop().await;
}
