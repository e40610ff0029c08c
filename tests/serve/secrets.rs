//! That no secret gets into the log or, in the open, into the database.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use serde_json::{Value, json};
use wiz_context::clock::Clock;
use wiz_context::shutdown::Shutdown;
use wiz_context::simulator::{Simulator, SimulatorSettings};
use wiz_context::store::Keyring;

use crate::program::{INTEGRATIONS, Place, wiz_of};

const EVERYTHING: &str = "trace,axum=trace,h2=trace,hyper=trace,hyper_util=trace,reqwest=trace,rustls=trace,sqlx=trace,tower=trace";

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_gets_into_the_log_or_the_database() {
    let tasks = Shutdown::new();
    let settings = SimulatorSettings {
        stale_last_run_reads: 0,
        ..SimulatorSettings::default()
    };
    let simulator = Simulator::start(settings, Clock::system(), &tasks).await.unwrap();
    let keyring = Keyring::generate();
    let netosecret = simulator.netosecret();
    let place = Place::new();
    let keyring_file = place.write("keyring", &keyring);
    let place = place
        .with("WIZ_CONTEXT_LOG", EVERYTHING)
        .with("WIZ_CONTEXT_ADMIN_KEY", "planted-admin-key")
        .with("WIZ_CONTEXT_ENCRYPTION_KEY_FILE", keyring_file)
        .with("NETOSECRET", &netosecret)
        .with("WIZ_CONTEXT_ALLOW_HOSTS", simulator.allow_hosts());
    let program = place.serve();
    assert_eq!(program.listening["fusion"], "127.0.0.1/simulated");
    let key = Some("planted-admin-key");
    let id = program.create("planted-admin-key", &wiz_of(&simulator));
    let (status, answer) = program.call("PUT", &format!("{INTEGRATIONS}/{id}/run"), key, None);
    assert_eq!(
        (status, &answer["run"]["state"]),
        (200, &json!("succeeded")),
        "{answer}"
    );
    assert_eq!(program.call("GET", "/metrics", key, None).0, 200);
    assert_eq!(
        program.call("GET", "/metrics", Some("planted-wrong-key"), None).0,
        401
    );
    let log = program.stop();
    assert!(
        log.contains("hyper_util") && log.contains("sqlx::query"),
        "the log is not as talkative as it should be"
    );

    let member = |name: &str| {
        let account = BASE64_STANDARD_NO_PAD.decode(&netosecret);
        let account: Value = serde_json::from_slice(&account.unwrap()).unwrap();
        account[name].as_str().unwrap().to_owned()
    };
    let sealing = keyring.split_once(':').unwrap().1;
    let mut secrets = simulator.secrets_given();
    assert!(!secrets.is_empty());
    secrets.extend([
        "planted-admin-key".to_owned(),
        "planted-wrong-key".to_owned(),
        simulator.client_secret().to_owned(),
        member("sharedsecret"),
        member("appkey"),
        netosecret.clone(),
        sealing.to_owned(),
    ]);
    let database = place.database();
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "the log tells {secret}");
        assert!(
            !contains(&database, secret.as_bytes()),
            "the database tells {secret}"
        );
    }
    assert!(!contains(&database, &BASE64_STANDARD.decode(sealing).unwrap()));
    assert!(contains(&database, simulator.client_id().as_bytes()));
}
