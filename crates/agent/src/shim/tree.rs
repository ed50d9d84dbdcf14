//! Processes as /proc has them: who is below whom.

use std::collections::BTreeSet;

use rustix::process::{Pid, Signal, kill_process};

/// A process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Its session's.
    pub session: u32,
    /// When it started, in ticks since boot.
    pub started_ticks: u64,
    /// It has ended, and is kept for its parent only.
    pub is_dead: bool,
}

/// All there are. One that ends meanwhile is left out.
pub fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(one).collect()
}

/// One of them.
pub fn one(pid: u32) -> Option<Process> {
    // A name may hold any bytes; the numbers are behind it.
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &String::from_utf8_lossy(&stat))
}

/// The second field is a name in parentheses that may hold anything; what counts comes after it.
fn parse(pid: u32, stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Process {
        pid,
        is_dead: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// Those below `root`, without it.
pub fn below(root: u32, all: &[Process]) -> Vec<Process> {
    let mut above = BTreeSet::from([root]);
    let mut found: Vec<Process> = Vec::new();
    loop {
        let is_new = |p: &&Process| above.contains(&p.parent) && !above.contains(&p.pid);
        let more: Vec<Process> = all.iter().filter(is_new).copied().collect();
        if more.is_empty() {
            return found;
        }
        above.extend(more.iter().map(|p| p.pid));
        found.extend(more);
    }
}

/// Kills everything below `root`.
pub fn kill_below(root: u32) {
    let doomed = below(root, &all());
    doomed.iter().filter(|process| !process.is_dead).for_each(|process| {
        // One that has ended needs no signal; one that runs under another user cannot be sent any.
        let _ = send(process.pid, Signal::KILL);
    });
}

/// Sends a signal.
pub fn send(pid: u32, signal: Signal) -> rustix::io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
    kill_process(pid, signal)
}

/// Which boot of the machine this is: pids and ticks mean something within one only.
pub fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32) -> Process {
        Process { pid, parent, session: 1, started_ticks: 0, is_dead: false }
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "12 (we ) ird) Z 7 12 5 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 100 200";
        let read = parse(12, stat).unwrap();
        assert_eq!(read, Process { pid: 12, parent: 7, session: 5, started_ticks: 4711, is_dead: true });
        assert_eq!(parse(12, "nonsense"), None);
    }

    #[test]
    fn children_of_children_are_below() {
        let all = [process(2, 1), process(4, 3), process(3, 2), process(5, 1)];
        let found: BTreeSet<u32> = below(2, &all).iter().map(|p| p.pid).collect();
        assert_eq!(found, BTreeSet::from([3, 4]));
    }

    #[test]
    fn this_process_is_found() {
        let own = one(std::process::id()).unwrap();
        assert!(all().contains(&own));
        assert!(own.started_ticks > 0 && !own.is_dead);
    }
}
