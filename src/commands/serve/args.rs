//! The flags and variables of `serve`, as texts: what they mean is read in `read`.

use std::ffi::OsString;

use clap::Args;

use crate::commands::database_args::{DatabaseArgs, EncryptionKeyArgs};

// Lines that fit into any terminal: wrapped ones would lose their columns.
const AFTER_HELP: &str = "\
Secrets come from the environment or from files, never from flags:
  NETOSECRET
      The Fusion account, as Fusion shows it when an API key is created.
      Without it every run is a dry run.
  WIZ_CONTEXT_ADMIN_KEY
      An API key that may do everything, valid while it is set.
      Usually: the one in the file `admin-key` beside the database, which is
      made at the first start.
  WIZ_CONTEXT_ENCRYPTION_KEY
      The keys that seal stored secrets: id:base64(32 bytes)[,older...]. The
      first one seals. Usually: those in the file `encryption-key` beside the
      database, which is made at the first start.
Each may be in a file instead, which is named by the variable with _FILE at its
end, or by the flag; not both.

An empty variable counts as unset. A flag goes before its variable. SIGTERM and
ctrl-c end the service within 10 seconds.";

/// Serve the API and carry out the runs
///
/// Needs no settings for a first start: it listens on this machine only, makes its database and keys in the working
/// directory, and says in its log where they are.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct ServeArgs {
    /// Where to listen; 0.0.0.0:8080 listens on all addresses
    #[arg(
        long,
        env = "WIZ_CONTEXT_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080"
    )]
    pub(super) listen: String,
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    /// Whether to serve the API's documentation at /docs: on or off
    #[arg(long, env = "WIZ_CONTEXT_DOCS", value_name = "ON|OFF", default_value = "on")]
    pub(super) docs: String,
    /// How many requests per second the API takes of one key, or `off`; ten seconds' worth of them may come at once
    #[arg(
        long,
        env = "WIZ_CONTEXT_API_REQUESTS_PER_SECOND",
        value_name = "NUMBER|off",
        default_value = "50"
    )]
    pub(super) api_requests_per_second: String,
    /// Origins whose web pages may call the API, comma-separated, as in `https://portal.example.com`
    #[arg(
        long,
        env = "WIZ_CONTEXT_CORS_ORIGINS",
        value_name = "ORIGINS",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) cors_origins: String,
    #[command(flatten)]
    pub(super) accounts: AccountArgs,
    #[command(flatten)]
    pub(super) runs: RunArgs,
    #[command(flatten)]
    pub(super) history: HistoryArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Accounts and keys")]
pub(super) struct AccountArgs {
    /// A file with the NETOSECRET of the Fusion account
    #[arg(
        long,
        env = "NETOSECRET_FILE",
        value_name = "FILE",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) netosecret_file: OsString,
    /// A file with an API key that may do everything
    #[arg(
        long,
        env = "WIZ_CONTEXT_ADMIN_KEY_FILE",
        value_name = "FILE",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) admin_key_file: OsString,
    #[command(flatten)]
    pub(super) encryption_key: EncryptionKeyArgs,
    /// Hosts beside Wiz's and Fusion's that may be reached, comma-separated: `host` or `host:port`. The only way to private
    /// addresses, to other ports than 443 and to http://
    #[arg(
        long,
        env = "WIZ_CONTEXT_ALLOW_HOSTS",
        value_name = "HOSTS",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) allow_hosts: String,
    /// A PEM file with certificate authorities to trust beside the system's
    #[arg(
        long,
        env = "WIZ_CONTEXT_CA_FILE",
        value_name = "FILE",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) ca_file: OsString,
    /// How many requests per second Wiz gets for one service account
    #[arg(
        long,
        env = "WIZ_CONTEXT_WIZ_REQUESTS_PER_SECOND",
        value_name = "NUMBER",
        default_value = "3"
    )]
    pub(super) wiz_requests_per_second: String,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Reports and runs")]
pub(super) struct RunArgs {
    /// This installation's part of its reports' names in Wiz; made at the first start, and stored
    #[arg(
        long,
        env = "WIZ_CONTEXT_INSTALLATION",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) installation: String,
    /// Networks whose addresses get no labels, comma-separated
    #[arg(
        long,
        env = "WIZ_CONTEXT_SKIP_NETWORKS",
        value_name = "NETWORKS",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) skip_networks: String,
    /// The kinds of assets that reports are asked for, comma-separated
    #[arg(
        long,
        env = "WIZ_CONTEXT_ASSET_TYPES",
        value_name = "TYPES",
        default_value = "VIRTUAL_MACHINE,NETWORK_ADDRESS"
    )]
    pub(super) asset_types: String,
    /// What a report with fewer rows than Wiz counted is: incomplete (strict), or good but for a warning (warn)
    #[arg(
        long,
        env = "WIZ_CONTEXT_ROW_COUNT",
        value_name = "STRICT|WARN",
        default_value = "strict"
    )]
    pub(super) row_count: String,
    /// How many runs are worked on at a time
    #[arg(
        long,
        env = "WIZ_CONTEXT_MAX_CONCURRENT_RUNS",
        value_name = "NUMBER",
        default_value = "2"
    )]
    pub(super) max_concurrent_runs: String,
    /// How many percent of an integration's labels a run may remove without a person's approval
    #[arg(
        long,
        env = "WIZ_CONTEXT_HOLD_REMOVALS_PERCENT",
        value_name = "PERCENT",
        default_value = "20"
    )]
    pub(super) hold_removals_percent: String,
    /// How many hours a run may take
    #[arg(
        long,
        env = "WIZ_CONTEXT_RUN_TIMEOUT_HOURS",
        value_name = "HOURS",
        default_value = "48"
    )]
    pub(super) run_timeout_hours: String,
    /// After how many successes of an integration all its labels are sent, also those that did not change
    #[arg(
        long,
        env = "WIZ_CONTEXT_FULL_PUSH_EVERY",
        value_name = "NUMBER",
        default_value = "7"
    )]
    pub(super) full_push_every: String,
    /// How many requests to Fusion are under way at a time while labels are pushed
    #[arg(
        long,
        env = "WIZ_CONTEXT_PUSH_CONCURRENCY",
        value_name = "NUMBER",
        default_value = "4"
    )]
    pub(super) push_concurrency: String,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "History")]
pub(super) struct HistoryArgs {
    /// How many days the record of a run is kept
    #[arg(
        long,
        env = "WIZ_CONTEXT_RETENTION_DAYS",
        value_name = "DAYS",
        default_value = "90"
    )]
    pub(super) retention_days: String,
    /// How many runs of each integration are kept at most
    #[arg(
        long,
        env = "WIZ_CONTEXT_RETENTION_RUNS",
        value_name = "NUMBER",
        default_value = "1000"
    )]
    pub(super) retention_runs: String,
    /// How many days audit records are kept, or `forever`
    #[arg(
        long,
        env = "WIZ_CONTEXT_AUDIT_RETENTION_DAYS",
        value_name = "DAYS|forever",
        default_value = "forever"
    )]
    pub(super) audit_retention_days: String,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Log")]
pub(super) struct LogArgs {
    /// What the log tells: error, warn, info, debug, trace or off; after a comma target=level for libraries
    #[arg(
        long = "log",
        env = "WIZ_CONTEXT_LOG",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub(super) filter: String,
    /// How the log looks: text or json
    #[arg(
        long = "log-format",
        env = "WIZ_CONTEXT_LOG_FORMAT",
        value_name = "TEXT|JSON",
        default_value = "text"
    )]
    pub(super) format: String,
}
