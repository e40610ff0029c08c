//! The progress of a run: a bar on a terminal, lines elsewhere.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Shows a run's progress on standard error.
pub(super) struct ProgressDisplay {
    /// On a terminal.
    bar: Option<ProgressBar>,
    /// Elsewhere: what was told last.
    told: String,
}

impl ProgressDisplay {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("  {msg:<20} [{bar:40}] {pos:>3} %  {elapsed}")
                .expect("the template is right")
                .progress_chars("=> ");
            ProgressBar::new(100).with_style(style)
        });
        Self {
            bar,
            told: String::new(),
        }
    }

    /// Shows where a run stands.
    pub(super) fn show(&mut self, run: &Value) {
        let state = run["state"].as_str().unwrap_or_default();
        let doing = if state == "running" {
            run["phase"].as_str().unwrap_or(state)
        } else {
            state
        };
        let percent = run["progress"]["percent"].as_u64().filter(|_| state == "running");
        match &self.bar {
            Some(bar) => {
                bar.set_message(doing.replace('_', " "));
                bar.set_position(percent.unwrap_or_default());
            }
            None if doing != self.told => {
                doing.clone_into(&mut self.told);
                // A closed standard error is no reason to end the demonstration.
                drop(writeln!(std::io::stderr(), "  {}", doing.replace('_', " ")));
            }
            None => {}
        }
    }

    /// Takes the bar away.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
