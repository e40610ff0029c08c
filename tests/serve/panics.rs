//! What the log tells of a panic: where it was, and no value.
//!
//! The program has nothing that panics on demand, and shall not. So this test's own program is started once more, as a child
//! with the service's log, and panics in each of the ways that a service can.

use std::collections::BTreeMap;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use wiz_context::domain::ClientSecret;
use wiz_context::shutdown::Shutdown;
use wiz_context::store::Keyring;
use wiz_context::telemetry::{self, LogFormat, LogSettings};

const AS_A_CHILD: &str = "PANICS_TEST_LOG_FORMAT";
/// As a command that opens secrets and has no log.
const WITHOUT_LOG: &str = "none";
const SECRET: &str = "planted-secret";

/// The secret as it stands nowhere in the code, so that it is no part of a fixed message.
fn secret() -> ClientSecret {
    ClientSecret::new(SECRET.to_owned())
}

/// What is refused with an error that holds the text.
#[derive(Debug)]
struct Keyed;

impl FromStr for Keyed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(Self)
        } else {
            Err(text.to_owned())
        }
    }
}

fn panic_in_every_way() {
    let shutdown = Shutdown::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let threads: [fn(); 6] = [
        || panic!("stands in the code"),
        || panic!("put together: {}", secret().expose()),
        || std::panic::panic_any(secret().expose().to_owned()),
        || std::panic::panic_any(secret()),
        || secret().expose().parse::<Keyed>().map(drop).unwrap(),
        || assert_eq!(secret().expose(), "another", "{}", secret().expose()),
    ];
    for thread in threads {
        std::thread::spawn(thread).join().unwrap_err();
    }
    // As a thread's name a secret would be told by some hooks.
    let named = std::thread::Builder::new().name(SECRET.to_owned());
    named
        .spawn(|| panic!("of a thread with a name"))
        .unwrap()
        .join()
        .unwrap_err();
    runtime.block_on(async {
        shutdown.spawn_vital("test", async { panic!("in a task: {}", secret().expose()) });
        shutdown.token().cancelled().await;
        let blocking = tokio::task::spawn_blocking(|| panic!("in a blocking task: {}", secret().expose()));
        blocking.await.unwrap_err();
        shutdown.finish(Duration::from_secs(5)).await;
    });
    let keyring = format!("k1:{SECRET}");
    let read = || Keyring::read(&keyring).unwrap();
    std::panic::catch_unwind(read).unwrap_err();
}

/// What the child of the test does.
fn panic_with_the_hook_of(format: &str) {
    if format == WITHOUT_LOG {
        telemetry::shorten_panics();
    } else {
        let settings = LogSettings {
            filter: "trace".parse().unwrap(),
            format: format.parse::<LogFormat>().unwrap(),
        };
        telemetry::start(&settings).unwrap();
    }
    panic_in_every_way();
}

#[test]
fn a_panic_is_told_with_its_place_and_without_any_value() {
    // A hook is a process's: the test starts itself again for each.
    if let Ok(format) = std::env::var(AS_A_CHILD) {
        return panic_with_the_hook_of(&format);
    }
    for format in ["json", "text", WITHOUT_LOG] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "panics::a_panic_is_told_with_its_place_and_without_any_value",
            "--exact",
            "--nocapture",
        ]);
        command.env(AS_A_CHILD, format).env("RUST_BACKTRACE", "full");
        let output = command.output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{log}");
        let all = format!("{log}{}", String::from_utf8_lossy(&output.stdout));
        assert!(!all.contains(SECRET), "{all}");
        assert_eq!(log.matches("tests/serve/panics.rs:").count(), 10, "{log}");
        if format != "json" {
            continue;
        }
        let mut told = BTreeMap::new();
        for line in log.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            if record["message"] == "a panic" {
                assert_eq!(record["level"], "ERROR");
                *told
                    .entry(record["said"].as_str().unwrap().to_owned())
                    .or_insert(0) += 1;
            }
        }
        let hidden = "its message is not shown, since it may carry values";
        assert_eq!(
            (
                told["stands in the code"],
                told["of a thread with a name"],
                told[hidden]
            ),
            (1, 1, 8)
        );
    }
}
