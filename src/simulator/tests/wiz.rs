//! Who may ask Wiz, and what is refused.

use std::time::Duration;

use reqwest::{Method, header};
use serde_json::json;

use super::{World, body};
use crate::simulator::SimulatorSettings;

const REPORTS: &str = "{ reports(first: 5) { nodes { id name } pageInfo { hasNextPage } } }";

#[tokio::test]
async fn only_the_right_sign_in_gets_a_token() {
    let world = World::new(SimulatorSettings::default()).await;
    assert!(world.wiz_token().await.starts_with("wiz-token-"));
    for wrong in 0..4 {
        let mut form = world.sign_in();
        form[wrong].1 = "beyond-api".to_owned();
        let answer = world
            .client
            .post(world.simulator.token_url())
            .form(&form)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 401);
        let refusal = json!({"error": "access_denied", "error_description": "Unauthorized"});
        assert_eq!(body(answer).await, refusal);
    }
    let request = world
        .request(Method::POST, "/oauth/token")
        .header(header::USER_AGENT, "curl/8");
    assert_eq!(request.form(&world.sign_in()).send().await.unwrap().status(), 400);
    assert_eq!(world.simulator.requests("wiz.token"), 6);
}

#[tokio::test]
async fn tokens_expire_by_the_clock() {
    let settings = SimulatorSettings {
        wiz_token_life: Duration::from_mins(15),
        ..SimulatorSettings::default()
    };
    let world = World::new(settings).await;
    let token = world.wiz_token().await;
    assert_eq!(
        world
            .send_graphql(&token, REPORTS, json!({}))
            .await
            .unwrap()
            .status(),
        200
    );
    world.clock.advance(Duration::from_mins(15));
    let answer = world.send_graphql(&token, REPORTS, json!({})).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(
        body(answer).await["errors"][0]["extensions"]["code"],
        "UNAUTHENTICATED"
    );
}

#[tokio::test]
async fn requests_without_the_right_form_are_refused() {
    let world = World::new(SimulatorSettings::default()).await;
    let token = world.wiz_token().await;
    let request = || {
        world
            .request(Method::POST, "/graphql")
            .bearer_auth(&token)
            .body(r#"{"query":"{ x }"}"#)
    };
    let json = "application/json";
    assert_eq!(request().send().await.unwrap().status(), 415);
    let nameless = request()
        .header(header::CONTENT_TYPE, json)
        .header(header::USER_AGENT, "curl/8");
    assert_eq!(nameless.send().await.unwrap().status(), 400);

    for (query, variables, code) in [
        (
            "{ report(id: \"x\") { nonsense } }",
            json!({}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "query($first: Int) { reports(first: $first) { totalCount } }",
            json!({"first": "1"}),
            "VALIDATION_INVALID_TYPE_VARIABLE",
        ),
        (
            "{ reports(first: 100000) { totalCount } }",
            json!({}),
            "BAD_USER_INPUT",
        ),
        (
            "{ reports(after: \"x\") { totalCount } }",
            json!({}),
            "BAD_USER_INPUT",
        ),
    ] {
        let (status, answer) = world.graphql(query, variables).await;
        assert_eq!(
            (status, &answer["errors"][0]["extensions"]["code"]),
            (400, &json!(code)),
            "{query}"
        );
    }
    let unknown = "{ reportRun(id: \"x\") { id } }";
    let (status, answer) = world.graphql(unknown, json!({})).await;
    assert_eq!(
        (status, &answer["errors"][0]["extensions"]["code"]),
        (404, &json!("NOT_FOUND"))
    );
    let settings = SimulatorSettings {
        not_found_status: 200,
        ..SimulatorSettings::default()
    };
    assert_eq!(
        World::new(settings).await.graphql(unknown, json!({})).await.0,
        200
    );
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let mut settings = SimulatorSettings::default();
    settings.scopes.remove("update:reports");
    let world = World::new(settings).await;
    let report = world.create("a", json!(null), "NONE").await;
    let rerun = "mutation($id: ID!) { rerunReport(input: {id: $id}) { report { id } } }";
    let (status, answer) = world.graphql(rerun, json!({"id": report})).await;
    let extensions = &answer["errors"][0]["extensions"];
    assert_eq!((status, &extensions["code"]), (403, &json!("UNAUTHORIZED")));
    assert_eq!(extensions["requiredScopes"], json!(["update:reports"]));
}

#[tokio::test]
async fn findings_come_page_by_page() {
    let world = World::new(SimulatorSettings::default()).await;
    let query = "query($after: String) { vulnerabilityFindings(first: 2, after: $after) {
        nodes { id name severity status vulnerableAsset {
            ... on VulnerableAssetBase { id type }
            ... on VulnerableAssetVirtualMachine { ipAddresses }
            ... on VulnerableAssetNetworkAddress { address }
        } }
        pageInfo { hasNextPage endCursor }
    } }";
    let first = world.data(query, json!({})).await;
    let page = &first["vulnerabilityFindings"];
    assert_eq!(page["pageInfo"], json!({"hasNextPage": true, "endCursor": "2"}));
    assert_eq!(page["nodes"][0]["vulnerableAsset"]["type"], "VIRTUAL_MACHINE");
    assert!(page["nodes"][0]["vulnerableAsset"].get("address").is_none());
    let second = world.data(query, json!({"after": "2"})).await;
    assert_ne!(
        second["vulnerabilityFindings"]["nodes"][0]["id"],
        page["nodes"][0]["id"]
    );
}

#[tokio::test]
async fn too_many_requests_in_a_second_are_a_violation() {
    let settings = SimulatorSettings {
        wiz_requests_per_second: 3,
        ..SimulatorSettings::default()
    };
    let world = World::new(settings).await;
    let token = world.wiz_token().await;
    for _ in 0..3 {
        world.send_graphql(&token, REPORTS, json!({})).await.unwrap();
        world.clock.advance(Duration::from_millis(400));
    }
    assert!(world.simulator.violations().is_empty());
    let calls = (0..4).map(|_| world.send_graphql(&token, REPORTS, json!({})));
    futures_util::future::join_all(calls).await;
    assert!(world.simulator.violations()[0].contains("more than 3 GraphQL requests"));
}
