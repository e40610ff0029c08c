//! A process that dies leaves no copy of its memory behind: it holds client secrets and keys.

use rustix::io;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids core dumps of this process, for good. Nor may other processes of the same user read its memory, where the
/// system can forbid that.
///
/// # Errors
/// When the system refuses one of the two; the other is done all the same.
pub(crate) fn forbid() -> io::Result<()> {
    let nothing = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = setrlimit(Resource::Core, nothing);
    // A dump that is piped to a program knows no limit, but this.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    limited
}
