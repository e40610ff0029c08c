//! The report in Wiz: one per integration, whatever becomes of it.

use reqwest::{Method, StatusCode};
use serde_json::json;
use wiz_context::simulator::{Column, SimulatorSettings};

use crate::rig::{Rig, generator};

#[tokio::test]
async fn a_renamed_integration_takes_its_report_along() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let path = format!("/api/v1/integrations/context/{id}");
    let (status, _) = service
        .call(Method::PATCH, &path, Some(json!({"name": "wiz prod"})))
        .await;
    assert_eq!(status, StatusCode::OK);
    service.succeed(&id).await;
    let reports = rig.simulator.reports();
    assert_eq!(
        (reports.len(), reports[0].name.as_str()),
        (1, "wiz-context/test/wiz prod")
    );
    assert_eq!(rig.simulator.requests("wiz.graphql.updateReport"), 1);
    service.succeed(&id).await;
    assert_eq!(rig.simulator.requests("wiz.graphql.updateReport"), 1, "once");
    rig.assert_in_step();
}

#[tokio::test]
async fn a_report_that_is_gone_is_made_anew() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.simulator.delete_reports();
    service.succeed(&id).await;
    assert_eq!(rig.simulator.reports().len(), 1);
    rig.assert_in_step();
}

#[tokio::test]
async fn an_integration_that_is_made_again_finds_its_report_by_name() {
    let rig = Rig::new().await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    let path = format!("/api/v1/integrations/context/{id}");
    let (status, _) = service.call(Method::DELETE, &path, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let id = service.create(rig.integration("wiz1")).await;
    service.succeed(&id).await;
    let reports = rig.simulator.reports();
    assert_eq!((reports.len(), reports[0].runs.len()), (1, 2));
    rig.assert_in_step();
}

#[tokio::test]
async fn a_tenant_that_knows_fewer_columns_is_asked_for_those() {
    let rig = Rig::with(SimulatorSettings {
        generator: generator(0),
        refused_columns: vec![Column::NvdScore],
        ..SimulatorSettings::default()
    })
    .await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    service.succeed(&id).await;
    let reports = rig.simulator.reports();
    assert_eq!((reports.len(), reports[0].columns.len()), (1, 13));
    assert_eq!(
        rig.simulator.requests("wiz.graphql.updateReport"),
        0,
        "what was asked is known"
    );

    let rig = Rig::with(SimulatorSettings {
        generator: generator(0),
        refuse_selection: true,
        ..SimulatorSettings::default()
    })
    .await;
    let (service, id) = rig.serve_one().await;
    service.succeed(&id).await;
    rig.assert_in_step();
}
