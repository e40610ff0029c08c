//! The service, in a process of its own.

use std::path::Path;

use crate::neighbours::Neighbours;
use crate::process::Process;

pub(crate) const KEY: &str = "bench-key-that-is-long-enough-for-any-rule";

/// Starts the service on a database in `folder`; the string is where it listens.
pub(crate) async fn serve(
    neighbours: &Neighbours,
    folder: &Path,
    settings: &[(&str, &str)],
) -> (Process, String) {
    let database = format!("sqlite://{}", folder.join("bench.db").display());
    let own = [
        ("NETOSECRET", neighbours.netosecret.as_str()),
        ("WIZ_CONTEXT_ALLOW_HOSTS", &neighbours.hosts),
        ("WIZ_CONTEXT_LISTEN", "127.0.0.1:0"),
        ("WIZ_CONTEXT_DATABASE_URL", &database),
        ("WIZ_CONTEXT_LOG_FORMAT", "json"),
        ("WIZ_CONTEXT_ADMIN_KEY", KEY),
        ("WIZ_CONTEXT_INSTALLATION", "bench"),
        ("WIZ_CONTEXT_API_REQUESTS_PER_SECOND", "off"),
    ];
    let process = Process::start(0, &["serve"], &[&own, settings].concat());
    let text = process.printed_until("\"listening\"").await;
    let line = text.lines().find(|line| line.contains("\"listening\"")).unwrap();
    let from = line.find("127.0.0.1:").unwrap();
    let address = line[from..].chars().take_while(|char| *char != '"').collect();
    (process, address)
}
