//! Settings that are wrong.

use crate::program::Place;

#[track_caller]
fn assert_wrong(place: &Place, flags: &[&str], parts: &[&str]) {
    let ended = place.refused_with(flags);
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    for part in parts {
        assert!(ended.log.contains(part), "{part} is not in: {}", ended.log);
    }
    assert!(!ended.log.contains("planted"), "{}", ended.log);
    assert!(!place.path("test.db").exists());
}

#[test]
fn wrong_settings_end_it_with_the_code_of_wrong_usage_and_are_named() {
    let with = |name: &str, value: &str| Place::new().with(name, value);
    let name = "WIZ_CONTEXT_LISTEN";
    assert_wrong(&with(name, "here"), &[], &[name, "`here`", "127.0.0.1:8080"]);
    assert_wrong(&Place::new(), &["--listen", "here"], &[name, "--listen"]);
    let name = "WIZ_CONTEXT_LOG";
    assert_wrong(&with(name, "loud"), &[], &[name, "`loud`"]);
    let name = "WIZ_CONTEXT_DATABASE_URL";
    assert_wrong(&with(name, "postgres://a:planted@b/c"), &[], &[name, "sqlite://"]);
    assert_wrong(
        &with("NETOSECRET", "planted!"),
        &[],
        &["NETOSECRET: is not base64"],
    );
    let name = "NETOSECRET_FILE";
    assert_wrong(
        &with(name, "/nowhere/secret"),
        &[],
        &[name, "/nowhere/secret cannot be read"],
    );
    let both = Place::new()
        .with("WIZ_CONTEXT_ADMIN_KEY", "planted")
        .with("WIZ_CONTEXT_ADMIN_KEY_FILE", "/run/key");
    assert_wrong(
        &both,
        &[],
        &[
            "WIZ_CONTEXT_ADMIN_KEY, WIZ_CONTEXT_ADMIN_KEY_FILE",
            "both are set",
        ],
    );
    assert_wrong(&Place::new(), &["--admin-key", "x"], &["--admin-key"]);
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let ended = Place::new()
        .with("WIZ_CONTEXT_DATABASE_URL", "sqlite:///nowhere/test.db")
        .refused();
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .log
            .contains("the folder /nowhere of the database does not exist"),
        "{}",
        ended.log
    );
}

#[test]
fn certificate_authorities_that_cannot_be_read_are_a_wrong_setting() {
    let ended = Place::new()
        .with("WIZ_CONTEXT_CA_FILE", "/nowhere/ca.pem")
        .refused();
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.log.contains("WIZ_CONTEXT_CA_FILE: cannot read"),
        "{}",
        ended.log
    );
}
