//! The queries that Wiz is asked, each in its own file. A test checks them, and the variables that go
//! with them, against the types they use (`tests/wiz-schema.graphql`).

use crate::outgoing::Repeat;

/// A query, and what has to be known about it when it fails.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// The name in spans and logs.
    pub(super) name: &'static str,
    /// The document.
    pub(super) text: &'static str,
    /// What it is for, in words that go on after "could not".
    pub(super) purpose: &'static str,
    /// The permission that the service account needs for it.
    pub(super) scope: &'static str,
    /// Whether it may be sent again when its answer is lost.
    pub(super) repeat: Repeat,
}

/// Reports by a part of their name.
pub(super) const FIND_REPORTS: Query = Query {
    name: "wiz.find_reports",
    text: include_str!("queries/find_reports.graphql"),
    purpose: "look for the report",
    scope: "read:reports",
    repeat: Repeat::Harmless,
};

/// One report.
pub(super) const READ_REPORT: Query = Query {
    name: "wiz.read_report",
    text: include_str!("queries/read_report.graphql"),
    purpose: "read the report",
    scope: "read:reports",
    repeat: Repeat::Harmless,
};

/// The last run of a report that succeeded.
pub(super) const READ_LAST_SUCCESS: Query = Query {
    name: "wiz.read_last_success",
    text: include_str!("queries/read_last_success.graphql"),
    purpose: "read the report",
    scope: "read:reports",
    repeat: Repeat::Harmless,
};

/// A new report, which Wiz runs at once. Not repeated: it can have been made although the answer was lost.
pub(super) const CREATE_REPORT: Query = Query {
    name: "wiz.create_report",
    text: include_str!("queries/create_report.graphql"),
    purpose: "create the report",
    scope: "create:reports",
    repeat: Repeat::OnlyUnsent,
};

/// Other parameters for a report. Repeating it sets the same ones again.
pub(super) const UPDATE_REPORT: Query = Query {
    name: "wiz.update_report",
    text: include_str!("queries/update_report.graphql"),
    purpose: "update the report",
    scope: "update:reports",
    repeat: Repeat::Harmless,
};

/// A new run of a report. Not repeated: a second one would be a second run.
pub(super) const RERUN_REPORT: Query = Query {
    name: "wiz.rerun_report",
    text: include_str!("queries/rerun_report.graphql"),
    purpose: "run the report again",
    scope: "update:reports",
    repeat: Repeat::OnlyUnsent,
};

/// One run of a report.
pub(super) const READ_REPORT_RUN: Query = Query {
    name: "wiz.read_report_run",
    text: include_str!("queries/read_report_run.graphql"),
    purpose: "read the report's run",
    scope: "read:reports",
    repeat: Repeat::Harmless,
};

/// The runs of a report.
pub(super) const LIST_REPORT_RUNS: Query = Query {
    name: "wiz.list_report_runs",
    text: include_str!("queries/list_report_runs.graphql"),
    purpose: "list the report's runs",
    scope: "read:reports",
    repeat: Repeat::Harmless,
};

/// Whether the service account sees any finding: without the permission a report comes out empty, or fails.
pub(super) const SEE_FINDING: Query = Query {
    name: "wiz.see_finding",
    text: include_str!("queries/see_finding.graphql"),
    purpose: "see vulnerability findings",
    scope: "read:vulnerabilities",
    repeat: Repeat::Harmless,
};

/// Findings with the addresses of what they are found on, for a check of the connection.
pub(super) const SEE_ADDRESSES: Query = Query {
    name: "wiz.see_addresses",
    text: include_str!("queries/see_addresses.graphql"),
    purpose: "see vulnerability findings",
    scope: "read:vulnerabilities",
    repeat: Repeat::Harmless,
};

/// All of them, for the test.
#[cfg(test)]
pub(super) const ALL: [&Query; 10] = [
    &FIND_REPORTS,
    &READ_REPORT,
    &READ_LAST_SUCCESS,
    &CREATE_REPORT,
    &UPDATE_REPORT,
    &RERUN_REPORT,
    &READ_REPORT_RUN,
    &LIST_REPORT_RUNS,
    &SEE_FINDING,
    &SEE_ADDRESSES,
];
