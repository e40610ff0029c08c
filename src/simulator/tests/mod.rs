//! The simulator through real HTTP.

mod control;
mod faults;
mod fusion;
mod reports;
mod wiz;

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::{Simulator, SimulatorSettings};
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::shutdown::Shutdown;

/// A simulator with a clock that stands still but for leaps, and a client of it.
struct World {
    simulator: Simulator,
    clock: Clock,
    client: reqwest::Client,
    _shutdown: Shutdown,
}

impl World {
    async fn new(settings: SimulatorSettings) -> Self {
        let clock = Clock::test(Timestamp::from_millis(1_795_000_000_000), 1);
        let shutdown = Shutdown::new();
        let simulator = Simulator::start(settings, clock.clone(), &shutdown)
            .await
            .unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "the tests speak to the simulator without the service's client"
        )]
        let client = reqwest::Client::builder()
            .user_agent("wiz-context/test")
            .no_proxy()
            .build()
            .unwrap();
        Self {
            simulator,
            clock,
            client,
            _shutdown: shutdown,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.simulator.base_url()))
    }

    /// Lets time fly until something is done.
    async fn hurry<T>(&self, done: impl Future<Output = T>) -> T {
        let fly = async {
            loop {
                self.clock.advance(Duration::from_mins(1));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            done = done => done,
            () = fly => unreachable!("time never stops"),
        }
    }

    /// The form of a right sign-in at Wiz.
    fn sign_in(&self) -> Vec<(&'static str, String)> {
        vec![
            ("grant_type", "client_credentials".to_owned()),
            ("audience", "wiz-api".to_owned()),
            ("client_id", self.simulator.client_id().to_owned()),
            ("client_secret", self.simulator.client_secret().to_owned()),
        ]
    }

    async fn wiz_token(&self) -> String {
        let answer = self
            .client
            .post(self.simulator.token_url())
            .form(&self.sign_in())
            .send()
            .await
            .unwrap();
        member(&body(answer).await, "/access_token")
    }

    /// A GraphQL call with a fresh token: the HTTP status and the body.
    async fn graphql(&self, query: &str, variables: Value) -> (u16, Value) {
        let token = self.wiz_token().await;
        let answer = self.send_graphql(&token, query, variables).await.unwrap();
        (answer.status().as_u16(), body(answer).await)
    }

    async fn send_graphql(&self, token: &str, query: &str, variables: Value) -> reqwest::Result<Response> {
        let body = json!({"query": query, "variables": variables});
        let request = self.client.post(self.simulator.api_endpoint()).bearer_auth(token);
        request.json(&body).send().await
    }

    /// The data of a GraphQL call that goes well.
    async fn data(&self, query: &str, variables: Value) -> Value {
        let (status, mut body) = self.graphql(query, variables).await;
        assert_eq!((status, body.get("errors")), (200, None), "{body}");
        body["data"].take()
    }

    /// Makes a report of open findings; its id.
    async fn create(&self, name: &str, columns: Value, compression: &str) -> String {
        let input = json!({
            "name": name, "type": "VULNERABILITIES", "columnSelection": columns, "compressionMethod": compression,
            "vulnerabilityParams": {"type": "COMPACT", "filters": {"status": ["OPEN", "IN_PROGRESS"]}},
        });
        let query = "mutation CreateReport($input: CreateReportInput!) {
            createReport(input: $input) { report { id } }
        }";
        member(
            &self.data(query, json!({"input": input})).await,
            "/createReport/report/id",
        )
    }

    async fn rerun(&self, report: &str) -> Value {
        let query = "mutation($id: ID!) { rerunReport(input: {id: $id}) { report { lastRun { id } } } }";
        self.data(query, json!({"id": report})).await["rerunReport"]["report"]["lastRun"]["id"].take()
    }

    /// The ids of a report's runs, the newest first.
    async fn runs(&self, report: &str) -> Vec<String> {
        let query = "query($filter: ReportRunFilters) {
            reportRuns(first: 10, filterBy: $filter) { nodes { id } }
        }";
        let data = self.data(query, json!({"filter": {"reportId": report}})).await;
        let nodes = data["reportRuns"]["nodes"].as_array().unwrap();
        nodes.iter().map(|node| member(node, "/id")).collect()
    }

    /// A run when its time is over.
    async fn finished(&self, run: &str) -> Value {
        self.clock.advance(Duration::from_mins(1));
        let query = "query($id: ID!) { reportRun(id: $id) {
            id status progress runAt url failedReason
            results { ... on ReportRunResultsVulnerabilities { count } }
        } }";
        self.data(query, json!({"id": run})).await["reportRun"].take()
    }

    /// A report's newest run, finished.
    async fn finished_run_of(&self, report: &str) -> Value {
        let runs = self.runs(report).await;
        self.finished(&runs[0]).await
    }

    async fn fusion_token(&self) -> String {
        let answer = self.send_jwt(&self.jwt("once")).await;
        member(&body(answer).await, "/access_token")
    }

    async fn send_jwt(&self, jwt: &str) -> Response {
        let request = self.request(Method::POST, "/api/v1/auth/token");
        request.json(&json!({"jwt": jwt})).send().await.unwrap()
    }

    /// The statement of the account in its `NETOSECRET`.
    fn jwt(&self, id: &str) -> String {
        let account = STANDARD_NO_PAD.decode(self.simulator.netosecret()).unwrap();
        let account: Value = serde_json::from_slice(&account).unwrap();
        let claims = json!({
            "iat": self.clock.now().as_millis() / 1000, "jti": id, "appname": account["appname"],
            "appkey": account["appkey"], "shortname": account["shortname"],
        });
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!(
            "{}.{}",
            encoded(&json!({"alg": "HS256", "typ": "JWT"})),
            encoded(&claims)
        );
        let key = hmac::Key::new(
            hmac::HMAC_SHA256,
            account["sharedsecret"].as_str().unwrap().as_bytes(),
        );
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// A bulk call: the HTTP status and the body.
    async fn bulk(&self, token: &str, method: Method, records: Value) -> (u16, Value) {
        let request = self.request(method, "/api/v1/labels/ips/bulk").bearer_auth(token);
        let answer = request.json(&records).send().await.unwrap();
        (answer.status().as_u16(), body(answer).await)
    }
}

async fn body(answer: Response) -> Value {
    let bytes = answer.bytes().await.unwrap();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into())
}

/// The text of a member.
fn member(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("no text at {pointer} in {value}"))
        .to_owned()
}

/// A small report that is easy to look through.
const CSV: &str = "Name,FindingStatus,AssetID,IpAddresses\n\
    CVE-2023-0001,Open,a,10.0.0.1\n\
    CVE-2023-0002,Resolved,a,10.0.0.1\n\
    CVE-2023-0003,In Progress,b,\"10.0.0.2, 2001:db8::2\"\n";
