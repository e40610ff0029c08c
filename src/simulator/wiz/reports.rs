//! Reports and their runs: what the account's Wiz keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::simulator::fault::Effect;

use super::file::PendingFile;
use super::spec::Spec;

/// A report.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) spec: Spec,
    /// Its runs, the oldest first.
    pub(super) runs: Vec<String>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    stale: Option<Stale>,
}

/// The time after a rerun in which the report still names the run before as its last.
#[derive(Debug)]
struct Stale {
    until: Timestamp,
    reads_left: u32,
    shown: Option<String>,
}

/// A run of a report.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) report: String,
    pub(super) started_at: Timestamp,
    duration: Duration,
    end: End,
    pub(super) file: PendingFile,
    count: Count,
}

#[derive(Debug)]
enum End {
    Completed,
    Failed(String),
    Expired,
}

/// How the run counts its rows.
#[derive(Debug)]
enum Count {
    Plus(i64),
    Unsaid,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) status: &'static str,
    pub(super) progress: u8,
    pub(super) failed_reason: Option<String>,
}

impl Run {
    pub(super) fn new(
        report: String,
        started_at: Timestamp,
        duration: Duration,
        file: PendingFile,
        effects: Vec<Effect>,
    ) -> Self {
        let (mut end, mut count) = (End::Completed, Count::Plus(0));
        for effect in effects {
            match effect {
                Effect::ReportFailed { reason } => end = End::Failed(reason),
                Effect::ReportExpired => end = End::Expired,
                Effect::CountPlus { rows } => count = Count::Plus(rows),
                Effect::CountNull => count = Count::Unsaid,
                _ => {}
            }
        }
        Self {
            report,
            started_at,
            duration,
            end,
            file,
            count,
        }
    }

    /// Whether its time is over, be its file ready or not.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now.since(self.started_at) >= self.duration
    }

    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        let standing = |status, progress, failed_reason| Standing {
            status,
            progress,
            failed_reason,
        };
        let (elapsed, whole) = (now.since(self.started_at).as_millis(), self.duration.as_millis());
        match &self.end {
            _ if elapsed < whole / 10 => standing("QUEUED", 0, None),
            End::Failed(reason) if elapsed >= whole => standing("FAILED", 0, Some(reason.clone())),
            End::Expired if elapsed >= whole => standing("EXPIRED", 100, None),
            End::Completed if elapsed >= whole => match self.file.made() {
                None => standing("IN_PROGRESS", 99, None),
                Some(Ok(_)) => standing("COMPLETED", 100, None),
                Some(Err(problem)) => standing("FAILED", 0, Some(problem)),
            },
            _ => {
                let percent = u8::try_from(elapsed * 100 / whole.max(1)).unwrap_or(99).min(99);
                standing("IN_PROGRESS", percent, None)
            }
        }
    }

    /// How many rows the run says that it has; none until it completed.
    pub(super) fn count(&self, now: Timestamp) -> Option<i64> {
        let completed = self.standing(now).status == "COMPLETED";
        match (self.count_of_file().filter(|_| completed)?, &self.count) {
            (rows, Count::Plus(more)) => Some(rows.saturating_add(*more)),
            (_, Count::Unsaid) => None,
        }
    }

    fn count_of_file(&self) -> Option<i64> {
        let file = self.file.made()?.ok()?;
        i64::try_from(file.rows?).ok()
    }

    /// Ends it where it stands.
    pub(super) fn cancel(&mut self) {
        self.end = End::Failed("the run was cancelled".to_owned());
        self.duration = Duration::ZERO;
    }

    fn expire(&mut self) {
        self.end = End::Expired;
        self.file = PendingFile::gone();
    }
}

/// All reports of the account.
#[derive(Debug, Default)]
pub(super) struct Reports {
    by_id: BTreeMap<String, Report>,
    runs: BTreeMap<String, Run>,
    made: u64,
    /// What tells this account's ids from another's.
    account: u32,
}

