//! What the service is started with.
//!
//! The command line and the environment are read into it by [`commands::ServeArgs`](crate::commands::ServeArgs); tests and
//! the demonstration write it down:
//!
//! ```
//! # use wiz_context::config::Config;
//! let config = Config {
//!     listen: "127.0.0.1:0".parse()?,
//!     database: "sqlite:///tmp/wiz-context.db".parse()?,
//!     ..Config::default()
//! };
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{AllowedHosts, ApiKey, AssetType, InstallationName, Origin, Policy, Retention};
use crate::fusion::FusionAccount;
use crate::store::{Keyring, Store};

/// What the service is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen. Default: port 8080 of this machine only.
    pub listen: SocketAddr,
    /// The database. Default: `wiz-context.db` in the working directory.
    pub database: DatabaseUrl,
    /// The keys that seal stored secrets. Default: those of the file `encryption-key` beside the database, which is made
    /// at the first start.
    pub encryption_keys: Option<Arc<Keyring>>,
    /// The API key that may do everything. Default: that of the file `admin-key` beside the database, which is made at the
    /// first start.
    pub admin_key: Option<ApiKey>,
    /// The Fusion account. Default: none, and every run is a dry run.
    pub fusion: Option<FusionAccount>,
    /// Hosts beside Wiz's that may be reached, also by private addresses and `http://`. Default: none. The host of the
    /// Fusion account need not be named.
    pub allowed_hosts: AllowedHosts,
    /// The installation's name. Default: the stored one, made at the first start.
    pub installation: Option<InstallationName>,
    /// What decides what a report comes to.
    pub policy: Policy,
    /// The kinds of assets that reports are asked for. Default: those that carry addresses.
    pub asset_types: Vec<AssetType>,
    /// How many runs are worked on at a time. Default: 2.
    pub max_concurrent_runs: NonZeroUsize,
    /// How many requests per second Wiz gets for one service account. Default: 3.
    pub wiz_requests_per_second: NonZeroU32,
    /// How much of an integration's pairs a run may remove without asking, in percent. Default: 20.
    pub hold_removals_percent: u8,
    /// How long a run may take from its first attempt on. Default: 48 hours.
    pub run_timeout: Duration,
    /// Every how many successes of an integration all wanted pairs are sent. Default: 7.
    pub full_push_every: NonZeroU32,
    /// How many requests to Fusion are under way at a time while labels are pushed. Default: 4.
    pub push_concurrency: NonZeroUsize,
    /// How long runs and audit records are kept. Default: 90 days and 1,000 runs an integration; audit records for ever.
    pub retention: Retention,
    /// A PEM file with certificate authorities to trust beside the system's. Default: none.
    pub ca_file: Option<PathBuf>,
    /// Whether `/docs` is served. Default: it is.
    pub docs: bool,
    /// How many requests per second the API takes of one caller; none is no limit. Default: 50.
    pub api_requests_per_second: Option<NonZeroU32>,
    /// Origins whose web pages may call the API. Default: none.
    pub cors_origins: Vec<Origin>,
}

impl Default for Config {
    fn default() -> Self {
        const fn number(number: u32) -> NonZeroU32 {
            NonZeroU32::new(number).expect("not nought")
        }
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            database: DatabaseUrl::default(),
            encryption_keys: None,
            admin_key: None,
            fusion: None,
            allowed_hosts: AllowedHosts::default(),
            installation: None,
            policy: Policy::default(),
            asset_types: AssetType::with_addresses(),
            max_concurrent_runs: NonZeroUsize::new(2).expect("not nought"),
            // The least of the limits that are quoted for a service account.
            wiz_requests_per_second: number(3),
            hold_removals_percent: 20,
            run_timeout: Duration::from_hours(48),
            full_push_every: number(7),
            push_concurrency: NonZeroUsize::new(4).expect("not nought"),
            retention: Retention::default(),
            ca_file: None,
            docs: true,
            // Far above what a portal and scripts need, and far below what keeps the one writer of the database busy.
            api_requests_per_second: Some(number(50)),
            cors_origins: Vec::new(),
        }
    }
}

/// A URL of a SQLite database in a file: `sqlite://wiz-context.db`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: String,
    path: PathBuf,
}

/// Why a text is no such URL. It is not repeated, for the URL of another database may carry a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Another scheme, no path, or a parameter that SQLite does not know.
    #[error(
        "is not the URL of a SQLite file; write sqlite:// and the file's path, as in sqlite:///data/wiz-context.db"
    )]
    Form,
    /// A database that ends with the process.
    #[error(
        "names a database in memory, but what was sent to Fusion must outlive the process; write sqlite:// and the path \
         of a file"
    )]
    InMemory,
}

impl DatabaseUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// The path of the database file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self {
            url: "sqlite://wiz-context.db".to_owned(),
            path: PathBuf::from("wiz-context.db"),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        if text.contains(":memory:") || text.contains("mode=memory") {
            return Err(DatabaseUrlError::InMemory);
        }
        let path = Store::path_of(text)
            .filter(|path| text.starts_with("sqlite:") && path.file_name().is_some())
            .ok_or(DatabaseUrlError::Form)?;
        Ok(Self {
            url: text.to_owned(),
            path,
        })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// A setting that cannot be used: its name, the reason and the remedy, and nothing of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct WrongSetting {
    /// The setting, as the environment and the command line name it.
    pub setting: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl WrongSetting {
    /// A setting with its problem.
    pub fn new(setting: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self {
            setting: setting.into(),
            problem: problem.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_sqlite_file() {
        let path = |text: &str| Ok::<_, DatabaseUrlError>(text.parse::<DatabaseUrl>()?.path().to_owned());
        assert_eq!(path("sqlite:///data/a.db"), Ok("/data/a.db".into()));
        assert_eq!(path("sqlite://a.db?cache=private"), Ok("a.db".into()));
        assert_eq!(path("sqlite:a.db"), Ok("a.db".into()));
        for text in [
            "",
            "a.db",
            "sqlite://",
            "sqlite://?mode=rw",
            "postgres://u:planted@db/a",
            "sqlite://a?x=y",
        ] {
            assert_eq!(path(text), Err(DatabaseUrlError::Form), "{text}");
        }
        for text in ["sqlite::memory:", "sqlite://?mode=memory"] {
            assert_eq!(path(text), Err(DatabaseUrlError::InMemory), "{text}");
        }
        let usual = DatabaseUrl::default();
        assert_eq!(usual.as_str().parse(), Ok(usual));
    }
}
