//! The keys beside the database.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use wiz_context::store::Keyring;

use crate::program::{Ended, INTEGRATIONS, Place, wiz};

#[test]
fn a_lost_encryption_key_is_not_replaced_while_it_has_something_to_open() {
    let place = Place::new();
    place.serve().stop();
    fs::remove_file(place.path("encryption-key")).unwrap();
    let program = place.serve();
    program.create(&place.admin_key(), &wiz());
    program.stop();

    fs::rename(place.path("encryption-key"), place.path("backup")).unwrap();
    let ended = place.refused();
    assert_eq!(ended.code, Some(1));
    let gone = format!("the key file {} is gone", place.path("encryption-key").display());
    assert!(
        ended.log.contains(&gone) && ended.log.contains("of: wiz1"),
        "{}",
        ended.log
    );
    assert!(!place.path("encryption-key").exists());

    fs::rename(place.path("backup"), place.path("encryption-key")).unwrap();
    place.serve().stop();
}

#[test]
fn keys_that_do_not_open_what_is_stored_are_refused() {
    let place = Place::new();
    let program = place.serve();
    program.create(&place.admin_key(), &wiz());
    program.stop();
    let place = place.with("WIZ_CONTEXT_ENCRYPTION_KEY", Keyring::generate().as_str());
    let ended = place.refused();
    assert_eq!(ended.code, Some(1));
    let refusal = "WIZ_CONTEXT_ENCRYPTION_KEY does not open the stored secrets of: wiz1";
    assert!(ended.log.contains(refusal), "{}", ended.log);
}

#[test]
fn keys_of_the_settings_go_before_those_beside_the_database() {
    let place = Place::new();
    let keyring = place.write("keyring", &Keyring::generate());
    let place = place
        .with("WIZ_CONTEXT_ENCRYPTION_KEY_FILE", keyring)
        .with("WIZ_CONTEXT_ADMIN_KEY", "planted-admin-key");
    let program = place.serve();
    assert_eq!(
        program
            .call("GET", INTEGRATIONS, Some("planted-admin-key"), None)
            .0,
        200
    );
    program.stop();
    assert!(!place.path("encryption-key").exists() && !place.path("admin-key").exists());
}

#[test]
fn a_key_file_that_others_may_read_is_refused_with_the_remedy() {
    let place = Place::new();
    place.serve().stop();
    for name in ["admin-key", "encryption-key"] {
        let path = place.path(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let ended = place.refused();
        assert_eq!(ended.code, Some(1));
        let remedy = format!("`chmod 600 {}`", path.display());
        assert!(ended.log.contains(&remedy), "{}", ended.log);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    // Nor does a rotation go on with it.
    fs::set_permissions(place.path("encryption-key"), fs::Permissions::from_mode(0o604)).unwrap();
    for flags in [&[][..], &["--make-key"]] {
        let ended = place.end_of("rotate-keys", flags);
        assert_eq!(ended.code, Some(1), "{}", ended.log);
        assert!(ended.log.contains("`chmod 600 "), "{}", ended.log);
    }
    let given = place.write("keyring", &Keyring::generate());
    fs::set_permissions(&given, fs::Permissions::from_mode(0o644)).unwrap();
    for variable in ["WIZ_CONTEXT_ENCRYPTION_KEY_FILE", "WIZ_CONTEXT_ADMIN_KEY_FILE"] {
        let place = Place::new().with(variable, &*given);
        let ended = place.refused();
        assert_eq!(ended.code, Some(2));
        assert!(
            ended.log.contains(variable) && ended.log.contains("chmod 600"),
            "{}",
            ended.log
        );
    }
    let place = Place::new().with("WIZ_CONTEXT_ENCRYPTION_KEY_FILE", given);
    assert_eq!(place.end_of("rotate-keys", &[]).code, Some(2));
}

#[test]
fn a_netosecret_that_others_may_read_is_warned_of_since_mounts_may_give_no_other() {
    let place = Place::new();
    let account = json!({
        "url": "https://api.netography.com", "shortname": "acme", "appname": "planted-secret", "appkey": "planted-secret",
        "sharedsecret": "planted-secret",
    });
    let file = place.write("netosecret", &BASE64_STANDARD.encode(account.to_string()));
    let place = place.with("NETOSECRET_FILE", &*file);
    for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true), (0o660, true)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let log = place.serve().stop();
        let warning = log
            .lines()
            .find(|line| line.contains("others may read this secret"));
        assert_eq!(warning.is_some(), warned, "{mode:03o}: {log}");
        if let Some(warning) = warning {
            let warning: Value = serde_json::from_str(warning).unwrap();
            assert_eq!(
                (&warning["level"], &warning["file"], &warning["mode"]),
                (&json!("WARN"), &json!(file), &json!(format!("{mode:03o}")))
            );
        }
        assert!(!log.contains("planted-secret"), "{log}");
    }
}

