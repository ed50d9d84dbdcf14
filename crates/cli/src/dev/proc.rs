//! What Linux tells of processes under /proc: who holds a port, who runs for a folder, who is below whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use seawall_env::Env;

/// State of a listening socket in /proc/net/tcp.
const LISTENING: &str = "0A";
/// Rounds of stopping what was started while the round before went on.
const ROUNDS_MAX: usize = 20;
/// Between two looks at processes that are to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Until a process that was killed is gone.
const KILLED_MAX: Duration = Duration::from_secs(5);

/// Processes that run `seawall WORD …` for something in `folder`, but for this one.
pub fn named(env: &Env, folder: &Path, word: &str) -> Vec<u32> {
    let own = std::process::id();
    let is_meant = |pid: &u32| *pid != own && is_for(&words(env, *pid), word, folder);
    pids(env).into_iter().filter(is_meant).collect()
}

/// Kills every process of [`named`] and all below them, and tells how many of the former there were.
///
/// All are stopped before the first is killed: one that lives would start others meanwhile, and once a parent is dead
/// nothing tells any more whose children they were.
pub fn kill_all_of(env: &Env, folder: &Path, word: &str) -> usize {
    let mut roots = BTreeSet::new();
    let mut stopped = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        roots.extend(named(env, folder, word));
        let found = below(&parents(env), &roots);
        if found.is_subset(&stopped) {
            break;
        }
        found.difference(&stopped).for_each(|pid| send(*pid, Signal::STOP));
        stopped.extend(found);
    }
    stopped.iter().for_each(|pid| send(*pid, Signal::KILL));
    roots.len()
}

/// Waits until no process of [`named`] is left; those that are left after `limit` are killed. False: one cannot be.
pub async fn wait_gone(env: &Env, folder: &Path, word: &str, limit: Duration) -> bool {
    for (until, kill) in [(limit, false), (KILLED_MAX, true)] {
        let deadline = env.now() + until;
        if kill {
            kill_all_of(env, folder, word);
        }
        while env.now() < deadline {
            if named(env, folder, word).is_empty() {
                return true;
            }
            env.sleep(LOOK_EVERY).await;
        }
    }
    false
}

/// Sends a signal. A process that is gone needs none.
pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The words of a process's command line; none where it has ended.
pub fn words(env: &Env, pid: u32) -> Vec<String> {
    let bytes = env.fs().read(&PathBuf::from(format!("/proc/{pid}/cmdline"))).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

fn pids(env: &Env) -> Vec<u32> {
    let names = env.fs().list(Path::new("/proc")).unwrap_or_default();
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// Whether a command line is `seawall WORD …` with an argument that is the folder or in it: `/d/a1` is not in `/d/a`.
fn is_for(words: &[String], word: &str, folder: &Path) -> bool {
    let is_there = |argument: &String| {
        let value = argument.split_once('=').map_or(argument.as_str(), |(_, value)| value);
        Path::new(value).starts_with(folder)
    };
    words.get(1).is_some_and(|w| w == word) && words.iter().skip(2).any(is_there)
}

fn parents(env: &Env) -> BTreeMap<u32, u32> {
    let stat = |pid: u32| {
        let bytes = env.fs().read(&PathBuf::from(format!("/proc/{pid}/stat"))).ok()??;
        parent_in(&String::from_utf8_lossy(&bytes)).map(|parent| (pid, parent))
    };
    pids(env).into_iter().filter_map(stat).collect()
}

/// The fourth field; the second one is a name in parentheses that may hold anything.
fn parent_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// `roots` and everything below them.
fn below(parents: &BTreeMap<u32, u32>, roots: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut found = roots.clone();
    loop {
        let is_new = |(pid, parent): &(&u32, &u32)| found.contains(parent) && !found.contains(pid);
        let more: Vec<u32> = parents.iter().filter(is_new).map(|(pid, _)| *pid).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Who listens on a TCP port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name, as `ps` shows it.
    pub name: String,
    /// Its command line.
    pub words: Vec<String>,
}

/// Who listens on a TCP port of this machine; `None` where it is another user's process, which only root may see.
pub fn holder_of(env: &Env, port: u16) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| env.fs().read(Path::new(table)).ok().flatten())
        .filter_map(|bytes| inode_in(&String::from_utf8_lossy(&bytes), port))
        .collect();
    let pid = pids(env).into_iter().find(|pid| holds(env, *pid, &inodes))?;
    let name = env.fs().read(&PathBuf::from(format!("/proc/{pid}/comm"))).ok().flatten().unwrap_or_default();
    Some(Holder { pid, name: String::from_utf8_lossy(&name).trim().to_owned(), words: words(env, pid) })
}

fn inode_in(table: &str, port: u16) -> Option<String> {
    let end = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&end) && *fields.get(3)? == LISTENING;
        listens.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
    })
}

fn holds(env: &Env, pid: u32, inodes: &[String]) -> bool {
    let folder = PathBuf::from(format!("/proc/{pid}/fd"));
    let names = env.fs().list(&folder).unwrap_or_default();
    names.iter().any(|name| {
        let Ok(target) = rustix::fs::readlink(folder.join(name), Vec::new()) else { return false };
        inodes.iter().any(|inode| target.as_bytes() == format!("socket:[{inode}]").as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_for_a_folder_only_as_a_whole_and_by_its_command() {
        let is = |line: &str, word: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            is_for(&words, word, Path::new("/d/a"))
        };
        assert!(is("seawall shim run /d/a/process/1/0", "shim"));
        assert!(is("seawall agent --data-dir=/d/a --lifeline", "agent"));
        assert!(!is("seawall agent --data-dir=/d/a1", "agent"));
        assert!(!is("less agent /d/a/log", "shim"));
        assert!(!is("seawall dev --data-dir /d/a", "agent"));
    }

    #[test]
    fn a_process_name_may_hold_anything() {
        assert_eq!(parent_in("12 (we ) ird) S 7 12 12"), Some(7));
        assert_eq!(parent_in("nonsense"), None);
    }

    #[test]
    fn children_of_children_are_below() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 1)]);
        assert_eq!(below(&parents, &BTreeSet::from([2])), BTreeSet::from([2, 3, 4]));
    }

    #[test]
    fn only_a_listener_holds_a_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1CE8 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 11 1\n   \
                     1: 0100007F:1CE8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 1\n";
        assert_eq!(inode_in(table, 7400).as_deref(), Some("22"));
        assert_eq!(inode_in(table, 7401), None);
    }
}
