//! Reports, their runs and their files.

use std::io::Read as _;
use std::time::Duration;

use reqwest::{StatusCode, header};
use serde_json::json;

use super::{CSV, World, member};
use crate::simulator::{Column, GeneratorSettings, SimulatorSettings};

#[tokio::test]
async fn a_new_report_runs_by_itself_and_its_file_has_what_was_asked() {
    let world = World::new(SimulatorSettings::default()).await;
    world.simulator.serve_csv(CSV);
    let report = world
        .create("wiz-context/a/b", json!(["IpAddresses", "Name"]), "GZIP")
        .await;
    let run = world.finished_run_of(&report).await;
    assert_eq!(
        (&run["status"], &run["progress"], &run["results"]["count"]),
        (&json!("COMPLETED"), &json!(100), &json!(2))
    );
    let answer = world.client.get(member(&run, "/url")).send().await.unwrap();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/gzip");
    let gzip = answer.bytes().await.unwrap();
    let mut csv = String::new();
    flate2::read::MultiGzDecoder::new(&gzip[..])
        .read_to_string(&mut csv)
        .unwrap();
    let expected = "IpAddresses,Name\n10.0.0.1,CVE-2023-0001\n\"10.0.0.2, 2001:db8::2\",CVE-2023-0003\n";
    assert_eq!(csv, expected);
}

#[tokio::test]
async fn a_generated_report_has_as_many_rows_as_its_run_counts() {
    let world = World::new(SimulatorSettings::default()).await;
    world.simulator.generate(GeneratorSettings {
        findings: 300,
        assets: 20,
        ..GeneratorSettings::default()
    });
    let report = world.create("a", json!(null), "NONE").await;
    let run = world.finished_run_of(&report).await;
    let csv = world
        .client
        .get(member(&run, "/url"))
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let rows = csv::Reader::from_reader(&csv[..]).records().count();
    assert_eq!(run["results"]["count"], json!(rows));
    let full = world.simulator.report_csv();
    assert_eq!(csv::Reader::from_reader(&full[..]).records().count(), 300);
    assert!(rows < 300, "resolved findings are not asked for");
}

#[tokio::test]
async fn a_run_waits_then_grows_then_completes_by_the_clock() {
    let settings = SimulatorSettings {
        report_duration: Duration::from_secs(100),
        ..SimulatorSettings::default()
    };
    let world = World::new(settings).await;
    let report = world.create("a", json!(null), "NONE").await;
    let run = world.runs(&report).await.remove(0);
    let token = world.wiz_token().await;
    let query = "query($id: ID!) { reportRun(id: $id) { status progress url results { __typename } } }";
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = world
            .send_graphql(&token, query, json!({"id": run}))
            .await
            .unwrap();
        let mut answer = super::body(answer).await;
        let run = answer["data"]["reportRun"].take();
        seen.push((
            member(&run, "/status"),
            run["progress"].as_u64().unwrap(),
            run["url"].is_string(),
        ));
        world.clock.advance(Duration::from_secs(50));
    }
    assert_eq!(seen[0], ("QUEUED".to_owned(), 0, false));
    assert!(
        seen[1].0 == "IN_PROGRESS" && (50..60).contains(&seen[1].1) && !seen[1].2,
        "{seen:?}"
    );
    assert_eq!(seen[2], ("COMPLETED".to_owned(), 100, true));
}

#[tokio::test]
async fn after_a_rerun_the_report_names_its_previous_run_for_a_while() {
    let settings = SimulatorSettings {
        stale_last_run_reads: 2,
        ..SimulatorSettings::default()
    };
    let world = World::new(settings).await;
    let report = world.create("a", json!(null), "NONE").await;
    let first = member(&world.finished_run_of(&report).await, "/id");
    assert_eq!(world.rerun(&report).await, json!(first), "the payload is old too");
    let runs = world.runs(&report).await;
    assert_eq!((runs.len(), &runs[1]), (2, &first), "the list of runs is fresh");
    let query = "query($id: ID!) { report(id: $id) { lastRun { id } } }";
    let mut named = Vec::new();
    for _ in 0..3 {
        named.push(member(
            &world.data(query, json!({"id": report})).await,
            "/report/lastRun/id",
        ));
    }
    assert_eq!(named, [first.clone(), first, runs[0].clone()]);
}

