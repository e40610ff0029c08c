//! From the texts of flags and variables to what the service is started with.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::ServeArgs;
use super::args::HistoryArgs;
use super::secret_setting::{GivenSecret, SecretSetting};
use crate::config::{Config, DatabaseUrl, WrongSetting};
use crate::domain::{AllowedHosts, ApiKey, AssetType, Origin, Policy, Retention};
use crate::fusion::FusionAccount;
use crate::store::Keyring;
use crate::telemetry::LogSettings;

const ENCRYPTION_KEY: SecretSetting = SecretSetting {
    variable: "WIZ_CONTEXT_ENCRYPTION_KEY",
    flag: "--encryption-key-file",
    is_key: true,
};
const ADMIN_KEY: SecretSetting = SecretSetting {
    variable: "WIZ_CONTEXT_ADMIN_KEY",
    flag: "--admin-key-file",
    is_key: true,
};
const NETOSECRET: SecretSetting = SecretSetting {
    variable: "NETOSECRET",
    flag: "--netosecret-file",
    is_key: false,
};

impl ServeArgs {
    /// What the log is to be.
    ///
    /// # Errors
    /// When one of its settings is wrong.
    pub fn log(&self) -> Result<LogSettings, WrongSetting> {
        let (filter, format) = (&self.log.filter, &self.log.format);
        Ok(LogSettings {
            filter: read("log", filter, LogSettings::default().filter, str::parse)?,
            format: read("log-format", format, LogSettings::default().format, named)?,
        })
    }

    /// What the service is started with; `environment` gives the variables with secrets.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn config(&self, environment: impl Fn(&str) -> Option<OsString>) -> Result<Config, WrongSetting> {
        let usual = Config::default();
        let Self { accounts, runs, .. } = self;
        let allowed_hosts = read(
            "allow-hosts",
            &accounts.allow_hosts,
            usual.allowed_hosts,
            str::parse::<AllowedHosts>,
        )?;
        let secret = |setting: SecretSetting, file: &OsStr| setting.read(file, &environment);
        let fusion = secret(NETOSECRET, &accounts.netosecret_file)?;
        let admin_key = secret(ADMIN_KEY, &accounts.admin_key_file)?;
        Ok(Config {
            listen: listen_address(&self.listen)?,
            database: database_url(&self.database.database_url)?,
            encryption_keys: encryption_keys(&accounts.encryption_key.encryption_key_file, &environment)?,
            admin_key: admin_key.map(api_key).transpose()?,
            fusion: fusion.map(|given| account(&given, &allowed_hosts)).transpose()?,
            allowed_hosts,
            installation: read("installation", &runs.installation, None, |text| {
                text.parse()
                    .map(Some)
                    .map_err(|error| format!("`{text}` {error}"))
            })?,
            policy: Policy {
                skip_networks: read(
                    "skip-networks",
                    &runs.skip_networks,
                    Vec::new(),
                    Policy::read_skip_networks,
                )?,
                row_count: read("row-count", &runs.row_count, usual.policy.row_count, named)?,
            },
            asset_types: read("asset-types", &runs.asset_types, usual.asset_types, asset_types)?,
            max_concurrent_runs: read(
                "max-concurrent-runs",
                &runs.max_concurrent_runs,
                usual.max_concurrent_runs,
                at_a_time,
            )?,
            wiz_requests_per_second: read(
                "wiz-requests-per-second",
                &accounts.wiz_requests_per_second,
                usual.wiz_requests_per_second,
                |text| whole(text, 1..=10),
            )?,
            hold_removals_percent: read(
                "hold-removals-percent",
                &runs.hold_removals_percent,
                usual.hold_removals_percent,
                percent,
            )?,
            run_timeout: read(
                "run-timeout-hours",
                &runs.run_timeout_hours,
                usual.run_timeout,
                |text| whole(text, 1..=720).map(|hours| Duration::from_hours(hours.get().into())),
            )?,
            full_push_every: read(
                "full-push-every",
                &runs.full_push_every,
                usual.full_push_every,
                |text| whole(text, 1..=10_000),
            )?,
            push_concurrency: read(
                "push-concurrency",
                &runs.push_concurrency,
                usual.push_concurrency,
                at_a_time,
            )?,
            retention: self.history.retention()?,
            ca_file: Some(&accounts.ca_file)
                .filter(|path| !path.is_empty())
                .map(Into::into),
            api_requests_per_second: read(
                "api-requests-per-second",
                &self.api_requests_per_second,
                usual.api_requests_per_second,
                |text| match text {
                    "off" => Ok(None),
                    text => whole(text, 1..=10_000)
                        .map(Some)
                        .map_err(|problem| format!("{problem}, and not `off`")),
                },
            )?,
            cors_origins: read(
                "cors-origins",
                &self.cors_origins,
                usual.cors_origins,
                Origin::read_list,
            )?,
            docs: read("docs", &self.docs, usual.docs, |text| match text {
                "on" => Ok(true),
                "off" => Ok(false),
                _ => Err(format!("`{text}` is neither `on` nor `off`")),
            })?,
        })
    }
}

