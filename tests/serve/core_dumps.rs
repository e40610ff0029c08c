//! That a process which opens secrets leaves no copy of its memory behind when it dies.
//!
//! `/proc` tells what a process allows. Whether a core would be written at all depends on the machine.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::program::{Place, wiz};

/// The number of a user who is not root, and need not have a name.
const SOMEBODY: u32 = 65_534;

/// A process that does not outlive the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the process allows no core: neither a file, nor one that is piped to a program.
fn forbids(process: u32) -> bool {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size"));
    let limit: Vec<_> = line.unwrap().split_whitespace().skip(4).take(2).collect();
    // The memory of a process that is not dumpable belongs to root, whoever runs it.
    let owner = fs::metadata(format!("/proc/{process}/mem")).unwrap().uid();
    limit == ["0", "0"] && owner == 0
}

/// As far as the test may go, cores are written: what is started from here on inherits that. Where they go into the folder of
/// the process, one that allows it shows that they do.
fn allow_cores() {
    let limit = getrlimit(Resource::Core);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Core, raised).unwrap();
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if limit.maximum == Some(0) || !pattern.starts_with("core") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -ABRT $$"]).current_dir(folder.path());
    let ended = shell.stderr(Stdio::null()).status().unwrap();
    assert!(ended.core_dumped() && !cores(folder.path()).is_empty(), "{ended}");
}

fn cores(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.starts_with("core")).collect()
}

/// Waits until it forbids cores.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "another process has no clock of a test")]
fn wait_until_it_forbids(child: &mut Child) {
    let end = Instant::now() + Duration::from_secs(20);
    while !forbids(child.id()) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
        assert!(Instant::now() < end, "it allows cores");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_service_that_dies_by_a_signal_leaves_no_core() {
    allow_cores();
    for signal in ["ABRT", "SEGV"] {
        let place = Place::new();
        let mut program = place.serve();
        assert!(forbids(program.process()));
        program.create(&place.admin_key(), &wiz());
        let ended = loop {
            // The standard library's handler, which looks for overflows of the stack, lets go of the first SEGV.
            program.signal(signal);
            if let Some(ended) = program.ended_within(Duration::from_millis(100)) {
                break ended;
            }
        };
        assert!(ended.signal().is_some() && !ended.core_dumped(), "{ended}");
        assert_eq!(cores(&place.path("")), [""; 0]);
    }
}

#[test]
fn not_even_its_own_user_reads_the_memory_of_the_service() {
    // Only root becomes somebody else.
    let mut somebody = Command::new("true");
    if somebody.uid(SOMEBODY).gid(SOMEBODY).status().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let program = folder.path().join("wiz-context");
    fs::copy(env!("CARGO_BIN_EXE_wiz-context"), &program).unwrap();
    let serve = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(folder.path());
        command.uid(SOMEBODY).gid(SOMEBODY).env_clear();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Started(command.spawn().unwrap())
    };
    let owner = |child: &Started| fs::metadata(format!("/proc/{}/mem", child.0.id())).unwrap().uid();
    let mut service = serve(&["serve", "--listen", "127.0.0.1:0"]);
    wait_until_it_forbids(&mut service.0);
    // One that opens no secret shows what it would be.
    let other = serve(&["simulate", "--listen", "127.0.0.1:0"]);
    assert_eq!((owner(&service), owner(&other)), (0, SOMEBODY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_of_keys_that_dies_leaves_no_core() {
    allow_cores();
    let place = Place::new();
    let program = place.serve();
    program.create(&place.admin_key(), &wiz());
    program.stop();
    // Somebody else writes, so that the command waits in the midst of it.
    let options = SqliteConnectOptions::new().filename(place.path("test.db"));
    let mut writer = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut writer).await.unwrap();
    let mut command = place.command("rotate-keys");
    let mut child = Started(command.stderr(Stdio::null()).spawn().unwrap());
    wait_until_it_forbids(&mut child.0);
    let abort = format!("kill -ABRT {}", child.0.id());
    assert!(
        Command::new("sh")
            .args(["-c", &abort])
            .status()
            .unwrap()
            .success()
    );
    let ended = child.0.wait().unwrap();
    assert!(ended.signal() == Some(6) && !ended.core_dumped(), "{ended}");
    assert_eq!(cores(&place.path("")), [""; 0]);
    writer.close().await.unwrap();
}
