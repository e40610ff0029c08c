//! The service within another program, as tests and the demonstration use it.

use std::time::Duration;

use wiz_context::clock::Clock;
use wiz_context::config::{Config, WrongSetting};
use wiz_context::domain::{ApiKey, Timestamp};
use wiz_context::shutdown::Shutdown;
use wiz_context::startup;

const PATIENCE: Duration = Duration::from_mins(1);

fn config(folder: &tempfile::TempDir) -> Config {
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        database: url.parse().unwrap(),
        admin_key: Some(ApiKey::new("planted")),
        ..Config::default()
    }
}

#[tokio::test]
async fn it_starts_again_on_its_database_once_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::test(Timestamp::from_millis(1_795_493_090_000), 1);
    for _ in 0..2 {
        let shutdown = Shutdown::new();
        let service = startup::start(config(&folder), clock.clone(), &shutdown)
            .await
            .unwrap();
        assert_ne!(service.address().port(), 0);
        service.store().ping().await.unwrap();
        let second = startup::start(config(&folder), clock.clone(), &shutdown).await;
        assert!(second.unwrap_err().to_string().contains("another wiz-context"));
        assert!(service.stop(PATIENCE).await);
    }
}

#[tokio::test]
async fn a_setting_that_turns_out_to_be_wrong_is_told_from_other_failures() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        ca_file: Some("/nowhere/ca.pem".into()),
        ..config(&folder)
    };
    let clock = Clock::test(Timestamp::from_millis(0), 1);
    let error = startup::start(config, clock, &Shutdown::new()).await.unwrap_err();
    assert!(error.is::<WrongSetting>(), "{error:#}");
}
