//! Figures for Prometheus.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::{Figures, Phase, RunRecord, Timestamp};

/// The methods that the API knows.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The figures. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    runs: Family<RunLabels, Counter>,
    pairs: Family<PairLabels, Counter>,
    report_rows: Counter,
    report_bytes: Counter,
    requests: Family<RequestLabels, Histogram>,
    integrations: Gauge,
    audit_head: Family<HeadLabels, Gauge>,
    phases: Family<PhaseLabels, Histogram>,
    pushed: Family<PushLabels, Counter>,
    upstream: Family<UpstreamLabels, Counter>,
    upstream_waits: Family<CallLabels, Counter<f64, AtomicU64>>,
    unfinished: Family<StateLabels, Gauge>,
    label_ages: Family<IntegrationLabels, Gauge>,
    database_bytes: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    state: &'static str,
    kind: &'static str,
    trigger: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PairLabels {
    change: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeadLabels {
    hash: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabels {
    call: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    call: &'static str,
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    call: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IntegrationLabels {
    integration: String,
}

impl Metrics {
    /// Figures that stand at nought.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("wiz_context");
        let runs = Family::default();
        registry.register(
            "runs",
            "Runs that ended, by state, failure kind and trigger",
            runs.clone(),
        );
        let pairs = Family::default();
        registry.register(
            "pairs",
            "Pairs (ip, context) that runs planned, by change",
            pairs.clone(),
        );
        let report_rows = Counter::default();
        registry.register(
            "report_rows",
            "Rows of reports read as a whole",
            report_rows.clone(),
        );
        let report_bytes = Counter::default();
        registry.register_with_unit(
            "report",
            "Bytes of reports received",
            Unit::Bytes,
            report_bytes.clone(),
        );
        let requests = Family::new_with_constructor(new_histogram as fn() -> Histogram);
        let help = "Time that requests to this service took";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, requests.clone());
        let integrations = Gauge::default();
        registry.register(
            "integrations",
            "Integrations that are stored",
            integrations.clone(),
        );
        let audit_head = Family::default();
        registry.register(
            "audit_head",
            "The hash of the last audit record; an older hash must always be one of the log's",
            audit_head.clone(),
        );
        let version = env!("CARGO_PKG_VERSION");
        registry.register(
            "build",
            "The version of the service",
            Info::new(vec![("version", version)]),
        );
        let phases = Family::new_with_constructor(new_phase_histogram as fn() -> Histogram);
        let help = "Time that runs spent in a phase, an attempt at a time";
        registry.register_with_unit("run_phase_duration", help, Unit::Seconds, phases.clone());
        let pushed = Family::default();
        let help = "Pairs (ip, context) that Fusion answered for, by call and by what it said";
        registry.register("pairs_pushed", help, pushed.clone());
        let upstream = Family::default();
        let help = "Requests to Wiz, to the storage of its reports and to Fusion, by call and status; `none` without an answer";
        registry.register("upstream_requests", help, upstream.clone());
        let upstream_waits = Family::default();
        let help = "Time that requests waited for their turn under the limit of requests a second";
        registry.register_with_unit("upstream_wait", help, Unit::Seconds, upstream_waits.clone());
        let unfinished = Family::default();
        let help = "Runs that wait for a worker, and those that are worked on";
        registry.register("runs_unfinished", help, unfinished.clone());
        let label_ages = Family::default();
        let help =
            "Time since Wiz made the report that the labels follow from; absent before the first success";
        registry.register_with_unit("label_age", help, Unit::Seconds, label_ages.clone());
        let database_bytes = Gauge::default();
        let help = "The size of the database, its log apart";
        registry.register_with_unit("database_size", help, Unit::Bytes, database_bytes.clone());
        Self(Arc::new(Inner {
            registry,
            runs,
            pairs,
            report_rows,
            report_bytes,
            requests,
            integrations,
            audit_head,
            phases,
            pushed,
            upstream,
            upstream_waits,
            unfinished,
            label_ages,
            database_bytes,
        }))
    }

    /// Counts a run that ended.
    pub fn run_ended(&self, run: &RunRecord) {
        let kind = run
            .failure
            .as_ref()
            .map_or("none", |failure| failure.kind.as_str());
        let labels = RunLabels {
            state: run.state.as_str(),
            kind,
            trigger: run.trigger.as_str(),
        };
        self.0.runs.get_or_create(&labels).inc();
        if let Some(certificate) = &run.certificate {
            self.0.report_rows.inc_by(certificate.rows_parsed);
            self.0.report_bytes.inc_by(certificate.bytes);
        }
        let counts = &run.counts;
        for (change, number) in [
            ("added", counts.added),
            ("changed", counts.changed),
            ("removed", counts.removed),
            ("unchanged", counts.unchanged),
            ("rejected", counts.rejected),
        ] {
            self.0.pairs.get_or_create(&PairLabels { change }).inc_by(number);
        }
    }

    pub(crate) fn request_answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        // Whatever a client calls a method would else be kept for ever.
        let known = METHODS.into_iter().find(|known| *known == method);
        let labels = RequestLabels {
            method: known.unwrap_or("other").to_owned(),
            route: route.to_owned(),
            status,
        };
        self.0.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn phase_left(&self, phase: Phase, took: Duration) {
        let labels = PhaseLabels {
            phase: phase.as_str(),
        };
        self.0.phases.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn pairs_pushed(&self, call: &'static str, acknowledged: u64, rejected: u64) {
        for (outcome, number) in [("acknowledged", acknowledged), ("rejected", rejected)] {
            self.0
                .pushed
                .get_or_create(&PushLabels { call, outcome })
                .inc_by(number);
        }
    }

    pub(crate) fn upstream_answered(&self, call: &'static str, status: Option<u16>) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.0
            .upstream
            .get_or_create(&UpstreamLabels { call, status })
            .inc();
    }

    pub(crate) fn turn_waited_for(&self, call: &'static str, waited: Duration) {
        self.0
            .upstream_waits
            .get_or_create(&CallLabels { call })
            .inc_by(waited.as_secs_f64());
    }

    /// Takes over what the database holds.
    pub(crate) fn stored(&self, figures: &Figures, now: Timestamp) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let Inner {
            unfinished,
            label_ages,
            ..
        } = &*self.0;
        self.0.integrations.set(whole(figures.reports.len() as u64));
        self.0.database_bytes.set(whole(figures.database_bytes));
        for (state, number) in [("queued", figures.queued), ("running", figures.running)] {
            unfinished
                .get_or_create(&StateLabels { state })
                .set(whole(number));
        }
        // Those of integrations that are gone are not to stay.
        label_ages.clear();
        for (integration, made) in &figures.reports {
            if let Some(made) = made {
                let labels = IntegrationLabels {
                    integration: integration.clone(),
                };
                label_ages
                    .get_or_create(&labels)
                    .set(whole(now.since(*made).as_secs()));
            }
        }
    }

    pub(crate) fn audit_head_is(&self, hash: String) {
        self.0.audit_head.clear();
        self.0.audit_head.get_or_create(&HeadLabels { hash }).set(1);
    }

    /// All figures in the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).expect("writing to a text does not fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// From a second to three days: reports take hours, runs two days at most.
fn new_phase_histogram() -> Histogram {
    Histogram::new([
        1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 10_800.0, 43_200.0, 86_400.0, 259_200.0,
    ])
}

/// From a millisecond to a minute, which `Prefer: wait` may take.
fn new_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 9))
}
