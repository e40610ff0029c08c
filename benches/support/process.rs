//! A process of the program, and what it prints.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wiz_context::clock::Clock;

/// A process of the program, killed when it is dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Process {
    /// Starts the program, `niceness` below the priority of whoever asks for it.
    pub(crate) fn start(niceness: u8, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new("nice");
        command
            .args(["-n", &niceness.to_string(), env!("CARGO_BIN_EXE_wiz-context")])
            .args(arguments)
            .envs(environment.iter().copied());
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
