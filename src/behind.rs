//! What goes behind when the processors are all in use: the work on a report, which takes as long as it takes, behind the
//! API, whose answers take less than a millisecond.

use std::io;
#[cfg(target_os = "linux")]
use std::sync::Once;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// How far below the rest of the process: enough that a thread which wakes up does not wait for a turn to end, and little
/// enough that a run on a machine with other work still gets on.
#[cfg(target_os = "linux")]
const BELOW: i32 = 10;

/// Computes on a thread of its own that goes after all others. The answer ends in an error when `work` panics, or the system
/// gives no thread.
pub(crate) fn compute<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (sender, answer) = oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let_others_first();
        // Nobody waits any more for what a cancelled run asked.
        _ = sender.send(work());
    });
    if let Err(error) = thread {
        tracing::error!(%error, name, "the system gives no thread");
    }
    answer
}

/// A runtime whose threads go after all others.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .thread_name("behind")
        .on_thread_start(let_others_first)
        .enable_all()
        .build()
}

/// Lets all other threads of the process go before the present one and those that it starts, for good. Only Linux has a
/// priority for each thread; elsewhere nothing happens.
fn let_others_first() {
    #[cfg(target_os = "linux")]
    if let Err(error) = go_behind_the_first_thread() {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            tracing::warn!(%error, "runs keep the priority of the API; let the process call setpriority");
        });
    }
}

/// A thread begins with the priority of the one that started it, which may be one that goes behind already.
#[cfg(target_os = "linux")]
fn go_behind_the_first_thread() -> rustix::io::Result<()> {
    use rustix::process::{getpid, getpriority_process, setpriority_process};

    let first = getpriority_process(Some(getpid()))?;
    setpriority_process(None, first + BELOW)
}
