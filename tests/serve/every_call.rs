//! Every call of the API, made as it should be and in ways that it refuses, with secrets where they belong and where not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::program::INTEGRATIONS;
use crate::reports::text;
use crate::secrets::{ODD, SECOND, Session, WRONG};
use crate::world::until;

const KEYS: &str = "/api/v1/api-keys";

/// Keys that were made, one of each role.
pub(crate) struct Keys(pub(crate) BTreeMap<&'static str, String>);

impl Session<'_> {
    /// Makes a key of each role. The answer that shows a key is the one place where it may be.
    pub(crate) fn make_keys(&self) -> Keys {
        let mut keys = BTreeMap::new();
        for role in ["admin", "operator", "readonly"] {
            let body = json!({"name": format!("the {role}"), "role": role}).to_string();
            let headers = [format!("idempotency-key: {role}")];
            let headers: Vec<_> = headers.iter().map(String::as_str).collect();
            let make = || {
                self.program
                    .exchange("POST", KEYS, Some(self.key), &headers, &body)
            };
            let (status, answer) = make();
            assert_eq!(status, 201, "{answer}");
            let answer: Value = serde_json::from_str(&answer).unwrap();
            let key = text(&answer["data"]["key"]);
            self.program.forget(&key);
            keys.insert(role, key);
            assert_eq!(make().0, 201);
        }
        Keys(keys)
    }

    /// Whatever changes something, so that it succeeds.
    pub(crate) async fn change_everything(&self, keys: &Keys) {
        let operator = keys.0["operator"].as_str();
        let simulator = &self.world.simulator;
        let repeated = ["idempotency-key: an-integration"];
        let body = self.body("changed", simulator.client_secret()).to_string();
        let create = || {
            self.program
                .exchange("POST", INTEGRATIONS, Some(&keys.0["admin"]), &repeated, &body)
        };
        let (status, answer) = create();
        assert_eq!((status, create().0), (201, 201), "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let path = format!("{INTEGRATIONS}/{}", text(&answer["data"][0]["id"]));
        let call = |key: &str, method: &str, path: &str, body: Option<&Value>| {
            let (status, answer) = self.program.call(method, path, Some(key), body);
            assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
            answer
        };
        let ended = async |run: &Value| {
            let id = text(&run["id"]);
            self.world.end_of(self.program, &id).await
        };
        call(operator, "POST", &format!("{path}/check"), None);
        call(operator, "PUT", &format!("{path}/run"), None);
        ended(&call(operator, "POST", &format!("{path}/verify"), None)["run"]).await;
        let pairs = json!([{"ip": "192.0.2.200", "context": "cve"}]);
        call(self.key, "POST", "/api/v1/labels/adopt", Some(&pairs));

        // A report without findings is held, and approved.
        let report = simulator.report_csv();
        let header = report.split_inclusive(|byte| *byte == b'\n').next().unwrap();
        simulator.serve_csv(header);
        let held = call(operator, "PUT", &format!("{path}/run"), None)["run"].clone();
        assert_eq!(held["state"], "held", "{held:#}");
        let approval = format!("/api/v1/runs/{}/approve", text(&held["id"]));
        ended(&call(operator, "POST", &approval, None)["run"]).await;
        simulator.serve_csv(report);

        // A run that waits for Wiz is cancelled.
        self.world.hold("wiz.graphql.reportRun", 0);
        let run = self
            .world
            .start_run(self.program, path.rsplit('/').next().unwrap());
        call(operator, "POST", &format!("/api/v1/runs/{run}/cancel"), None);
        simulator.clear_faults();
        until("the end of the run", || {
            !self.world.run(self.program, &run)["finished_at"].is_null()
        })
        .await;
        ended(&call(self.key, "DELETE", &format!("{path}?labels=remove"), None)["run"]).await;

        // A key is taken away, and worth nothing.
        let (_, listed) = self.program.call("GET", KEYS, Some(self.key), None);
        let admin = listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["role"] == "admin");
        call(
            self.key,
            "DELETE",
            &format!("{KEYS}/{}", text(&admin.unwrap()["id"])),
            None,
        );
        assert_eq!(
            self.program.call("GET", KEYS, Some(&keys.0["admin"]), None).0,
            401
        );
    }

    /// Every call, refused in every way: with no key, wrong ones and narrow ones, with a secret as its id, in its query and
    /// in its body.
    pub(crate) fn refuse_everything(&self, keys: &Keys, integration: &str) {
        let id = integration.rsplit('/').next().unwrap();
        for (method, path, _) in self.calls() {
            let there = path
                .replace("{id}", id)
                .replace("{run}", id)
                .replace("{ip}", "10.0.0.1");
            let wrong_id = ["{id}", "{run}", "{ip}"]
                .iter()
                .fold(path.clone(), |path, name| path.replace(name, SECOND));
            let with_query =
                format!("{there}?clientsecret={SECOND}&cursor={SECOND}&limit={SECOND}&since={SECOND}");
            let unguessed = format!("{}x", &keys.0["operator"]);
            let bodies = [
                json!({"name": ODD, "role": SECOND, "clientsecret": ODD, "start": ODD, "search": ODD, "key": SECOND}),
                json!([{"ip": ODD, "context": SECOND}]),
                json!(ODD),
            ];
            for key in [
                None,
                Some(WRONG),
                Some(&unguessed),
                Some(&keys.0["readonly"]),
                Some(self.key),
            ] {
                for path in [&wrong_id, &with_query] {
                    for body in &bodies {
                        let body = if method == "GET" {
                            String::new()
                        } else {
                            body.to_string()
                        };
                        let told = format!("{method} {path}");
                        let (status, answer) = self.program.exchange(&method, path, key, &[], &body);
                        assert!(status < 500, "{told}: {status} {answer}");
                        if method == "GET" {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// The calls of the document, each with its method and path.
    fn calls(&self) -> Vec<(String, String, Value)> {
        let (_, document) = self.call("GET", "/api/v1/openapi.json", None);
        let mut calls = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, call) in item.as_object().unwrap() {
                if call["operationId"].is_string() {
                    calls.push((method.to_uppercase(), path.clone(), call.clone()));
                }
            }
        }
        calls
    }

    /// Checks that each call was answered with success and, where it can be, with a refusal.
    pub(crate) fn assert_every_call_was_made(&self) {
        let made = self.program.calls();
        for (method, path, call) in self.calls() {
            let parts: Vec<_> = path.split('/').collect();
            let is_this = |made: &str| {
                let made: Vec<_> = made.split('?').next().unwrap().split('/').collect();
                let fits = |(part, made): (&&str, &&str)| part.starts_with('{') || part == made;
                made.len() == parts.len() && parts.iter().zip(&made).all(fits)
            };
            let statuses: Vec<_> = made
                .iter()
                .filter(|(of, made, _)| *of == method && is_this(made))
                .map(|(_, _, status)| *status)
                .collect();
            let told = format!("{method} {path}: {statuses:?}");
            assert!(
                statuses.iter().any(|status| (200..300).contains(status)),
                "{told}"
            );
            let is_open = call["security"] == json!([{}]);
            assert!(is_open || statuses.contains(&401), "{told}");
            assert!(
                is_open
                    || statuses.iter().any(|status| [400, 404, 415].contains(status))
                    || path == "/metrics",
                "{told}"
            );
        }
    }
}
