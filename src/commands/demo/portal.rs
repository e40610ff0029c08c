//! What the Portal does to the service, over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::clock::Clock;
use crate::domain::{AllowedHosts, BearerToken};
use crate::outgoing::{Call, Outgoing, OutgoingSettings};
use crate::simulator::Simulator;

/// The service is on this machine: it answers at once or never.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A caller of the service's API.
pub(super) struct Portal {
    base_url: String,
    key: BearerToken,
    outgoing: Outgoing,
}

impl Portal {
    /// A caller with an API key.
    pub(super) fn new(service: SocketAddr, key: &str, clock: Clock) -> anyhow::Result<Self> {
        let mut allowed = AllowedHosts::default();
        allowed.allow(service.ip().to_string(), Some(service.port()));
        let settings = OutgoingSettings {
            allowed,
            ca_file: None,
        };
        Ok(Self {
            base_url: format!("http://{service}"),
            key: BearerToken::new(key.trim()),
            outgoing: Outgoing::new(settings, clock)?,
        })
    }

    /// What begins the URLs of the service.
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// *Create and Run* of an integration with the simulator's account; gives its id and the run's.
    pub(super) async fn create_and_run(&self, simulator: &Simulator) -> anyhow::Result<(String, String)> {
        let body = json!({
            "name": "demo", "type": "wiz", "enabled": false, "updateinterval": 86_400,
            "wiz": {
                "apiendpoint": simulator.api_endpoint(), "tokenurl": simulator.token_url(),
                "clientid": simulator.client_id(), "clientsecret": simulator.client_secret(),
            },
        });
        let path = "/api/v1/integrations/context?run=true";
        let answer = self.call(Method::POST, path, Some(&body)).await?;
        let text = |value: &Value| {
            value
                .as_str()
                .map(str::to_owned)
                .context("an id is missing in the answer")
        };
        Ok((text(&answer["data"][0]["id"])?, text(&answer["run"]["id"])?))
    }

    /// The record of a run.
    pub(super) async fn run(&self, id: &str) -> anyhow::Result<Value> {
        let mut answer = self
            .call(Method::GET, &format!("/api/v1/runs/{id}"), None)
            .await?;
        Ok(answer["data"].take())
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let url: Url = format!("{}{path}", self.base_url).parse()?;
        let mut call = Call::new("demo.portal", method, url, TIMEOUT)
            .bearer(&self.key)
            .context("the admin key is not fit for a header")?;
        if let Some(body) = body {
            call = call.json(body);
        }
        let answer = self.outgoing.send(&call).await?;
        if !answer.status.is_success() {
            bail!(
                "{path} answers {}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }
}
