//! A run: one attempt after the other to make Fusion's labels equal to what Wiz knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AttemptRecord, Failure, IntegrationId, RowCountRule, RunId, Timestamp};

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        impl $name {
            /// All values, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word that stands for it in answers, metrics and the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The value of a word.
            pub fn read(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Waiting for a worker.
    Queued,
    /// Under way, or between two attempts.
    Running,
    /// Everything wanted is in Fusion; of a dry run: the plan is known.
    Succeeded,
    /// Ended with removals kept back until a person approves them.
    Held,
    /// Ended by a failure.
    Failed,
    /// Ended by a person, or by an edit of where the integration points.
    Cancelled,
}

words!(RunState {
    Queued = "queued", Running = "running", Succeeded = "succeeded", Held = "held", Failed = "failed",
    Cancelled = "cancelled",
});

impl RunState {
    /// Whether nothing will happen to the run any more.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// What a run that is under way is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Getting a token from Wiz.
    SigningIn,
    /// Finding, making, changing or rerunning the report.
    RequestingReport,
    /// Wiz makes the report.
    WaitingForReport,
    /// The report is fetched and read.
    Downloading,
    /// What has to change is worked out; also while another run of the same Fusion account has its turn.
    Planning,
    /// The changes go to Fusion.
    Pushing,
}

words!(Phase {
    SigningIn = "signing_in", RequestingReport = "requesting_report", WaitingForReport = "waiting_for_report",
    Downloading = "downloading", Planning = "planning", Pushing = "pushing",
});

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person, by the run call.
    Manual,
    /// *Create and Run*.
    Create,
    /// The schedule.
    Schedule,
    /// The approval of what another run held back.
    Approval,
    /// The removal of a deleted integration's labels.
    Removal,
    /// The comparison of the ledger with Fusion.
    Verify,
}

words!(Trigger {
    Manual = "manual", Create = "create", Schedule = "schedule", Approval = "approval", Removal = "removal",
    Verify = "verify",
});

impl Trigger {
    /// Whether its runs fetch a report.
    pub const fn fetches_report(self) -> bool {
        matches!(self, Self::Manual | Self::Create | Self::Schedule)
    }

    /// Whether a run of this trigger also does what a start by the other one asks for.
    pub fn can_serve(self, other: Self) -> bool {
        self == other || (self.fetches_report() && other.fetches_report())
    }
}

/// Which run of the report a run reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportChoice {
    /// A new one, which it asks Wiz for.
    #[default]
    Rerun,
    /// The last one that completed.
    Last,
}

words!(ReportChoice { Rerun = "rerun", Last = "last" });

/// What a run was asked for beside its integration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunFlags {
    /// Work out the plan and push nothing.
    pub dry_run: bool,
    /// Send every wanted pair, whatever the ledger says.
    pub full: bool,
    /// Which run of the report to read.
    pub report: ReportChoice,
}

/// How far the present phase has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Progress {
    /// Rows of the report read, or while pushing: pairs settled; of a verification: addresses compared.
    pub rows: u64,
    /// Rows that Wiz counted, or while pushing: pairs to send; of a verification: addresses to compare. Null while unknown.
    pub rows_total: Option<u64>,
    /// Bytes of the report received.
    pub bytes: u64,
    /// Rows read, or pairs settled, in a second, as the average of the phase; null while unknown, and once nothing moves.
    pub rows_per_s: Option<u64>,
    /// How much of the phase is done, 0 to 100; while Wiz makes the report, Wiz's own figure. Null while unknown.
    pub percent: Option<u8>,
    /// Seconds until the phase ends at the rate so far; null while unknown, and once nothing moves.
    pub eta_s: Option<u64>,
    /// What the phase waits for or does, in words; null when there is nothing to add.
    pub detail: Option<String>,
    /// When something last moved.
    pub updated_at: Option<Timestamp>,
}

impl Progress {
    /// Whether another tells of the same place: nothing moved between them.
    pub fn is_where(&self, other: &Self) -> bool {
        (self.rows, self.bytes, self.percent, &self.detail)
            == (other.rows, other.bytes, other.percent, &other.detail)
    }
}

/// Whether a report proved to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that proves completeness held.
    Complete,
    /// Complete, with warnings: see `warnings`.
    CompleteWithWarnings,
}

/// Something that proved that a report was whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// As many bytes came as were announced.
    AnnouncedLength,
    /// The trailer of the gzip stream held: its length and its checksum.
    GzipTrailer,
    /// Every quote was closed, and every row had as many cells as the header.
    ClosedRows,
    /// The columns that are needed were there.
    NeededColumns,
    /// No fewer rows came than Wiz counted.
    RowCount,
}

