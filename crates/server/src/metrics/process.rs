//! What the kernel says of this process.

use std::path::Path;

use prometheus_client::{
    metrics::gauge::ConstGauge,
    registry::{Registry, Unit},
};
use seawall_env::fs::Fs;

/// Nothing where the kernel does not say, as in the simulation: the page is as good without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
}

impl Process {
    /// Blocks for as long as reading two files takes.
    pub(super) fn read(fs: &dyn Fs) -> Process {
        let status = fs.read(Path::new("/proc/self/status")).ok().flatten();
        let open = fs.list(Path::new("/proc/self/fd")).ok().filter(|names| !names.is_empty());
        Process {
            resident_bytes: status.and_then(|status| resident_bytes(&String::from_utf8_lossy(&status))),
            open_fds: open.map(|names| names.len() as u64),
        }
    }

    pub(super) fn register(self, registry: &mut Registry) {
        if let Some(bytes) = self.resident_bytes {
            let help = "Memory of this process that is in use";
            registry.register_with_unit("process_resident_memory", help, Unit::Bytes, ConstGauge::new(bytes));
        }
        if let Some(open) = self.open_fds {
            registry.register(
                "process_open_fds",
                "Files and connections that this process holds",
                ConstGauge::new(open),
            );
        }
    }
}

/// `VmRSS:     1234 kB`
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status() {
        assert_eq!(resident_bytes("Name:\tseawall\nVmRSS:\t   1234 kB\nThreads:\t9\n"), Some(1234 << 10));
        assert_eq!(resident_bytes("Name:\tseawall\n"), None);
    }
}