#[test]
fn a_key_file_with_something_else_in_it_is_refused_by_its_name_and_never_shown() {
    let place = Place::new();
    let program = place.serve();
    program.create(&place.admin_key(), &wiz());
    program.stop();
    let right = fs::read_to_string(place.path("encryption-key")).unwrap();
    let cut = right.trim_end().strip_suffix('=').unwrap();
    let half = &cut[..cut.len() / 2];
    for content in [
        "planted-garbage",
        "k1:planted-garbage",
        half,
        cut,
        "planted:garbage,planted:garbage",
    ] {
        place.write("encryption-key", content);
        for command in ["serve", "rotate-keys", "rotate-keys --make-key"] {
            let ended = place.end_of(command, &[]);
            assert_eq!(ended.code, Some(1), "{command}: {}", ended.log);
            let name = format!(
                "the key file {} cannot be used",
                place.path("encryption-key").display()
            );
            assert!(ended.log.contains(&name), "{command}: {}", ended.log);
            assert!(
                !ended.log.contains("planted") && !ended.log.contains(half),
                "{}",
                ended.log
            );
            assert_eq!(fs::read_to_string(place.path("encryption-key")).unwrap(), content);
        }
        let file = place.write("given", content);
        for command in ["serve", "rotate-keys"] {
            let ended = place.end_of(command, &["--encryption-key-file", &file]);
            assert_eq!(ended.code, Some(2), "{command}: {}", ended.log);
            assert!(
                ended.log.contains("WIZ_CONTEXT_ENCRYPTION_KEY_FILE"),
                "{}",
                ended.log
            );
            assert!(
                !ended.log.contains("planted-") && !ended.log.contains(half),
                "{}",
                ended.log
            );
        }
    }
    place.write("encryption-key", &right);
    place.serve().stop();
}

fn create(program: &crate::program::Program, key: &str, name: &str) -> String {
    let body = json!({"name": name, "type": "wiz", "enabled": false, "updateinterval": 86_400, "wiz": wiz()});
    let (status, answer) = program.call("POST", INTEGRATIONS, Some(key), Some(&body));
    assert_eq!(status, 201, "{answer}");
    answer["data"][0]["id"].as_str().unwrap().to_owned()
}

