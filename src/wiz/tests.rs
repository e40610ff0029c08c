//! A Wiz of a few lines, for tests of single calls against answers that are laid out beforehand.

mod client;
mod download;
mod schema;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::{WizAccounts, WizClient};
use crate::domain::{AllowedHosts, ApiEndpoint, ClientSecret, TokenUrl, WizConnection, WizCredentials};
use crate::outgoing::test_server::TestServer;

/// What was asked, and what is to be answered next.
#[derive(Default)]
struct Script {
    /// The forms of all sign-ins.
    sign_ins: Vec<String>,
    sign_in_answers: VecDeque<(u16, Value)>,
    /// Token and body of all GraphQL calls.
    asked: Vec<(String, Value)>,
    answers: VecDeque<(u16, Value)>,
    refused_tokens: Vec<&'static str>,
    /// Path and headers of all requests of the file.
    file_requests: Vec<(String, HeaderMap)>,
    file_answers: VecDeque<Response<Body>>,
}

type Shared = Arc<Mutex<Script>>;

struct FakeWiz {
    server: TestServer,
    script: Shared,
}

impl FakeWiz {
    async fn start() -> Self {
        let script = Shared::default();
        let router = Router::new()
            .route("/oauth/token", post(sign_in))
            .route("/graphql", post(graphql))
            .route("/file/{*path}", get(file))
            .with_state(script.clone());
        let server = TestServer::start(router).await;
        Self { server, script }
    }

    fn accounts(&self) -> WizAccounts {
        let fast = NonZeroU32::new(1000).unwrap();
        WizAccounts::new(self.server.outgoing(), self.server.clock.clone(), fast)
    }

    fn credentials(&self, secret: &str) -> WizCredentials {
        let allowed: AllowedHosts = self.server.allowed().parse().unwrap();
        WizCredentials {
            connection: WizConnection {
                api_endpoint: ApiEndpoint::read(self.server.url("/graphql").as_str(), &allowed).unwrap(),
                token_url: TokenUrl::read(self.server.url("/oauth/token").as_str(), &allowed).unwrap(),
                client_id: "id".into(),
            },
            client_secret: ClientSecret::new(secret),
        }
    }

    fn client(&self) -> WizClient {
        self.accounts().client(self.credentials("secret"))
    }

    /// The next answer of the GraphQL API.
    fn answers(&self, data: &Value) {
        self.answers_with(200, &json!({ "data": data }));
    }

    fn answers_with(&self, status: u16, body: &Value) {
        let mut script = self.script.lock().unwrap();
        script.answers.push_back((status, body.clone()));
    }

    /// The variables of all GraphQL calls.
    fn variables(&self) -> Vec<Value> {
        let script = self.script.lock().unwrap();
        script
            .asked
            .iter()
            .map(|(_, body)| body["variables"].clone())
            .collect()
    }

    fn tokens(&self) -> Vec<String> {
        let script = self.script.lock().unwrap();
        script.asked.iter().map(|(token, _)| token.clone()).collect()
    }
}

async fn sign_in(State(script): State<Shared>, body: String) -> (StatusCode, String) {
    let mut script = script.lock().unwrap();
    script.sign_ins.push(body);
    let token = json!({ "access_token": format!("t{}", script.sign_ins.len()), "expires_in": 86_400 });
    let (status, body) = script.sign_in_answers.pop_front().unwrap_or((200, token));
    (StatusCode::from_u16(status).unwrap(), body.to_string())
}

async fn graphql(State(script): State<Shared>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    assert_eq!(headers["content-type"], "application/json");
    let token = headers["authorization"]
        .to_str()
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap();
    let body = serde_json::from_slice(&body).unwrap();
    schema::check(&body);
    let mut script = script.lock().unwrap();
    script.asked.push((token.to_owned(), body));
    if script.refused_tokens.contains(&token) {
        let body = json!({ "errors": [{ "extensions": { "code": "UNAUTHENTICATED" } }] });
        return (StatusCode::UNAUTHORIZED, body.to_string());
    }
    let (status, body) = script
        .answers
        .pop_front()
        .expect("a question without a laid out answer");
    (StatusCode::from_u16(status).unwrap(), body.to_string())
}

async fn file(State(script): State<Shared>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let mut script = script.lock().unwrap();
    script.file_requests.push((uri.path().to_owned(), headers));
    script
        .file_answers
        .pop_front()
        .expect("a request without a laid out answer")
}
