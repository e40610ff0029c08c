//! What flags and variables come to.

use std::ffi::OsString;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::Parser;

use super::ServeArgs;
use crate::config::Config;
use crate::domain::{AssetType, Retention, RowCountRule};
use crate::store::Keyring;
use crate::telemetry::{LogFormat, LogSettings};

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    args: ServeArgs,
}

fn args(line: &[&str]) -> ServeArgs {
    Program::try_parse_from(["serve"].iter().chain(line))
        .unwrap()
        .args
}

fn config_with(line: &[&str], secrets: &[(&str, &str)]) -> Result<Config, String> {
    let environment = |name: &str| {
        let (_, value) = secrets.iter().find(|(variable, _)| *variable == name)?;
        Some(OsString::from(value))
    };
    args(line).config(environment).map_err(|error| error.to_string())
}

fn netosecret(url: &str) -> String {
    BASE64_STANDARD.encode(format!(
        r#"{{"url": "{url}", "shortname": "acme", "appname": "planted", "sharedsecret": "planted", "appkey": "planted"}}"#
    ))
}

#[test]
fn without_settings_everything_is_as_usual() {
    let usual = format!("{:?}", Config::default());
    assert_eq!(format!("{:?}", config_with(&[], &[]).unwrap()), usual);
    let empty = [
        "--listen=",
        "--database-url=",
        "--docs=",
        "--allow-hosts=",
        "--ca-file=",
        "--netosecret-file=",
        "--admin-key-file=",
        "--encryption-key-file=",
        "--installation=",
        "--skip-networks=",
        "--asset-types=",
        "--row-count=",
        "--max-concurrent-runs=",
        "--wiz-requests-per-second=",
        "--run-timeout-hours=",
        "--full-push-every=",
        "--push-concurrency=",
        "--retention-days=",
        "--retention-runs=",
        "--audit-retention-days=",
        "--log=",
        "--log-format=",
    ];
    let secrets = [
        ("NETOSECRET", ""),
        ("WIZ_CONTEXT_ADMIN_KEY", ""),
        ("WIZ_CONTEXT_ENCRYPTION_KEY", ""),
    ];
    assert_eq!(format!("{:?}", config_with(&empty, &secrets).unwrap()), usual);
    assert_eq!(args(&empty).log().unwrap(), LogSettings::default());
    assert_eq!(args(&[]).log().unwrap(), LogSettings::default());
}

#[test]
fn every_setting_is_read() {
    let line = [
        "--listen=[::]:80",
        "--database-url=sqlite:///data/a.db",
        "--docs=off",
        "--allow-hosts=fusion.lab:8080",
        "--ca-file=/ca.pem",
        "--installation=berlin",
        "--skip-networks=10.0.0.0/8",
        "--asset-types=CONTAINER, SERVER",
        "--row-count=warn",
        "--max-concurrent-runs=4",
        "--wiz-requests-per-second=1",
        "--hold-removals-percent=0",
        "--run-timeout-hours=12",
        "--full-push-every=1",
        "--push-concurrency=16",
        "--retention-days=30",
        "--retention-runs=50",
        "--audit-retention-days=400",
    ];
    let keyring = Keyring::generate();
    let netosecret = netosecret("http://fusion.lab:8080");
    let secrets = [
        ("NETOSECRET", netosecret.as_str()),
        ("WIZ_CONTEXT_ADMIN_KEY", "planted-key"),
        ("WIZ_CONTEXT_ENCRYPTION_KEY", &keyring),
    ];
    let config = config_with(&line, &secrets).unwrap();
    assert_eq!(config.listen.to_string(), "[::]:80");
    assert_eq!(config.database.path().to_str(), Some("/data/a.db"));
    assert!(!config.docs && config.allowed_hosts.permits("fusion.lab", 8080));
    assert_eq!(config.ca_file, Some("/ca.pem".into()));
    assert_eq!(config.installation.as_ref().unwrap().as_str(), "berlin");
    assert_eq!(config.policy.skip_networks.len(), 1);
    assert_eq!(config.policy.row_count, RowCountRule::Warn);
    let types: Vec<_> = config.asset_types.iter().map(AssetType::as_str).collect();
    assert_eq!(types, ["CONTAINER", "SERVER"]);
    assert_eq!(config.max_concurrent_runs.get(), 4);
    assert_eq!(config.wiz_requests_per_second.get(), 1);
    assert_eq!(config.hold_removals_percent, 0);
    assert_eq!(config.run_timeout, Duration::from_hours(12));
    assert_eq!(config.full_push_every.get(), 1);
    assert_eq!(config.push_concurrency.get(), 16);
    let kept = Retention {
        age: Duration::from_hours(30 * 24),
        runs: 50,
        audit_age: Some(Duration::from_hours(400 * 24)),
    };
    assert_eq!(config.retention, kept);
    let forever = config_with(&["--audit-retention-days=forever"], &[]).unwrap();
    assert_eq!(forever.retention, Retention::default());
    assert_eq!(
        config.fusion.as_ref().unwrap().key().to_string(),
        "fusion.lab/acme"
    );
    assert_eq!(config.admin_key.as_ref().unwrap().expose(), "planted-key");
    let printed = format!("{config:?}");
    assert!(!printed.contains("planted") && !printed.contains(keyring.split_once(':').unwrap().1));
    let log = args(&["--log=debug,sqlx=info", "--log-format=json"])
        .log()
        .unwrap();
    assert_eq!(
        (log.filter, log.format),
        ("debug,sqlx=info".parse().unwrap(), LogFormat::Json)
    );
}

