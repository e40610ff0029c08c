//! The simulated neighbours, in a process of their own.

use serde_json::Value;

use crate::process::Process;

/// The simulated neighbours, with what a service is told of them.
pub(crate) struct Neighbours {
    _process: Process,
    pub(crate) netosecret: String,
    pub(crate) hosts: String,
    pub(crate) integration: Value,
}

impl Neighbours {
    /// Starts the simulator on a free port, with these arguments beside.
    pub(crate) async fn start(niceness: u8, arguments: &[&str]) -> Self {
        let listen = ["simulate", "--listen", "127.0.0.1:0", "--report-seconds", "0"];
        let process = Process::start(niceness, &[&listen, arguments].concat(), &[]);
        let text = process.printed_until("# Let a download").await;
        let line = |prefix: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(prefix));
            line.unwrap().to_owned()
        };
        let body = &text[text.find("\n{").unwrap()..text.find("# The labels").unwrap()];
        Self {
            netosecret: line("export NETOSECRET="),
            hosts: line("export WIZ_CONTEXT_ALLOW_HOSTS="),
            integration: serde_json::from_str(body).unwrap(),
            _process: process,
        }
    }
}
