//! What holds a secret does not print it: not by `Debug`, on one line or on many, and not in what an error and its causes say.
//! Byte strings print as numbers, which is looked for too.

mod clients;

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Parser;
use serde_json::json;
use wiz_context::clock::Clock;
use wiz_context::commands::ServeArgs;
use wiz_context::config::{Config, DatabaseUrl};
use wiz_context::domain::{
    AllowedHosts, ApiEndpoint, ApiKey, BearerToken, ClientSecret, IntegrationId, IntegrationSettings, Role,
    SharedSecret, TokenUrl, UpdateInterval, WizConnection, WizCredentials,
};
use wiz_context::fusion::FusionAccount;
use wiz_context::http::AdminKey;
use wiz_context::shutdown::Shutdown;
use wiz_context::startup;
use wiz_context::store::{Actor, Keyring, NewApiKey, NewIntegration, Store};

use crate::needles::Needles;

const SECRET: &str = "planted/secret+with\"signs\"";

/// What must not be found, and all that was printed.
#[derive(Default)]
struct Prints {
    needles: Needles,
    printed: Vec<(String, String)>,
}

impl Prints {
    fn with(secret: &str) -> Self {
        let mut prints = Self::default();
        prints.must_not_tell("the secret", secret);
        prints
    }

    fn must_not_tell(&mut self, of: &str, secret: &str) {
        self.needles.add(of, secret);
        self.must_not_tell_bytes(of, secret.as_bytes());
    }

    fn must_not_tell_bytes(&mut self, of: &str, bytes: &[u8]) {
        let numbers = format!("{:?}", &bytes[..8]);
        self.needles.add_plain(of, numbers.trim_matches(['[', ']']));
    }

    fn debug(&mut self, name: &str, value: &dyn Debug) {
        let (short, long) = (format!("{value:?}"), format!("{value:#?}"));
        // A list of numbers on many lines is one on one line.
        let long = long.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!short.is_empty());
        self.printed.push((name.to_owned(), format!("{short} {long}")));
    }

    fn error(&mut self, name: &str, error: &(dyn Error + 'static)) {
        self.debug(name, &error);
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.printed.push((name.to_owned(), error.to_string()));
            cause = error.source();
        }
    }

    fn assert_nothing_told(&self) {
        for (name, printed) in &self.printed {
            self.needles.assert_none_in(name, printed.as_bytes());
        }
    }
}

fn netosecret(url: &str, secret: &str) -> String {
    let account = json!({
        "url": url, "shortname": "acme", "appname": secret, "appkey": secret, "sharedsecret": secret,
    });
    BASE64_STANDARD.encode(account.to_string())
}

fn connection(api: &str, token: &str) -> WizConnection {
    let loopback: AllowedHosts = "127.0.0.1".parse().unwrap();
    WizConnection {
        api_endpoint: ApiEndpoint::read(api, &loopback).unwrap(),
        token_url: TokenUrl::read(token, &loopback).unwrap(),
        client_id: "client".to_owned(),
    }
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    serve: ServeArgs,
}

/// The settings that the environment gives.
fn config(netosecret: &str, admin_key: &str, keyring: &str) -> Result<Config, impl Error + 'static> {
    let settings = [
        ("NETOSECRET", netosecret),
        ("WIZ_CONTEXT_ADMIN_KEY", admin_key),
        ("WIZ_CONTEXT_ENCRYPTION_KEY", keyring),
    ];
    let line = Line::try_parse_from(["serve"]).unwrap();
    line.serve.config(|name| {
        let given = settings.iter().find(|(variable, _)| *variable == name);
        given.map(|(_, value)| OsString::from(value))
    })
}

#[test]
fn a_secret_is_found_where_it_is_printed_as_text_or_as_bytes() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "it is printed")]
    struct Careless {
        bytes: Vec<u8>,
    }
    let bytes = SECRET.as_bytes().to_vec();
    for told in [&Careless { bytes } as &dyn Debug, &SECRET] {
        let mut prints = Prints::with(SECRET);
        prints.debug("it", told);
        std::panic::catch_unwind(|| prints.assert_nothing_told()).unwrap_err();
    }
}

#[test]
fn secrets_and_settings_do_not_print() {
    let mut prints = Prints::with(SECRET);
    prints.debug("ClientSecret", &ClientSecret::new(SECRET));
    prints.debug("ApiKey", &Some(ApiKey::new(SECRET)));
    prints.debug("BearerToken", &vec![BearerToken::new(SECRET)]);
    prints.debug("SharedSecret", &SharedSecret::new(SECRET));
    prints.debug("AdminKey", &AdminKey::new(SECRET));
    let keyring = format!(
        "k1:{}",
        BASE64_STANDARD.encode(
            [SECRET.as_bytes(), &[7; 32]]
                .concat()
                .first_chunk::<32>()
                .unwrap()
        )
    );
    prints.must_not_tell("the keyring", keyring.split_once(':').unwrap().1);
    prints.debug("Keyring", &Keyring::read(&keyring).unwrap());
    let account = netosecret("https://api.netography.com/api/v1", SECRET);
    prints.must_not_tell("NETOSECRET", &account);
    prints.debug(
        "FusionAccount",
        &FusionAccount::read(&account, &AllowedHosts::default()).unwrap(),
    );
    let config = config(&account, SECRET, &keyring).unwrap();
    assert!(config.admin_key.is_some() && config.fusion.is_some() && config.encryption_keys.is_some());
    prints.debug("Config", &config);
    let connection = connection("https://api.us1.app.wiz.io", "https://auth.app.wiz.io");
    prints.debug(
        "WizCredentials",
        &WizCredentials {
            connection: connection.clone(),
            client_secret: ClientSecret::new(SECRET),
        },
    );
    prints.debug(
        "NewIntegration",
        &NewIntegration {
            id: IntegrationId::new(Clock::system().now()),
            settings: IntegrationSettings {
                name: "wiz1".parse().unwrap(),
                enabled: true,
                update_interval: UpdateInterval::try_from(86_400).unwrap(),
                wiz: connection,
            },
            client_secret: ClientSecret::new(SECRET),
        },
    );
    prints.assert_nothing_told();
}

