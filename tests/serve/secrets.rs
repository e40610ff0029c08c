//! That no secret gets into the log, an answer or, in the open, into the database: two sessions in which much goes wrong, and
//! a search through all that they leave behind.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use serde_json::{Value, json};
use wiz_context::simulator::{Effect, Ending, Fault, StatusFault};
use wiz_context::store::Keyring;

use crate::needles::{Needles, contains};
use crate::program::{INTEGRATIONS, Program, wiz_of};
use crate::reports::text;
use crate::world::World;

const EVERYTHING: &str = "trace,axum=trace,h2=trace,hyper=trace,hyper_util=trace,reqwest=trace,rustls=trace,sqlx=trace,tower=trace";

/// Client secrets that are wrong. The first looks different in each encoding.
pub(crate) const ODD: &str = "planted/client+secret=\"with\" signs&<ü>";
pub(crate) const SECOND: &str = "planted-second-client-secret";
/// A key of the API that is wrong.
pub(crate) const WRONG: &str = "planted-wrong-key";

/// A session with a service.
pub(crate) struct Session<'a> {
    pub(crate) world: &'a World,
    pub(crate) program: &'a Program,
    pub(crate) key: &'a str,
}

impl Session<'_> {
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.program.call(method, path, Some(self.key), body)
    }

    pub(crate) fn body(&self, name: &str, secret: &str) -> Value {
        let mut wiz = wiz_of(&self.world.simulator);
        wiz["clientsecret"] = secret.into();
        json!({"name": name, "type": "wiz", "enabled": false, "updateinterval": 86_400, "wiz": wiz})
    }

    /// Makes an integration; gives its path.
    fn create(&self, name: &str, secret: &str) -> String {
        let (status, answer) = self.call("POST", INTEGRATIONS, Some(&self.body(name, secret)));
        assert_eq!(status, 201, "{answer}");
        format!("{INTEGRATIONS}/{}", text(&answer["data"][0]["id"]))
    }

    /// Runs an integration to its end; gives the run.
    fn run(&self, integration: &str) -> Value {
        let (status, answer) = self.call("PUT", &format!("{integration}/run?full=true"), None);
        assert_eq!(status, 200, "{answer}");
        answer["run"].clone()
    }

    /// A refusal whose words are the secrets that were given away so far.
    fn refusal(&self, status: u16) -> Effect {
        let given = self.world.simulator.secrets_given().join(" ");
        Effect::Status(StatusFault {
            status,
            message: Some(format!("refused: {given}")),
            ..StatusFault::default()
        })
    }

    fn inject(&self, operation: &str, effect: Effect) {
        self.world.simulator.inject(Fault::new(operation, effect));
    }

    /// Runs in which things go wrong, in ways that neighbours tell of.
    fn go_wrong(&self, integration: &str) {
        let (bytes, ending) = (1_000, Ending::Cut);
        self.inject("wiz.graphql.reportRuns", self.refusal(401));
        self.inject("wiz.report_file", Effect::Truncate { bytes, ending });
        self.world
            .simulator
            .inject(Fault::new("wiz.report_file", self.refusal(403)).after(1).times(4));
        self.inject("fusion.put", self.refusal(401));
        self.inject("fusion.put", Effect::ResponseLost);
        let run = self.run(integration);
        assert_eq!(
            (&run["state"], &run["attempts"]),
            (&json!("succeeded"), &json!(2)),
            "{run:#}"
        );

        for (operation, status, kind) in [
            ("wiz.graphql.reportRun", 400, "report"),
            ("wiz.graphql.vulnerabilityFindings", 403, "permission"),
            ("fusion.put", 400, "fusion_rejected"),
            ("fusion", 401, "credentials"),
        ] {
            let fault = Fault::new(operation, self.refusal(status));
            self.world.simulator.inject(fault.times(u32::MAX));
            let run = self.run(integration);
            assert_eq!(run["failure"]["kind"], kind, "{run:#}");
            self.world.simulator.clear_faults();
        }
        let odd = self.create("odd", ODD);
        assert_eq!(self.run(&odd)["failure"]["kind"], "credentials");
    }

    /// Changes of the client secret, of which the last one is right again.
    fn change(&self, integration: &str) {
        for secret in [SECOND, self.world.simulator.client_secret()] {
            let (status, answer) = self.call("PUT", integration, Some(&self.body("wiz1", secret)));
            assert_eq!(status, 200, "{answer}");
            let patch = json!({"wiz": {"clientsecret": secret}});
            let (status, answer) = self.call("PATCH", integration, Some(&patch));
            assert_eq!(status, 200, "{answer}");
        }
    }

    /// Bodies with the secret where it does not belong, each of which is refused.
    fn misplace(&self, integration: &str) {
        let with = |pointer: &str, value: Value| {
            let mut body = self.body("misplaced", ODD);
            *body.pointer_mut(pointer).unwrap() = value;
            body.to_string()
        };
        let url = format!("https://user:{SECOND}@api.us17.app.wiz.io/graphql?secret={SECOND}#{SECOND}");
        let mut bodies = vec![
            with("/wiz/clientsecret", json!({"value": ODD})),
            with("/wiz/clientsecret", json!([ODD])),
            with("/wiz", ODD.into()),
            with("/wiz/apiendpoint", ODD.into()),
            with("/wiz/apiendpoint", url.as_str().into()),
            with("/wiz/tokenurl", SECOND.into()),
            with("/wiz/tokenurl", url.as_str().into()),
            with("/wiz/clientid", json!({"clientsecret": ODD})),
            json!(ODD).to_string(),
            json!({"wiz": {"clientSecret": ODD, "secret": SECOND}, "clientsecret": ODD}).to_string(),
            format!(r#"{{"wiz": {{"clientsecret": "{SECOND}""#),
            format!("clientsecret={SECOND}"),
        ];
        for member in ["/name", "/type", "/enabled", "/updateinterval"] {
            bodies.push(with(member, ODD.into()));
        }
        let search = |text: &str| json!({"start": ODD, "size": [SECOND], "include": ODD, "search": text});
        for body in bodies {
            let calls = [
                ("POST", INTEGRATIONS),
                ("PUT", integration),
                ("PATCH", integration),
            ];
            for (method, path) in calls {
                let (status, answer) = self.program.exchange(method, path, Some(self.key), &[], &body);
                assert_eq!(status, 400, "{method} of {body}: {answer}");
            }
        }
        let (status, answer) = self.call("POST", "/api/v1/search/audit", Some(&search(ODD)));
        assert_eq!(status, 400, "{answer}");
        let search = json!({"start": -86_400, "end": 0, "search": format!("user == {SECOND}")});
        let (status, answer) = self.call("POST", "/api/v1/search/audit", Some(&search));
        assert_eq!((status, &answer["meta"]["count"]), (200, &json!(0)), "{answer}");
        for path in [
            format!("{INTEGRATIONS}/{SECOND}"),
            format!("/{SECOND}"),
            format!("{integration}?clientsecret={SECOND}"),
            format!("{INTEGRATIONS}?cursor=a&limit={SECOND}"),
            format!("{integration}/labels?ip={SECOND}&context={SECOND}&cursor={SECOND}"),
        ] {
            let (status, answer) = self.call("GET", &path, None);
            assert!((400..500).contains(&status), "{path}: {status} {answer}");
        }
        for path in [INTEGRATIONS, "/metrics"] {
            assert_eq!(self.program.call("GET", path, Some(WRONG), None).0, 401);
        }
    }

    /// Every call that reads, by the API's own document.
    fn read_everything(&self, integration: &str) {
        let (_, document) = self.call("GET", "/api/v1/openapi.json", None);
        let (_, runs) = self.call("GET", "/api/v1/runs", None);
        let search = json!({"start": -86_400, "end": 0});
        let (_, audit) = self.call("POST", "/api/v1/search/audit", Some(&search));
        assert!(audit["data"].as_array().unwrap().len() > 10, "{audit}");
        let mut runs = runs["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| text(&run["id"]));
        let has_plan = |run: &String| self.call("GET", &format!("/api/v1/runs/{run}/plan"), None).0 == 200;
        let (run, record) = (runs.find(has_plan).unwrap(), text(&audit["data"][0]["id"]));
        let (_, labels) = self.call("GET", &format!("{integration}/labels"), None);
        let ip = text(&labels["data"][0]["ip"]);
        let paths = document["paths"].as_object().unwrap();
        let mut read = 0;
        for (path, _) in paths.iter().filter(|(_, calls)| calls["get"].is_object()) {
            let path = path
                .replace(&format!("{INTEGRATIONS}/{{id}}"), integration)
                .replace("{run}", &run)
                .replace("{ip}", &ip)
                .replace("{id}", &record);
            let (status, answer) = self.call("GET", &path, None);
            assert_eq!(status, 200, "{path}: {answer}");
            read += 1;
        }
        assert!(read >= 12, "only {read} calls read");
        self.call("GET", "/docs/", None);
    }
}

/// A session with a service whose log has this form and whose keys are in files of its own, or given; what it leaves behind
/// is searched.
async fn search_through_a_session(format: &str, given_key: Option<&str>) {
    let mut world = World::new(Duration::ZERO).await;
    let mut place = std::mem::replace(&mut world.place, crate::program::Place::new())
        .with("WIZ_CONTEXT_LOG", EVERYTHING)
        .with("WIZ_CONTEXT_LOG_FORMAT", format);
    if let Some(key) = given_key {
        let keyring = place.write("encryption-key-given", &Keyring::generate());
        place = place
            .with("WIZ_CONTEXT_ADMIN_KEY", key)
            .with("WIZ_CONTEXT_ENCRYPTION_KEY_FILE", keyring);
    }
    world.place = place;
    let (world, simulator) = (&world, &world.simulator);

    let program = world.serve();
    let key = given_key.map_or_else(|| world.place.admin_key(), str::to_owned);
    let session = Session {
        world,
        program: &program,
        key: &key,
    };
    let integration = session.create("wiz1", simulator.client_secret());
    assert_eq!(session.run(&integration)["state"], "succeeded");
    session.go_wrong(&integration);
    session.change(&integration);
    session.misplace(&integration);
    let keys = session.make_keys();
    session.change_everything(&keys).await;
    session.refuse_everything(&keys, &integration);
    session.read_everything(&integration);
    session.assert_every_call_was_made();
    assert_eq!(session.call("DELETE", &integration, None).0, 204);

    let (answers, files) = (program.answers(), world.place.files());
    let ended = program.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let talks = ended.log.contains("hyper_util") && ended.log.contains("sqlx::query");
    assert!(talks, "the log is not as talkative as it should be");

    let (mut needles, sealing_key) = needles(world, &key);
    for (role, key) in &keys.0 {
        needles.add(&format!("the key of the {role}"), key);
    }
    needles.assert_none_in("the log", ended.log.as_bytes());
    needles.assert_none_in("an answer", answers.as_bytes());
    let beside = |name: &str| files.iter().any(|(of, _)| of == name);
    assert!(beside("test.db") && beside("test.db-wal") && beside("test.db-shm"));
    for (name, bytes) in files.iter().chain(&world.place.files()) {
        if !name.contains("-key") {
            needles.assert_none_in(name, bytes);
            assert!(!contains(bytes, &sealing_key), "{name} tells the encryption key");
        }
    }
    // What is no secret is found.
    let known = simulator.client_id().as_bytes();
    assert!(files.iter().any(|(_, bytes)| contains(bytes, known)));
    assert!(contains(answers.as_bytes(), known));
}

/// All that must not be found, and the bytes of the key that seals what is stored.
fn needles(world: &World, key: &str) -> (Needles, Vec<u8>) {
    let simulator = &world.simulator;
    let netosecret = simulator.netosecret();
    let account = BASE64_STANDARD_NO_PAD.decode(&netosecret).unwrap();
    let account: Value = serde_json::from_slice(&account).unwrap();
    let files = world.place.files();
    let mut keyrings = files
        .iter()
        .filter(|(name, _)| name.starts_with("encryption-key"));
    let keyring = String::from_utf8(keyrings.next().unwrap().1.clone()).unwrap();
    let sealing = keyring.trim_end().split_once(':').unwrap().1;

    let mut needles = Needles::default();
    needles.add("the client secret", simulator.client_secret());
    needles.add("a wrong client secret", ODD);
    needles.add("another wrong client secret", SECOND);
    needles.add("the shared secret", &text(&account["sharedsecret"]));
    needles.add("the app key", &text(&account["appkey"]));
    needles.add("the key of the API", key);
    needles.add("a wrong key of the API", WRONG);
    needles.add_plain("NETOSECRET", &netosecret);
    needles.add_plain("the encryption key", sealing);
    let given = simulator.secrets_given();
    assert!(given.len() > 10, "{}", given.len());
    for secret in given {
        needles.add_plain("a token or signature", &secret);
    }
    (needles, BASE64_STANDARD.decode(sealing).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_gets_out_of_a_service_that_made_its_keys_and_logs_json() {
    search_through_a_session("json", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_gets_out_of_a_service_that_was_given_its_keys_and_logs_text() {
    search_through_a_session("text", Some("planted-admin-key")).await;
}
