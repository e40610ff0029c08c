//! What a process of the program uses.

use crate::process::Process;

impl Process {
    /// How many lines it has printed.
    pub(crate) fn printed(&self) -> usize {
        self.lines_since(0).len()
    }

    /// The most memory since [`Process::forget_peak`], in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.figure("status", "VmHWM:")
    }

    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// The bytes that it gave the system to write to disk.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.figure("io", "write_bytes:")
    }

    fn figure(&self, file: &str, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}
