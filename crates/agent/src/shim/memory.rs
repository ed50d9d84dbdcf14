//! The hard memory limit: what the tree holds is looked at every second or few, and over the limit it is killed.
//!
//! Coarser than a control group: a burst between two looks goes unseen, and pages that forked processes share count for
//! each. In return it needs no rights. Pages of files are left out, which a control group charges once for all.

use std::time::{Duration, Instant};

use super::tree;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// Looking through a machine's processes takes longer where there are many: then it is done less often, so that it takes
/// no more than one part in so many of a core…
const PART_OF_A_CORE: u32 = 500;
/// …but never less often than this.
const PERIOD_MAX: Duration = Duration::from_secs(5);

/// Watches one container.
pub struct Watch {
    limit_bytes: u64,
    /// When to look.
    pub due: Instant,
}

impl Watch {
    /// Looks for the first time in a while.
    pub fn new(limit_bytes: u64, now: Instant) -> Self {
        Watch { limit_bytes, due: now + PERIOD }
    }

    /// Whether those below `root` hold too much.
    pub fn is_over(&mut self, root: u32) -> bool {
        let begun = Instant::now();
        let held: u64 = tree::below(root, &tree::all()).iter().map(|process| held_bytes(process.pid)).sum();
        let now = Instant::now();
        self.due = now + ((now - begun) * PART_OF_A_CORE).clamp(PERIOD, PERIOD_MAX);
        held > self.limit_bytes
    }
}

fn held_bytes(pid: u32) -> u64 {
    std::fs::read_to_string(format!("/proc/{pid}/status")).map_or(0, |status| held_in(&status))
}

fn held_in(status: &str) -> u64 {
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default()
    };
    (kib("RssAnon") + kib("RssShmem")) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_do_not_count() {
        let status =
            "Name:\tx\nVmRSS:\t    1812 kB\nRssAnon:\t     116 kB\nRssFile:\t    1696 kB\nRssShmem:\t       4 kB\n";
        assert_eq!(held_in(status), 120 * 1024);
        assert_eq!(held_in("Name:\tx\n"), 0);
        assert!(held_bytes(std::process::id()) > 0);
    }
}
