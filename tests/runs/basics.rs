//! What runs are for: labels that follow the report.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::rig::{Rig, assert_same, generator, ip, report};

#[tokio::test]
async fn create_and_run_makes_fusion_hold_what_the_report_says() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let (status, answer) = service
        .call(
            Method::POST,
            "/api/v1/integrations/context?run=true",
            Some(rig.integration("wiz1")),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let run = service.end_of(answer["run"]["id"].as_str().unwrap()).await;
    assert_eq!(
        (&run["state"], &run["trigger"]),
        (&json!("succeeded"), &json!("create")),
        "{run:#}"
    );
    rig.assert_in_step();

    let wanted = rig.wanted();
    assert_eq!(run["counts"]["added"], wanted.len());
    assert_eq!(run["certificate"]["verdict"], "complete", "{run:#}");
    let certificate = &run["certificate"];
    assert_eq!(certificate["rows_expected"], certificate["rows_parsed"]);
    assert_eq!(certificate["statuses"], json!(["OPEN", "IN_PROGRESS"]));
    // Those that the rules read, and no other: the file's header, as it came.
    let columns = "Name,FindingStatus,CVSSSeverity,Score,Severity,VendorSeverity,NvdSeverity,HasExploit,HasCisaKevExploit,\
                   AssetID,AssetName,ProviderUniqueId,IpAddresses,NVDScore,VendorScore";
    let columns: Vec<_> = columns.split(',').collect();
    assert_eq!(certificate["columns"], json!(columns));
    assert_eq!(
        certificate["asset_types"],
        json!(["NETWORK_ADDRESS", "VIRTUAL_MACHINE"])
    );
    assert_eq!(
        (&certificate["skipped"], &certificate["row_count_rule"]),
        (&run["skipped"], &json!("strict"))
    );
    assert_eq!(
        certificate["proofs"],
        json!([
            "announced_length",
            "gzip_trailer",
            "closed_rows",
            "needed_columns",
            "row_count"
        ])
    );
    let reports = rig.simulator.reports();
    assert_eq!((reports.len(), reports[0].runs.len()), (1, 1));
    assert_eq!(reports[0].name, "wiz-context/test/wiz1");
    assert_eq!(run["certificate"]["report_run_id"], json!(reports[0].runs[0].id));

    let (_, audit) = service.call(Method::GET, "/api/v1/audit", None).await;
    let told: Vec<_> = audit["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| (&record["action"], &record["user"]))
        .collect();
    let admin = |action: &str| (json!(action), json!("admin"));
    let wanted_audit = [admin("run_end"), admin("run_start"), admin("create")];
    assert_eq!(
        told,
        wanted_audit
            .iter()
            .map(|(action, user)| (action, user))
            .collect::<Vec<_>>()
    );

    let id = answer["data"][0]["id"].as_str().unwrap();
    let status = service.status_of(id).await;
    assert_eq!(status["pairs"], wanted.len());
    assert_eq!(
        (&status["state"], &status["last_success"]["id"]),
        (&json!("idle"), &run["id"])
    );
    service.stop().await;
}

#[tokio::test]
async fn a_second_run_of_an_unchanged_report_writes_nothing() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let (put, deleted) = (rig.simulator.labels_put(), rig.simulator.labels_deleted());
    let run = service.succeed(&id).await;
    assert_eq!(
        (rig.simulator.labels_put(), rig.simulator.labels_deleted()),
        (put, deleted)
    );
    assert_eq!(run["counts"]["unchanged"], rig.wanted().len());
    let reports = rig.simulator.reports();
    assert_eq!(
        (reports.len(), reports[0].runs.len()),
        (1, 2),
        "one report, run again"
    );
}