/// How many of something may be under way side by side.
fn at_a_time(text: &str) -> Result<NonZeroUsize, String> {
    whole(text, 1..=64).map(|number| NonZeroUsize::try_from(number).unwrap_or(NonZeroUsize::MIN))
}

impl HistoryArgs {
    fn retention(&self) -> Result<Retention, WrongSetting> {
        let usual = Retention::default();
        let days = |text: &str| whole(text, 1..=36_500).map(|days| Retention::days(days.get()));
        Ok(Retention {
            age: read("retention-days", &self.retention_days, usual.age, days)?,
            runs: read("retention-runs", &self.retention_runs, usual.runs, |text| {
                whole(text, 1..=1_000_000).map(NonZeroU32::get)
            })?,
            audit_age: read(
                "audit-retention-days",
                &self.audit_retention_days,
                usual.audit_age,
                |text| match text {
                    "forever" => Ok(None),
                    text => days(text)
                        .map(Some)
                        .map_err(|problem| format!("{problem}, and not `forever`")),
                },
            )?,
        })
    }
}

/// Reads the setting that says where the service listens.
///
/// # Errors
/// When it is no address with a port.
pub(in crate::commands) fn listen_address(text: &str) -> Result<SocketAddr, WrongSetting> {
    read("listen", text, Config::default().listen, |text| {
        text.parse().map_err(|_| {
            format!("`{text}` is not an address with a port; write it as in 127.0.0.1:8080 or [::]:8080")
        })
    })
}

/// Reads the setting that says where the database is.
///
/// # Errors
/// When it is no URL of a SQLite file.
pub(in crate::commands) fn database_url(text: &str) -> Result<DatabaseUrl, WrongSetting> {
    read("database-url", text, Config::default().database, str::parse)
}

/// Reads the keys that seal stored secrets, where they are set.
///
/// # Errors
/// When they are set in both ways, or are no keys.
pub(in crate::commands) fn encryption_keys(
    file: &OsStr,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Arc<Keyring>>, WrongSetting> {
    ENCRYPTION_KEY.read(file, &environment)?.map(keyring).transpose()
}

/// Reads the setting of a flag; an empty text means that it is unset.
fn read<T, E: Display>(
    flag: &str,
    text: &str,
    unset: T,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, WrongSetting> {
    match text.trim() {
        "" => Ok(unset),
        text => read(text).map_err(|problem| {
            let variable = flag.replace('-', "_").to_uppercase();
            WrongSetting::new(format!("WIZ_CONTEXT_{variable} (--{flag})"), problem)
        }),
    }
}

/// Reads one of a few names; what is none of them is repeated.
fn named<T: std::str::FromStr<Err = &'static str>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("`{text}` is {error}"))
}

fn asset_types(text: &str) -> Result<Vec<AssetType>, String> {
    let types = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    match types.map(named).collect::<Result<Vec<_>, _>>() {
        Ok(types) if types.is_empty() => {
            Err("names no asset type; leave it out for the usual ones".to_owned())
        }
        types => types,
    }
}

fn whole(text: &str, range: RangeInclusive<u32>) -> Result<NonZeroU32, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.and_then(NonZeroU32::new).ok_or_else(|| {
        let (least, most) = range.into_inner();
        format!("`{text}` is not a whole number from {least} to {most}")
    })
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().filter(|number| *number <= 100);
    number.ok_or_else(|| format!("`{text}` is not a whole number from 0 to 100"))
}

fn keyring(given: GivenSecret) -> Result<Arc<Keyring>, WrongSetting> {
    let read = Keyring::read(&given.text);
    read.map(Arc::new)
        .map_err(|error| WrongSetting::new(given.source, error))
}

/// A key goes into a header, which takes no other characters.
fn api_key(given: GivenSecret) -> Result<ApiKey, WrongSetting> {
    if given.text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(ApiKey::new(given.text.as_str()))
    } else {
        let problem = "holds spaces or characters beyond ASCII; use letters and digits, as `openssl rand -hex 32` makes them";
        Err(WrongSetting::new(given.source, problem))
    }
}

fn account(given: &GivenSecret, allowed: &AllowedHosts) -> Result<FusionAccount, WrongSetting> {
    FusionAccount::read(&given.text, allowed).map_err(|error| {
        let text = error.to_string();
        // The name of the setting stands before the text already.
        let problem = text.strip_prefix("NETOSECRET ").unwrap_or(&text);
        WrongSetting::new(&given.source, problem)
    })
}
