//! The program under test: started with settings of its own, read through its log, called over HTTP.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::process::ExitStatus;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::JoinHandle;
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use wiz_context::simulator::Simulator;

pub(crate) const INTEGRATIONS: &str = "/api/v1/integrations/context";

/// A folder with a database, and the settings of services that run on it.
pub(crate) struct Place {
    folder: TempDir,
    settings: Vec<(String, String)>,
}

/// A service that listens.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: String,
    /// What it said at its start.
    pub(crate) listening: Value,
    log: Option<JoinHandle<String>>,
    /// All that it answered, head and body.
    answers: Mutex<String>,
    /// Method, path and status of each call.
    calls: Mutex<Vec<(String, String, u16)>>,
}

/// How a service ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Of a command that ended by itself.
    pub(crate) output: String,
    pub(crate) log: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            settings: Vec::new(),
        };
        let url = format!("sqlite://{}", place.path("test.db").display());
        place
            .with("WIZ_CONTEXT_LISTEN", "127.0.0.1:0")
            .with("WIZ_CONTEXT_DATABASE_URL", url)
            .with("WIZ_CONTEXT_LOG_FORMAT", "json")
            // Tests look more often than any caller should.
            .with("WIZ_CONTEXT_API_REQUESTS_PER_SECOND", "off")
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wiz-context"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("WIZ_CONTEXT_") || name.starts_with("NETOSECRET") {
                command.env_remove(&*name);
            }
        }
        command.args(name.split(' ')).current_dir(self.folder.path());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts a service that is to listen.
    pub(crate) fn serve(&self) -> Program {
        let mut child = self.command("serve").stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let listening = loop {
            let line = lines.next().expect(&log).unwrap();
            log.push_str(&line);
            log.push('\n');
            if let Some(record) = listening(&line) {
                break record;
            }
        };
        // Whoever does not read on makes the service wait for a reader.
        let rest = std::thread::spawn(move || {
            for line in lines {
                log.push_str(&line.unwrap());
                log.push('\n');
            }
            log
        });
        let address = listening["address"].as_str().unwrap().to_owned();
        Program {
            child,
            address,
            listening,
            log: Some(rest),
            answers: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// Starts a service that is to end by itself.
    pub(crate) fn refused(&self) -> Ended {
        self.refused_with(&[])
    }

    pub(crate) fn refused_with(&self, flags: &[&str]) -> Ended {
        self.end_of("serve", flags)
    }

    /// How a command ends that ends by itself, with the settings of this place.
    pub(crate) fn end_of(&self, command: &str, flags: &[&str]) -> Ended {
        let mut command = self.command(command);
        command.args(flags).stdout(Stdio::piped());
        let output = command.output().unwrap();
        Ended {
            code: output.status.code(),
            output: String::from_utf8(output.stdout).unwrap(),
            log: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The admin key that the service was given, else made.
    pub(crate) fn admin_key(&self) -> String {
        let given = self
            .settings
            .iter()
            .find(|(name, _)| name == "WIZ_CONTEXT_ADMIN_KEY");
        if let Some((_, key)) = given {
            return key.clone();
        }
        let made = fs::read_to_string(self.path("admin-key")).unwrap();
        made.trim_end().to_owned()
    }

    /// All files of the folder, by name.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let file = |path: PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        };
        entries.map(|entry| file(entry.unwrap().path())).collect()
    }
}

/// What a line of either form of the log says, when it is the one that says where the service listens.
fn listening(line: &str) -> Option<Value> {
    if let Ok(record) = serde_json::from_str::<Value>(line) {
        return (record["message"] == "listening").then_some(record);
    }
    let (_, fields) = line.split_once(": listening ")?;
    let (_, rest) = fields.split_once("address=")?;
    let address = rest.split(' ').next()?.trim_matches('"');
    Some(json!({"address": address}))
}

impl Program {
    /// The status and body of a call, with a key or without one; waits for the end of a run.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, body) = self.exchange(method, path, key, &["prefer: wait=60"], &body);
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// The same with headers and a body as they come.
    pub(crate) fn exchange(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        headers: &[&str],
        body: &str,
    ) -> (u16, String) {
        let mut head = vec![
            format!("{method} {path} HTTP/1.1"),
            format!("host: {}", self.address),
            "connection: close".to_owned(),
            "content-type: application/json".to_owned(),
            format!("content-length: {}", body.len()),
        ];
        head.extend(key.map(|key| format!("authorization: Bearer {key}")));
        head.extend(headers.iter().map(ToString::to_string));
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{}\r\n\r\n{body}", head.join("\r\n")).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        self.answers.lock().unwrap().push_str(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let call = (method.to_owned(), path.to_owned(), status);
        self.calls.lock().unwrap().push(call);
        (status, body.to_owned())
    }

    /// Takes a secret out of the answers, which hold it once.
    pub(crate) fn forget(&self, secret: &str) {
        let mut answers = self.answers.lock().unwrap();
        assert_eq!(answers.matches(secret).count(), 1);
        *answers = answers.replace(secret, "");
    }

    /// Method, path and status of each call so far.
    pub(crate) fn calls(&self) -> Vec<(String, String, u16)> {
        self.calls.lock().unwrap().clone()
    }

    /// All that it answered so far, head and body.
    pub(crate) fn answers(&self) -> String {
        self.answers.lock().unwrap().clone()
    }

    /// Makes an integration that does nothing by itself; gives its id.
    pub(crate) fn create(&self, key: &str, wiz: &Value) -> String {
        let body =
            json!({"name": "wiz1", "type": "wiz", "enabled": false, "updateinterval": 86_400, "wiz": wiz});
        let (status, answer) = self.call("POST", INTEGRATIONS, Some(key), Some(&body));
        assert_eq!(status, 201, "{answer}");
        answer["data"][0]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still takes connections.
    pub(crate) fn listens(&self) -> bool {
        TcpStream::connect(&self.address).is_ok()
    }

    pub(crate) fn signal(&self, name: &str) {
        // The shell has `kill` built in, and a standard library that sends signals there is not.
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Asks the service to end, and waits for it.
    pub(crate) fn terminate(mut self) -> Ended {
        self.signal("TERM");
        let code = self.child.wait().unwrap().code();
        let log = self.log.take().unwrap().join().unwrap();
        let output = String::new();
        Ended { code, output, log }
    }

    /// How it ended, if it does within a time.
    #[cfg(target_os = "linux")]
    #[expect(clippy::disallowed_methods, reason = "another process has no clock of a test")]
    pub(crate) fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + time;
        loop {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() >= end {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends the service without its doing, as a lack of memory would.
    pub(crate) fn kill(mut self) {
        self.end_at_once();
    }

    /// The same, for who keeps it until the next one is there.
    pub(crate) fn end_at_once(&mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(
            status.signal(),
            Some(9),
            "it ended before it was killed: {status}"
        );
        self.log.take().unwrap().join().unwrap();
    }

    /// Asks the service to end; nothing is to go wrong.
    pub(crate) fn stop(self) -> String {
        let Ended { code, log, .. } = self.terminate();
        assert_eq!(code, Some(0), "{log}");
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!(last["message"], "stopped", "{log}");
        assert!(!log.contains(r#""level":"ERROR""#), "{log}");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind; for an ended process both are in vain.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Wiz part of an integration that points to Wiz itself.
pub(crate) fn wiz() -> Value {
    json!({
        "apiendpoint": "https://api.us17.app.wiz.io/graphql", "tokenurl": "https://auth.app.wiz.io/oauth/token",
        "clientid": "planted-client", "clientsecret": "planted-client-secret",
    })
}

/// The Wiz part of an integration that points to the simulator.
pub(crate) fn wiz_of(simulator: &Simulator) -> Value {
    json!({
        "apiendpoint": simulator.api_endpoint(), "tokenurl": simulator.token_url(),
        "clientid": simulator.client_id(), "clientsecret": simulator.client_secret(),
    })
}