#[tokio::test]
async fn labels_follow_a_changed_report_stale_ones_go_and_those_of_others_stay() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    rig.simulator
        .plant_label(ip("10.9.9.9"), "cve", &["CVE-1999-0001"]);
    service.succeed(&id).await;
    let taken = *rig.wanted().keys().next().map(|(ip, _)| ip).unwrap();
    rig.simulator.plant_label(taken, "owner", &["alice"]);

    for day in [1, 2, 40] {
        rig.simulator.generate(generator(day));
        let run = service.succeed(&id).await;
        assert!(run["counts"]["changed"].as_u64() > Some(0), "{run:#}");
        let mut wanted = rig.wanted();
        wanted.insert(
            (ip("10.9.9.9"), "cve".to_owned()),
            vec!["CVE-1999-0001".to_owned()],
        );
        wanted.insert((taken, "owner".to_owned()), vec!["alice".to_owned()]);
        assert_same(&rig.simulator.labels(), &wanted);
    }
    // an empty report that is complete says that nothing is vulnerable any more, which a person has to confirm
    rig.simulator.serve_csv(report(&[]));
    let run = service.succeed_with_approval(&id).await;
    assert!(run["counts"]["removed"].as_u64() > Some(0), "{run:#}");
    assert_eq!(rig.simulator.labels().len(), 2);
}

#[tokio::test]
async fn integrations_that_meet_at_an_address_are_merged_and_none_removes_what_another_wants() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    let machines = |row| report(&[("CVE-2024-0001", "vm-1", "10.0.0.1", "High"), row]);
    rig.simulator
        .serve_csv(machines(("CVE-2024-0002", "vm-2", "10.0.0.2", "Low")));
    service.succeed(&one).await;
    rig.simulator
        .serve_csv(machines(("CVE-2024-0003", "vm-3", "10.0.0.2", "Critical")));
    service.succeed(&two).await;
    // vm-1 is one asset in both; vm-2 and vm-3 share an address
    let held =
        |context: &str, address: &str| rig.simulator.labels()[&(ip(address), context.to_owned())].clone();
    assert_eq!(
        (held("vuln_count", "10.0.0.1"), held("vuln_count", "10.0.0.2")),
        (vec!["1".to_owned()], vec!["2".to_owned()])
    );
    assert_eq!(held("cvss_rating", "10.0.0.2"), ["critical"]);

    rig.simulator.serve_csv(report(&[]));
    service.succeed_with_approval(&one).await;
    assert_eq!(
        held("vuln_count", "10.0.0.1"),
        ["1"],
        "the other integration still wants it"
    );
    assert_eq!(held("vuln_count", "10.0.0.2"), ["1"]);
    service.succeed_with_approval(&two).await;
    assert!(rig.simulator.labels().is_empty());
}

#[tokio::test]
async fn two_runs_at_once_take_turns_and_leave_what_both_want() {
    let rig = Rig::new().await;
    let service = rig.serve().await;
    let one = service.create(rig.integration("one")).await;
    let two = service.create(rig.integration("two")).await;
    let (first, second) = (service.start_run(&one).await, service.start_run(&two).await);
    for run in [service.end_of(&first).await, service.end_of(&second).await] {
        assert_eq!(run["state"], "succeeded", "{run:#}");
    }
    rig.assert_in_step();
}

#[tokio::test]
async fn a_full_run_sends_every_pair_and_so_does_every_seventh_success() {
    let mut rig = Rig::new().await;
    rig.config.full_push_every = 2.try_into().unwrap();
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let pair = rig.wanted().keys().next().unwrap().clone();
    let spoil = || rig.simulator.plant_label(pair.0, &pair.1, &["spoilt"]);

    spoil();
    service.succeed(&id).await;
    rig.assert_in_step();
    spoil();
    let run = service.succeed(&id).await;
    assert_eq!(run["counts"]["changed"], 0, "not the turn of a full push");
    assert_eq!(rig.simulator.labels()[&pair], ["spoilt"]);
    let run = service.start_run_with(&id, "?full=true").await;
    let run = service.end_of(&run).await;
    assert_eq!(run["counts"]["changed"], rig.wanted().len());
    rig.assert_in_step();
}

#[tokio::test]
async fn without_a_fusion_account_every_run_is_a_dry_run() {
    let mut rig = Rig::new().await;
    rig.config.fusion = None;
    let (service, id) = rig.serve_one().await;
    let run = service.succeed(&id).await;
    assert_eq!(
        (&run["dry_run"], &run["counts"]["added"]),
        (&json!(true), &json!(rig.wanted().len()))
    );
    assert_eq!(service.status_of(&id).await["fusion"], "not_configured");
    assert!(rig.simulator.labels().is_empty());
}