#[test]
fn what_is_no_secret_of_its_kind_is_refused_without_a_part_of_it() {
    let mut prints = Prints::with(SECRET);
    let key = BASE64_STANDARD.encode(SECRET);
    for keyring in [
        SECRET.to_owned(),
        format!("k1:{SECRET}"),
        format!("k1:{key}"),
        format!("{SECRET}:{key}"),
    ] {
        prints.error("a keyring", &Keyring::read(&keyring).unwrap_err());
        let refused = config(
            &netosecret("https://api.netography.com", SECRET),
            SECRET,
            &keyring,
        );
        prints.error("the settings' keyring", &refused.unwrap_err());
    }
    let with_password = format!("https://user:{}@api.netography.com", "planted-password");
    prints.must_not_tell("a password", "planted-password");
    let objects = [
        json!(SECRET),
        json!({"url": SECRET, "shortname": SECRET, "appname": SECRET, "appkey": SECRET, "sharedsecret": SECRET}),
        json!({"url": "https://api.netography.com", "shortname": format!("{SECRET} {SECRET}"), "appname": SECRET,
            "appkey": SECRET, "sharedsecret": SECRET}),
        json!({"url": "https://api.netography.com", "shortname": "acme", "appname": [SECRET], "sharedsecret": SECRET}),
        json!({"url": with_password, "shortname": "acme", "appname": SECRET, "appkey": 7, "sharedsecret": SECRET}),
    ];
    let mut accounts: Vec<_> = objects
        .iter()
        .map(|object| BASE64_STANDARD.encode(object.to_string()))
        .collect();
    accounts.push(SECRET.to_owned());
    accounts.push(BASE64_STANDARD.encode(SECRET));
    for account in accounts {
        let none = AllowedHosts::default();
        prints.error("an account", &FusionAccount::read(&account, &none).unwrap_err());
        prints.error(
            "the settings' account",
            &config(&account, SECRET, "").unwrap_err(),
        );
    }
    for url in [
        with_password.as_str(),
        "https://api.us1.app.wiz.io/?secret=planted-password",
        "planted-password",
    ] {
        let loopback = AllowedHosts::default();
        prints.error("an endpoint", &ApiEndpoint::read(url, &loopback).unwrap_err());
        prints.error("a token URL", &TokenUrl::read(url, &loopback).unwrap_err());
    }
    let postgres = "postgres://user:planted-password@127.0.0.1/wiz";
    prints.error("a database", &postgres.parse::<DatabaseUrl>().unwrap_err());
    prints.assert_nothing_told();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_says_of_secrets_does_not_print_them() {
    let mut prints = Prints::with(SECRET);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let keyring = Keyring::generate();
    prints.must_not_tell("the encryption key", keyring.split_once(':').unwrap().1);
    let store = Store::open(&url, Keyring::read(&keyring).unwrap()).await.unwrap();
    let now = Clock::system().now();
    let new = NewApiKey {
        name: "reader".parse().unwrap(),
        role: Role::Readonly,
        expires_at: None,
    };
    let (record, key) = store.create_api_key(&new, Actor::scheduler(), now).await.unwrap();
    prints.must_not_tell("an API key", key.expose());
    prints.debug("a key that was made", &(&record, &key));
    prints.debug(
        "its proof",
        &store.prove_api_key(key.expose(), now).await.unwrap(),
    );
    prints.debug(
        "a wrong key's proof",
        &store.prove_api_key(SECRET, now).await.unwrap(),
    );
    let again = store.create_api_key(&new, Actor::scheduler(), now).await;
    prints.error("a name that is taken", &again.unwrap_err());
    prints.debug("a request's hash", &store.request_hash(&[SECRET.as_bytes()]));
    prints.debug("Store", &store);
    store.close().await;
    let closed = store.prove_api_key(key.expose(), now).await.unwrap_err();
    prints.error("a closed store", &closed);
    let mut config = Config {
        database: url.parse().unwrap(),
        listen: "127.0.0.1:0".parse().unwrap(),
        admin_key: Some(ApiKey::new(SECRET)),
        encryption_keys: Some(Arc::new(Keyring::read(&keyring).unwrap())),
        ..Config::default()
    };
    let account = netosecret("https://api.netography.com/api/v1", SECRET);
    config.fusion = Some(FusionAccount::read(&account, &AllowedHosts::default()).unwrap());
    let shutdown = Shutdown::new();
    let service = startup::start(config, Clock::system(), &shutdown).await.unwrap();
    prints.debug("Service", &service);
    prints.debug("its API", service.router());
    service.stop(Duration::from_secs(5)).await;
    prints.assert_nothing_told();
}
