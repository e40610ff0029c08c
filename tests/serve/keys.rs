//! The keys beside the database.

use std::fs;

use wiz_context::store::Keyring;

use crate::program::{INTEGRATIONS, Place, wiz};

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
