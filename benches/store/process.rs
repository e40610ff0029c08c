//! A process of the program: what it prints, and what it uses.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wiz_context::clock::Clock;

/// A process of the program, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Process {
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wiz-context"));
        command.args(arguments).envs(environment.iter().copied());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        gather(child.stdout.take().unwrap(), Arc::clone(&lines));
        gather(child.stderr.take().unwrap(), Arc::clone(&lines));
        Self { child, lines }
    }

    /// All that it printed, once a line begins with `last`.
    pub(crate) async fn printed_until(&self, last: &str) -> String {
        loop {
            let lines = self.lines_since(0);
            if lines
                .iter()
                .any(|(_, line)| line.starts_with(last) || line.contains(last))
            {
                return lines.into_iter().map(|(_, line)| line + "\n").collect();
            }
            Clock::system().sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn lines_since(&self, start: usize) -> Vec<(Instant, String)> {
        self.lines.lock().unwrap()[start..].to_vec()
    }

    pub(crate) fn printed(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    /// The most memory since [`Process::forget_peak`], in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.figure("status", "VmHWM:")
    }

    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// The bytes that it gave the system to write to disk.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.figure("io", "write_bytes:")
    }

    fn figure(&self, file: &str, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn gather(from: impl Read + Send + 'static, lines: Arc<Mutex<Vec<(Instant, String)>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            lines.lock().unwrap().push((Instant::now(), line));
        }
    });
}