async fn execute(place: &Place, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(place.path("test.db"));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_does_not_open_fails_the_runs_of_its_integration_alone() {
    let place = Place::new();
    let program = place.serve();
    let key = place.admin_key();
    let (one, two) = (create(&program, &key, "one"), create(&program, &key, "two"));
    program.stop();
    let damage = "UPDATE integrations SET client_secret = zeroblob(40) WHERE name = 'one'";
    execute(&place, damage).await;

    let program = place.serve();
    let kind = |id: &str| {
        let path = format!("{INTEGRATIONS}/{id}/run");
        let (_, answer) = program.call("GET", &path, Some(&key), None);
        answer["run"]["failure"].clone()
    };
    let failure = kind(&one);
    assert_eq!(failure["kind"], "credentials", "{failure}");
    assert!(
        failure["message"]
            .as_str()
            .unwrap()
            .contains("give the integration its client secret again")
    );
    // Nobody answers for this one, which is another thing.
    let (status, answer) = program.call("GET", &format!("{INTEGRATIONS}/{two}"), Some(&key), None);
    assert_eq!(status, 200, "{answer}");
    let Ended { code, log, .. } = program.terminate();
    assert_eq!(code, Some(0));
    let told = log.lines().find(|line| line.contains("does not open")).unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    assert_eq!(
        (&told["level"], &told["name"]),
        (&json!("ERROR"), &json!("one")),
        "{log}"
    );

    // A rotation seals the others anew and names it.
    let ended = place.end_of("rotate-keys", &["--make-key"]);
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(
        ended
            .output
            .contains("sealed 1 secret anew, from key k1 to key k2"),
        "{}",
        ended.output
    );
    assert!(
        ended.log.contains("no key opens the stored secrets of: one"),
        "{}",
        ended.log
    );
}

#[test]
fn keys_are_rotated_all_at_once_and_the_service_goes_on_with_the_new_one_alone() {
    let place = Place::new();
    let refused = place.end_of("rotate-keys", &[]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.log.contains("there is no database"), "{}", refused.log);
    let program = place.serve();
    let key = place.admin_key();
    for name in ["one", "two", "three"] {
        create(&program, &key, name);
    }
    let refused = place.end_of("rotate-keys", &["--make-key"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.log.contains("another wiz-context serves this database"),
        "{}",
        refused.log
    );
    program.stop();

    let before = fs::read_to_string(place.path("encryption-key")).unwrap();
    let rotated = place.end_of("rotate-keys", &["--make-key"]);
    assert_eq!(rotated.code, Some(0), "{}", rotated.log);
    assert_eq!(rotated.output, "sealed 3 secrets anew, from key k1 to key k2\n");
    let again = place.end_of("rotate-keys", &[]);
    assert_eq!(
        (again.code, &*again.output),
        (Some(0), "3 secrets had key k2 already\n"),
        "{}",
        again.log
    );
    let after = fs::read_to_string(place.path("encryption-key")).unwrap();
    assert!(after.starts_with("k2:") && after.ends_with(&before));
    let (new, _) = after.split_once(',').unwrap();
    place.write("encryption-key", new);
    let program = place.serve();
    let (status, audit) = program.call("GET", "/api/v1/audit?action=rotate_keys", Some(&key), None);
    assert_eq!((status, &audit["meta"]["count"]), (200, &json!(3)), "{audit}");
    assert_eq!(audit["data"][0]["new_object"], json!({"sealing_key": "k2"}));
    program.stop();
    // The old one alone is none of this database any more.
    place.write("encryption-key", &before);
    assert!(place.refused().log.contains("does not open the stored secrets"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_cannot_be_put_on_record_leaves_every_secret_as_it_was() {
    let place = Place::new();
    let program = place.serve();
    let key = place.admin_key();
    for name in ["one", "two", "three"] {
        create(&program, &key, name);
    }
    program.stop();
    let before = sealed(&place).await;
    // The record of the second secret is refused: the first one had its own already.
    let refuse = "CREATE TRIGGER no_record BEFORE INSERT ON audit \
                  WHEN (SELECT count(*) FROM audit WHERE action = 'rotate_keys') = 1 \
                  BEGIN SELECT RAISE(ABORT, 'planted'); END";
    execute(&place, refuse).await;
    let failed = place.end_of("rotate-keys", &["--make-key"]);
    assert_eq!((failed.code, &*failed.output), (Some(1), ""), "{}", failed.log);
    assert_eq!(sealed(&place).await, before);

    // The key that was made before is there for the next try, and for what the service seals meanwhile.
    let keys = fs::read_to_string(place.path("encryption-key")).unwrap();
    assert!(keys.starts_with("k2:") && keys.contains(",k1:"));
    execute(&place, "DROP TRIGGER no_record").await;
    place.serve().stop();
    let done = place.end_of("rotate-keys", &[]);
    assert_eq!(
        (done.code, &*done.output),
        (Some(0), "sealed 3 secrets anew, from key k1 to key k2\n"),
        "{}",
        done.log
    );
    place.serve().stop();
}

/// What is sealed, by which key, and how many records tell of it.
async fn sealed(place: &Place) -> Vec<(String, Vec<u8>, String)> {
    let options = SqliteConnectOptions::new().filename(place.path("test.db"));
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let rows = sqlx::query_as(
        "SELECT name, client_secret, client_secret_key FROM integrations UNION ALL \
         SELECT 'the check', sealed, key_id FROM sealing_check UNION ALL \
         SELECT 'records', x'', CAST(count(*) AS TEXT) FROM audit ORDER BY 1",
    );
    let rows = rows.fetch_all(&pool).await.unwrap();
    pool.close().await;
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_is_proved_without_the_service_and_beside_it() {
    let place = Place::new();
    let program = place.serve();
    let key = place.admin_key();
    create(&program, &key, "one");
    create(&program, &key, "two");
    let beside = place.end_of("audit verify", &[]);
    assert_eq!(beside.code, Some(0), "{}", beside.log);
    let (_, verdict) = program.call("GET", "/api/v1/audit/verify", Some(&key), None);
    let head = verdict["data"]["head"].as_str().unwrap();
    assert_eq!(beside.output, format!("valid: 2 records, head {head}\n"));
    let (_, audit) = program.call("GET", "/api/v1/audit", Some(&key), None);
    program.stop();
    assert_eq!(place.end_of("audit verify", &["--head", head]).code, Some(0));
    let other = place.end_of("audit verify", &["--head", "00"]);
    assert_eq!(other.code, Some(1));
    assert!(other.log.contains("none of this log's"), "{}", other.log);

    execute(
        &place,
        "DROP TRIGGER audit_is_never_changed; UPDATE audit SET user = 'somebody' WHERE number = 1",
    )
    .await;
    let meddled = place.end_of("audit verify", &[]);
    assert_eq!(meddled.code, Some(1));
    let first = audit["data"][1]["id"].as_str().unwrap();
    assert!(meddled.log.contains(first), "{}", meddled.log);
    let nowhere = Place::new().end_of("audit verify", &[]);
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.log.contains("cannot be checked"), "{}", nowhere.log);
}
