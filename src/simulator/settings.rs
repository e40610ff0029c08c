//! What the simulated account looks like.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::generator::{Column, GeneratorSettings};

/// What the simulated neighbours are like. The default is a small account in which everything goes well.
#[derive(Clone, Debug)]
pub struct SimulatorSettings {
    /// Where to listen. Default: a free port of 127.0.0.1.
    pub listen: SocketAddr,
    /// The `host:port` under which clients reach it, when that is another than the address it listens on.
    pub public_host: Option<String>,
    /// The report that Wiz makes until another one is set.
    pub generator: GeneratorSettings,
    /// How long a run of the report takes by the clock. Default 2 s.
    pub report_duration: Duration,
    /// How many times a report names its previous run as the last one after a rerun. Default 2.
    pub stale_last_run_reads: u32,
    /// How long it does so at most, by the clock. Default 1 hour.
    pub stale_last_run_for: Duration,
    /// How long a token of Wiz lasts. Default 24 h, as in commercial tenants; 15 minutes in government ones.
    pub wiz_token_life: Duration,
    /// How long a token of Fusion lasts. Default 1 h.
    pub fusion_token_life: Duration,
    /// How long the pre-signed URL of a report file lasts. Default 15 minutes.
    pub url_life: Duration,
    /// The audience that the token URL wants. Default `wiz-api`.
    pub audience: String,
    /// What the service account may do. Default: the four scopes that a run takes.
    pub scopes: BTreeSet<String>,
    /// Columns that cannot be selected. Default: none.
    pub refused_columns: Vec<Column>,
    /// Whether any selection of columns is refused.
    pub refuse_selection: bool,
    /// Whether a compressed report comes with `Content-Encoding: gzip` instead of as a gzip file.
    pub gzip_as_encoding: bool,
    /// The HTTP status of an unknown id. Default 404.
    pub not_found_status: u16,
    /// More GraphQL requests than this in a second are a violation. Default 10.
    pub wiz_requests_per_second: u32,
    /// The largest body that Fusion takes. Default 4 MiB.
    pub fusion_body_bytes: usize,
    /// Whether Fusion counts only the records that a write really changed.
    pub count_only_changes: bool,
}

impl Default for SimulatorSettings {
    fn default() -> Self {
        let scopes = [
            "create:reports",
            "read:reports",
            "update:reports",
            "read:vulnerabilities",
        ];
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public_host: None,
            generator: GeneratorSettings::default(),
            report_duration: Duration::from_secs(2),
            stale_last_run_reads: 2,
            stale_last_run_for: Duration::from_hours(1),
            wiz_token_life: Duration::from_hours(24),
            fusion_token_life: Duration::from_hours(1),
            url_life: Duration::from_mins(15),
            audience: "wiz-api".to_owned(),
            scopes: scopes.map(str::to_owned).into(),
            refused_columns: Vec::new(),
            refuse_selection: false,
            gzip_as_encoding: false,
            not_found_status: 404,
            wiz_requests_per_second: 10,
            fusion_body_bytes: 4 * 1024 * 1024,
            count_only_changes: false,
        }
    }
}
