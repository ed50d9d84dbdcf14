//! The hard memory limit: what the tree holds is looked at every second or few, and over the limit it is killed.
//!
//! Coarser than a control group: a burst between two looks goes unseen, and pages that forked processes share count for
//! each. In return it needs no rights. Pages of files are left out, which a control group charges once for all.
//!
//! The containers of a task have a limit of their sum as well. Each shim looks at all of them, and the one whose container
//! holds most ends it: they agree on which that is without a word, and go on doing so when the agent is gone.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    files::{self, Status},
    tree::{self, Process},
};

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
    /// Of the task's containers together.
    task_limit_bytes: Option<u64>,
    /// When to look.
    pub due: Instant,
}

/// What a container of the task holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Share {
    held_bytes: u64,
    /// Its place in the definition: of two that hold the same the later one ends.
    index: usize,
    /// It was killed for memory, and is about to give back what it holds.
    is_ending: bool,
}

impl Watch {
    /// Looks for the first time in a while.
    pub fn new(limit_bytes: u64, task_limit_bytes: Option<u64>, now: Instant) -> Self {
        Watch { limit_bytes, task_limit_bytes, due: now + PERIOD }
    }

    /// Whether the container of `folder`, those below `root`, holds too much.
    pub fn is_over(&mut self, folder: &Path, root: u32) -> bool {
        let begun = Instant::now();
        let all = tree::all();
        let own = Share { held_bytes: held_below(root, &all), index: index(folder), is_ending: false };
        let is_chosen = || self.task_limit_bytes.is_some_and(|limit| is_chosen(own, &others(folder, &all), limit));
        let is_over = own.held_bytes > self.limit_bytes || is_chosen();
        let now = Instant::now();
        self.due = now + ((now - begun) * PART_OF_A_CORE).clamp(PERIOD, PERIOD_MAX);
        is_over
    }
}

/// Whether the task holds too much and this container is the one to end for it.
fn is_chosen(own: Share, others: &[Share], limit_bytes: u64) -> bool {
    let sum = others.iter().fold(own.held_bytes, |sum, other| sum.saturating_add(other.held_bytes));
    sum > limit_bytes && others.iter().all(|other| !other.is_ending && *other < own)
}

/// What the other containers of the task hold that run.
fn others(folder: &Path, all: &[Process]) -> Vec<Share> {
    let entries = folder.parent().and_then(|task| std::fs::read_dir(task).ok()).into_iter().flatten();
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    folders.filter(|other| other != folder).filter_map(|other| share(&other, all)).collect()
}

/// `None` where nothing of it runs, or nothing is known of it: then it is not there for this look.
fn share(folder: &Path, all: &[Process]) -> Option<Share> {
    let status: Status = files::load(folder, files::STATUS).ok()??;
    let is_shim = |process: &Process| process.pid == status.shim && process.started_ticks == status.shim_started_ticks;
    let runs = status.boot == tree::boot() && all.iter().any(is_shim);
    runs.then(|| Share { held_bytes: held_below(status.shim, all), index: index(folder), is_ending: status.oom })
}

/// The folder of a container is named by its place.
fn index(folder: &Path) -> usize {
    folder.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or_default()
}

fn held_below(root: u32, all: &[Process]) -> u64 {
    tree::below(root, all).iter().map(|process| held_bytes(process.pid)).sum()
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
    fn of_a_task_that_holds_too_much_the_largest_container_ends() {
        let share = |held_bytes, index| Share { held_bytes, index, is_ending: false };
        let (small, large) = (share(30, 1), share(50, 0));
        assert!(is_chosen(large, &[small], 79));
        assert!(!is_chosen(large, &[small], 80));
        assert!(!is_chosen(small, &[large], 79));
        assert!(is_chosen(share(40, 1), &[share(40, 0)], 79) && !is_chosen(share(40, 0), &[share(40, 1)], 79));
        let ending = Share { is_ending: true, ..small };
        assert!(!is_chosen(large, &[ending], 79), "it gives way already");
    }

    #[test]
    fn files_do_not_count() {
        let status =
            "Name:\tx\nVmRSS:\t    1812 kB\nRssAnon:\t     116 kB\nRssFile:\t    1696 kB\nRssShmem:\t       4 kB\n";
        assert_eq!(held_in(status), 120 * 1024);
        assert_eq!(held_in("Name:\tx\n"), 0);
        assert!(held_bytes(std::process::id()) > 0);
    }
}