/// What proves that a report was read as a whole. A run without one pushes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// The report in Wiz.
    pub report_id: String,
    /// The run of that report.
    pub report_run_id: String,
    /// When Wiz ran it.
    pub report_run_at: Timestamp,
    /// The rows that Wiz counted, if it said.
    pub rows_expected: Option<u64>,
    /// The rows that were read.
    pub rows_parsed: u64,
    /// The bytes that were received, as they came over the wire.
    pub bytes: u64,
    /// The report's header.
    pub columns: Vec<String>,
    /// The statuses of findings that the report was asked for, in Wiz's words; empty when that is not known.
    #[serde(default)]
    pub statuses: Vec<String>,
    /// The kinds of assets that it was asked for, likewise.
    #[serde(default)]
    pub asset_types: Vec<String>,
    /// What was skipped in its reading: reason → number.
    #[serde(default)]
    pub skipped: Skipped,
    /// The codes of the warnings that its reading gave.
    pub warnings: Vec<String>,
    /// What proved that it was whole. What is not here could not be proved, as the count of rows that Wiz did not tell.
    #[serde(default)]
    pub proofs: Vec<Proof>,
    /// What fewer rows than Wiz counted would have meant; null in records of versions that did not note it.
    #[serde(default)]
    pub row_count_rule: Option<RowCountRule>,
    /// The verdict.
    pub verdict: Verdict,
}

/// What a run read and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Counts {
    /// Counting findings in the report.
    pub findings: u64,
    /// Assets with a counting finding.
    pub assets: u64,
    /// Addresses with a counting finding.
    pub addresses: u64,
    /// Addresses that several assets share.
    pub shared_addresses: u64,
    /// Pairs that Fusion did not hold by the ledger.
    pub added: u64,
    /// Pairs whose value changed, or was in doubt.
    pub changed: u64,
    /// Pairs that nothing wants any more.
    pub removed: u64,
    /// Pairs that were right already.
    pub unchanged: u64,
    /// Pairs whose removal is kept back.
    pub held: u64,
    /// Pairs that Fusion refused.
    pub rejected: u64,
    /// Pairs that Fusion acknowledged so far: of those added, changed and removed, what was pushed.
    pub pushed: u64,
}

/// What was skipped: reason → number.
pub type Skipped = BTreeMap<String, u64>;

/// Something that a person should know of, though the run went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// A stable word for it.
    pub code: String,
    /// The sentence for the reader.
    pub message: String,
}

impl Warning {
    /// A warning.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

/// By whom and why a run was told to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cancellation {
    /// The name of the key that did it.
    pub user: String,
    /// Why; `edited` when the integration was changed to point elsewhere.
    #[schema(example = "edited")]
    pub reason: String,
    /// What had been pushed when it ended, in words; null while it comes to its end.
    #[schema(example = "300 pairs had been pushed; Fusion keeps them.")]
    pub pushed: Option<String>,
}

impl Cancellation {
    /// What is said of a cancelled run that pushed so many pairs.
    pub fn pushed_in_words(pairs: u64) -> String {
        match pairs {
            0 => "Nothing had been pushed.".to_owned(),
            1 => "1 pair had been pushed; Fusion keeps it.".to_owned(),
            _ => format!("{pairs} pairs had been pushed; Fusion keeps them."),
        }
    }
}

/// The whole record of a run, as answers carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunRecord {
    /// The run's id, a UUIDv7.
    pub id: RunId,
    /// The integration it belongs to.
    pub integration: IntegrationId,
    /// Where it stands.
    pub state: RunState,
    /// What it is doing, or was doing when it ended; null while it waits to begin.
    pub phase: Option<Phase>,
    /// What started it.
    pub trigger: Trigger,
    /// Whether it only works out the plan; of a verification: whether it leaves Fusion as it is.
    pub dry_run: bool,
    /// Which run of the report it was to read.
    pub report_choice: ReportChoice,
    /// How many attempts were begun.
    pub attempts: u32,
    /// The attempts, the newest 50, in their order.
    pub attempt_log: Vec<AttemptRecord>,
    /// The entity tag of the settings that the last attempt read; null before the first.
    pub settings_etag: Option<String>,
    /// How far the present phase has come.
    pub progress: Progress,
    /// What proves that the report was read as a whole; null until it was.
    pub certificate: Option<Certificate>,
    /// What it read and did.
    pub counts: Counts,
    /// What was skipped, reason → number.
    pub skipped: Skipped,
    /// What a person should know of.
    pub warnings: Vec<Warning>,
    /// Why it failed; while it is under way: why the last attempt ended. Else null.
    pub failure: Option<Failure>,
    /// By whom and why it was told to end; null when it was not.
    pub cancellation: Option<Cancellation>,
    /// Who approved what it applies; null but for an approval.
    pub approved_by: Option<String>,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_certificate_of_an_older_version_still_reads() {
        let old = json!({
            "report_id": "r", "report_run_id": "rr", "report_run_at": "2026-11-24T04:04:50Z", "rows_expected": 3,
            "rows_parsed": 3, "bytes": 100, "columns": ["Name"], "warnings": [], "verdict": "complete",
        });
        let certificate: Certificate = serde_json::from_value(old).unwrap();
        assert_eq!(
            (certificate.rows_parsed, certificate.verdict),
            (3, Verdict::Complete)
        );
        assert_eq!(
            (certificate.proofs, certificate.row_count_rule),
            (Vec::new(), None)
        );
        assert!(certificate.statuses.is_empty() && certificate.skipped.is_empty());
    }
}
