//! `wiz-context health`, which a container engine asks.

use crate::program::{Ended, Place};

fn health(listen: &str, flags: &[&str]) -> Ended {
    let place = Place::new().with("WIZ_CONTEXT_LISTEN", listen);
    place.end_of("health", flags)
}

#[test]
fn a_service_lives_from_its_start_to_its_end() {
    let program = Place::new().serve();
    let address = program.address.clone();
    let port = address.rsplit(':').next().unwrap();
    let lives = health(&address, &[]);
    assert_eq!((lives.code, lives.log.as_str()), (Some(0), ""));
    // The image listens at all addresses; a flag goes before its variable.
    let everywhere = format!("0.0.0.0:{port}");
    assert_eq!(health(&everywhere, &[]).code, Some(0));
    assert_eq!(health("127.0.0.1:1", &["--listen", &everywhere]).code, Some(0));
    program.stop();
    let gone = health(&everywhere, &[]);
    assert_eq!(gone.code, Some(1));
    let told =
        format!("wiz-context: no answer from 127.0.0.1:{port}, where WIZ_CONTEXT_LISTEN (--listen) says");
    assert!(
        gone.log.starts_with(&told) && gone.log.lines().count() == 1,
        "{}",
        gone.log
    );
}

#[test]
fn an_address_that_is_none_is_wrong_usage() {
    let ended = health("here", &[]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.log.contains("WIZ_CONTEXT_LISTEN (--listen): `here`"),
        "{}",
        ended.log
    );
}