#[tokio::test]
async fn reports_are_found_by_a_part_of_their_name_and_a_second_namesake_is_noted() {
    let world = World::new(SimulatorSettings::default()).await;
    for name in ["wiz-context/a/prod", "wiz-context/a/prod-2", "other"] {
        world.create(name, json!(null), "NONE").await;
    }
    let query = "query($filter: ReportFilters) { reports(first: 1, filterBy: $filter) {
        nodes { name type { id } } totalCount pageInfo { hasNextPage endCursor } edges { cursor node { name } }
    } }";
    let filter = json!({"filter": {"search": "a/PROD", "type": ["VULNERABILITIES"], "projectId": "*"}});
    let reports = world.data(query, filter).await["reports"].take();
    assert_eq!(
        (&reports["totalCount"], &reports["pageInfo"]["hasNextPage"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(
        reports["nodes"][0],
        json!({"name": "wiz-context/a/prod", "type": {"id": "VULNERABILITIES"}})
    );
    assert!(world.simulator.violations().is_empty());
    world.create("other", json!(null), "NONE").await;
    assert_eq!(
        world.simulator.violations(),
        ["a second report is called `other`"]
    );
}

#[tokio::test]
async fn what_cannot_be_asked_of_a_report_is_refused() {
    let settings = SimulatorSettings {
        refused_columns: vec![Column::NvdScore],
        ..SimulatorSettings::default()
    };
    let world = World::new(settings).await;
    let query = "mutation($input: CreateReportInput!) { createReport(input: $input) { report { id } } }";
    for (member, value) in [
        ("columnSelection", json!(["Name", "NoSuchColumn"])),
        ("columnSelection", json!(["NVDScore"])),
        ("type", json!("ISSUES")),
        ("format", json!("PDF")),
        ("csvDelimiter", json!("EU")),
        ("name", json!(" ")),
    ] {
        let mut input = json!({"name": "a", "type": "VULNERABILITIES"});
        input[member] = value;
        let (status, answer) = world.graphql(query, json!({"input": input})).await;
        assert_eq!(
            (status, &answer["errors"][0]["extensions"]["code"]),
            (400, &json!("BAD_USER_INPUT")),
            "{input}"
        );
    }
    let settings = SimulatorSettings {
        refuse_selection: true,
        ..SimulatorSettings::default()
    };
    let world = World::new(settings).await;
    let input = json!({"name": "a", "type": "VULNERABILITIES", "columnSelection": ["Name"]});
    assert_eq!(world.graphql(query, json!({"input": input})).await.0, 400);
    assert!(world.simulator.reports().is_empty());
}

#[tokio::test]
async fn an_update_holds_from_the_next_run_on_and_a_deleted_report_is_gone() {
    let mut settings = SimulatorSettings::default();
    settings.scopes.insert("delete:reports".to_owned());
    let world = World::new(settings).await;
    world.simulator.serve_csv(CSV);
    let report = world.create("a", json!(["Name"]), "NONE").await;
    let update = "mutation($input: UpdateReportInput!) {
        updateReport(input: $input) { report { name columnSelection compressionMethod } }
    }";
    let change = json!({"id": report, "override": {"name": "b", "columnSelection": ["AssetID"]}});
    let updated = world.data(update, json!({"input": change})).await;
    let expected = json!({"name": "b", "columnSelection": ["AssetID"], "compressionMethod": "NONE"});
    assert_eq!(updated["updateReport"]["report"], expected);
    for (turn, header) in [(0, "Name\n"), (1, "AssetID\n")] {
        if turn == 1 {
            world.rerun(&report).await;
        }
        let url = member(&world.finished_run_of(&report).await, "/url");
        let csv = world.client.get(url).send().await.unwrap().text().await.unwrap();
        assert!(csv.starts_with(header), "{csv}");
    }
    let delete = "mutation($id: ID!) { deleteReport(input: {id: $id}) { _stub } }";
    world.data(delete, json!({"id": report})).await;
    assert_eq!(world.graphql(delete, json!({"id": report})).await.0, 404);
}

#[tokio::test]
async fn a_run_can_be_cancelled_and_old_runs_lose_their_files() {
    let world = World::new(SimulatorSettings::default()).await;
    let report = world.create("a", json!(null), "NONE").await;
    let oldest = member(&world.finished_run_of(&report).await, "/id");
    for _ in 0..3 {
        world.rerun(&report).await;
        world.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(world.finished(&oldest).await["status"], "EXPIRED");
    world.rerun(&report).await;
    let newest = world.runs(&report).await.remove(0);
    let cancel = "mutation($id: ID!) { cancelReportRun(id: $id) { status failedReason } }";
    let cancelled = world.data(cancel, json!({"id": newest})).await["cancelReportRun"].take();
    assert_eq!(
        cancelled,
        json!({"status": "FAILED", "failedReason": "the run was cancelled"})
    );
}

#[tokio::test]
async fn a_file_wants_its_signature_and_no_bearer_and_its_address_expires() {
    let settings = SimulatorSettings {
        url_life: Duration::from_mins(5),
        ..SimulatorSettings::default()
    };
    let world = World::new(settings).await;
    let report = world.create("a", json!(null), "NONE").await;
    let run = world.finished_run_of(&report).await;
    let url = member(&run, "/url");
    let status = async |url: &str| world.client.get(url).send().await.unwrap().status();
    assert_eq!(status(&url).await, StatusCode::OK);
    assert_eq!(
        status(url.split('?').next().unwrap()).await,
        StatusCode::FORBIDDEN
    );
    let with_bearer = world.client.get(&url).bearer_auth("x").send().await.unwrap();
    assert_eq!(with_bearer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        world.simulator.violations(),
        ["a bearer token was sent to the report file"]
    );
    world.clock.advance(Duration::from_mins(5));
    assert_eq!(status(&url).await, StatusCode::FORBIDDEN);
    let fresh = member(&world.finished(&member(&run, "/id")).await, "/url");
    assert_eq!(status(&fresh).await, StatusCode::OK);
    let given = world.simulator.secrets_given();
    assert!(given.iter().any(|secret| fresh.ends_with(secret.as_str())));
}

#[tokio::test]
async fn a_part_of_a_file_can_be_had() {
    let world = World::new(SimulatorSettings::default()).await;
    world.simulator.serve_verbatim(b"0123456789".to_vec(), Some(7));
    let report = world.create("a", json!(null), "NONE").await;
    let run = world.finished_run_of(&report).await;
    assert_eq!(run["results"]["count"], 7);
    let url = member(&run, "/url");
    let whole = world.client.get(&url).send().await.unwrap();
    let etag = whole.headers()[header::ETAG].clone();
    assert_eq!(whole.headers()[header::CONTENT_LENGTH], "10");
    for (range, if_range, status, content_range, text) in [
        (
            "bytes=4-",
            Some(etag.to_str().unwrap()),
            206,
            Some("bytes 4-9/10"),
            "456789",
        ),
        ("bytes=4-5", None, 206, Some("bytes 4-5/10"), "45"),
        ("bytes=4-99", None, 206, Some("bytes 4-9/10"), "456789"),
        ("bytes=4-", Some("\"another\""), 200, None, "0123456789"),
        ("bytes=1-2,4-5", None, 200, None, "0123456789"),
        ("bytes=10-", None, 416, Some("bytes */10"), "InvalidRange"),
    ] {
        let mut request = world.client.get(&url).header(header::RANGE, range);
        if let Some(etag) = if_range {
            request = request.header(header::IF_RANGE, etag);
        }
        let answer = request.send().await.unwrap();
        let named = answer
            .headers()
            .get(header::CONTENT_RANGE)
            .map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(
            (answer.status().as_u16(), named.as_deref()),
            (status, content_range),
            "{range}"
        );
        assert_eq!(answer.text().await.unwrap(), text, "{range}");
    }
}