impl Reports {
    /// Files are kept for so many runs of a report; what is older expires.
    const FILES_KEPT: usize = 3;

    /// An id that nothing had before. Ids order by age.
    fn new_id(&mut self, kind: u64) -> String {
        if self.made == 0 {
            self.account = fastrand::u32(..);
        }
        self.made += 1;
        uuid::Uuid::from_u64_pair(
            kind << 48 | u64::from(self.account) << 16 | 0x4000,
            0x8000_0000_0000_0000 | self.made,
        )
        .to_string()
    }

    /// Takes up a new report. Returns its id.
    pub(super) fn create(&mut self, spec: Spec, now: Timestamp) -> String {
        let id = self.new_id(0x5e60);
        let (created_at, updated_at) = (now, now);
        let report = Report {
            spec,
            runs: Vec::new(),
            created_at,
            updated_at,
            stale: None,
        };
        self.by_id.insert(id.clone(), report);
        id
    }

    /// Takes up a new run of a report, which may keep naming the run before for a while. Returns its id.
    pub(super) fn start(&mut self, run: Run, stale_reads: u32, stale_for: Duration) -> String {
        let id = self.new_id(0x5e61);
        let now = run.started_at;
        let report = self
            .by_id
            .get_mut(&run.report)
            .expect("a run is started for a report that exists");
        if let Some(before) = report.runs.last() {
            let shown = Some(before.clone());
            report.stale = Some(Stale {
                until: now + stale_for,
                reads_left: stale_reads,
                shown,
            });
        }
        report.runs.push(id.clone());
        for old in report.runs.iter().rev().skip(Self::FILES_KEPT) {
            if let Some(old) = self.runs.get_mut(old) {
                old.expire();
            }
        }
        self.runs.insert(id.clone(), run);
        id
    }

    pub(super) fn report(&self, id: &str) -> Option<&Report> {
        self.by_id.get(id)
    }

    pub(super) fn report_mut(&mut self, id: &str) -> Option<&mut Report> {
        self.by_id.get_mut(id)
    }

    pub(super) fn delete(&mut self, id: &str) -> Option<Report> {
        let report = self.by_id.remove(id)?;
        for run in &report.runs {
            self.runs.remove(run);
        }
        Some(report)
    }

    /// The reports by age.
    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &Report)> {
        self.by_id.iter()
    }

    pub(super) fn run(&self, id: &str) -> Option<&Run> {
        self.runs.get(id)
    }

    pub(super) fn run_mut(&mut self, id: &str) -> Option<&mut Run> {
        self.runs.get_mut(id)
    }

    /// The runs, the newest first.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&String, &Run)> {
        self.runs.iter().rev()
    }

    /// The run that a report names as its last; for a while after a rerun that is the one before. A read brings the end
    /// of that while nearer.
    pub(super) fn last_run(&mut self, report: &str, now: Timestamp, is_read: bool) -> Option<String> {
        let report = self.by_id.get_mut(report)?;
        match &mut report.stale {
            Some(stale) if now < stale.until && stale.reads_left > 0 => {
                if is_read {
                    stale.reads_left -= 1;
                }
                stale.shown.clone()
            }
            _ => report.runs.last().cloned(),
        }
    }

    /// The files of runs whose time is over, that are still being made.
    pub(super) fn due_files(&self, now: Timestamp) -> Vec<PendingFile> {
        let due = self
            .runs
            .values()
            .filter(|run| run.is_due(now) && run.file.made().is_none());
        due.map(|run| run.file.clone()).collect()
    }

    /// The newest run of a report that completed.
    pub(super) fn last_successful_run(&self, report: &str, now: Timestamp) -> Option<String> {
        let completed = |id: &&String| {
            self.runs
                .get(*id)
                .is_some_and(|run| run.standing(now).status == "COMPLETED")
        };
        self.by_id.get(report)?.runs.iter().rev().find(completed).cloned()
    }
}
