//! Figures for Prometheus.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::domain::RunRecord;

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
        Self(Arc::new(Inner {
            registry,
            runs,
            pairs,
            report_rows,
            report_bytes,
            requests,
            integrations,
            audit_head,
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

    pub(crate) fn integrations_stored(&self, number: u64) {
        self.0.integrations.set(i64::try_from(number).unwrap_or(i64::MAX));
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

/// From a millisecond to a minute, which `Prefer: wait` may take.
fn new_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 9))
}