/// A value is refused by the names of its setting, with the remedy.
fn assert_refused(flag: &str, variable: &str, value: &str, remedy: &str) {
    let refused = config_with(&[&format!("{flag}={value}")], &[]).unwrap_err();
    assert!(
        refused.starts_with(&format!("{variable} ({flag}): ")),
        "{refused}"
    );
    assert!(
        refused.contains(remedy) && !refused.contains("planted"),
        "{refused}"
    );
}

#[test]
fn a_wrong_retention_is_named_with_the_remedy() {
    for (flag, variable, value, remedy) in [
        (
            "--retention-days",
            "WIZ_CONTEXT_RETENTION_DAYS",
            "0",
            "from 1 to 36500",
        ),
        (
            "--retention-runs",
            "WIZ_CONTEXT_RETENTION_RUNS",
            "-1",
            "from 1 to 1000000",
        ),
        (
            "--audit-retention-days",
            "WIZ_CONTEXT_AUDIT_RETENTION_DAYS",
            "never",
            "and not `forever`",
        ),
    ] {
        assert_refused(flag, variable, value, remedy);
    }
}

#[test]
fn a_wrong_setting_is_named_with_the_remedy() {
    for (flag, variable, value, remedy) in [
        (
            "--listen",
            "WIZ_CONTEXT_LISTEN",
            "8080",
            "write it as in 127.0.0.1:8080",
        ),
        (
            "--database-url",
            "WIZ_CONTEXT_DATABASE_URL",
            "postgres://u:planted@a/b",
            "write sqlite://",
        ),
        ("--docs", "WIZ_CONTEXT_DOCS", "yes", "`on` nor `off`"),
        (
            "--allow-hosts",
            "WIZ_CONTEXT_ALLOW_HOSTS",
            "a:b",
            "`a:b`: the port is not a number",
        ),
        (
            "--installation",
            "WIZ_CONTEXT_INSTALLATION",
            "a/b",
            "`a/b` is not 1 to 64 characters",
        ),
        (
            "--skip-networks",
            "WIZ_CONTEXT_SKIP_NETWORKS",
            "home",
            "`home` is neither a network",
        ),
        (
            "--asset-types",
            "WIZ_CONTEXT_ASSET_TYPES",
            "SERVER,vm",
            "`vm` is not an asset type",
        ),
        ("--asset-types", "WIZ_CONTEXT_ASSET_TYPES", ",", "leave it out"),
        (
            "--row-count",
            "WIZ_CONTEXT_ROW_COUNT",
            "lax",
            "`strict` or `warn`",
        ),
        (
            "--max-concurrent-runs",
            "WIZ_CONTEXT_MAX_CONCURRENT_RUNS",
            "0",
            "from 1 to 64",
        ),
        (
            "--wiz-requests-per-second",
            "WIZ_CONTEXT_WIZ_REQUESTS_PER_SECOND",
            "11",
            "from 1 to 10",
        ),
        (
            "--run-timeout-hours",
            "WIZ_CONTEXT_RUN_TIMEOUT_HOURS",
            "1.5",
            "from 1 to 720",
        ),
        (
            "--full-push-every",
            "WIZ_CONTEXT_FULL_PUSH_EVERY",
            "never",
            "from 1 to 10000",
        ),
        (
            "--push-concurrency",
            "WIZ_CONTEXT_PUSH_CONCURRENCY",
            "0",
            "from 1 to 64",
        ),
    ] {
        assert_refused(flag, variable, value, remedy);
    }
    let refused = args(&["--log=loud"]).log().unwrap_err().to_string();
    assert!(
        refused.starts_with("WIZ_CONTEXT_LOG (--log): `loud` is not a level"),
        "{refused}"
    );
    let refused = args(&["--log-format=xml"]).log().unwrap_err().to_string();
    assert!(
        refused.starts_with("WIZ_CONTEXT_LOG_FORMAT (--log-format): `xml` is"),
        "{refused}"
    );
}

#[test]
fn a_wrong_secret_is_named_and_not_shown() {
    let unencrypted = netosecret("http://fusion.lab");
    for (variable, value, remedy) in [
        (
            "NETOSECRET",
            "planted!",
            "NETOSECRET: is not base64; copy it from Fusion once more",
        ),
        (
            "NETOSECRET",
            &unencrypted,
            "name the host in WIZ_CONTEXT_ALLOW_HOSTS",
        ),
        ("WIZ_CONTEXT_ADMIN_KEY", "planted key", "use letters and digits"),
        (
            "WIZ_CONTEXT_ENCRYPTION_KEY",
            "planted",
            "is not written as id:base64(32 bytes)",
        ),
    ] {
        let refused = config_with(&[], &[(variable, value)]).unwrap_err();
        assert!(
            refused.starts_with(variable) && refused.contains(remedy),
            "{refused}"
        );
        assert!(!refused.contains("planted"), "{refused}");
    }
}
