//! What Linux tells of processes under /proc: who holds a port, who runs below a folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use rustix::process::{Pid, Signal, kill_process};
use seawall_env::Env;

/// State of a listening socket in /proc/net/tcp.
const LISTENING: &str = "0A";

/// Process ids that exist now.
pub fn pids(env: &Env) -> Vec<u32> {
    let names = env.fs().list(Path::new("/proc")).unwrap_or_default();
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// A process's command line, its words separated by blanks.
pub fn command_line(env: &Env, pid: u32) -> String {
    let bytes = env.fs().read(&PathBuf::from(format!("/proc/{pid}/cmdline"))).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

/// Kills every process whose command line names `folder`, and all below them. A process that is gone needs no signal.
pub fn kill_all_of(env: &Env, folder: &Path, word: &str) -> usize {
    let doomed = below(&parents(env), &named(env, folder, word));
    for &pid in &doomed {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    doomed.len()
}

/// Processes that run `word` for something in `folder`.
pub fn named(env: &Env, folder: &Path, word: &str) -> Vec<u32> {
    let (folder, own) = (folder.display().to_string(), std::process::id());
    let is_meant = |pid: &u32| {
        let line = command_line(env, *pid);
        line.split(' ').any(|w| w == word) && names_folder(&line, &folder)
    };
    pids(env).into_iter().filter(|pid| *pid != own).filter(is_meant).collect()
}

/// Whether a word of the line is the folder or below it: `/d/a` does not name `/d/a1`.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| matches!(line[at + folder.len()..].chars().next(), None | Some('/' | ' ')))
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
fn below(parents: &BTreeMap<u32, u32>, roots: &[u32]) -> BTreeSet<u32> {
    let mut found: BTreeSet<u32> = roots.iter().copied().collect();
    loop {
        let more: Vec<u32> =
            parents.iter().filter(|(pid, parent)| found.contains(parent) && !found.contains(pid)).map(|(pid, _)| *pid).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Who listens on a TCP port of this machine, for people: "nginx (pid 123)".
pub fn holder_of(env: &Env, port: u16) -> Option<(u32, String)> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| env.fs().read(Path::new(table)).ok().flatten())
        .filter_map(|bytes| inode_in(&String::from_utf8_lossy(&bytes), port))
        .collect();
    let pid = pids(env).into_iter().find(|pid| holds(env, *pid, &inodes))?;
    let name = env.fs().read(&PathBuf::from(format!("/proc/{pid}/comm"))).ok().flatten().unwrap_or_default();
    Some((pid, format!("{} (pid {pid})", String::from_utf8_lossy(&name).trim())))
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
    fn a_folder_is_named_only_as_a_whole() {
        assert!(names_folder("seawall shim /d/a/tasks/1", "/d/a"));
        assert!(names_folder("seawall agent --data-dir=/d/a", "/d/a"));
        assert!(!names_folder("seawall agent --data-dir=/d/a1", "/d/a"));
    }

    #[test]
    fn a_process_name_may_hold_anything() {
        assert_eq!(parent_in("12 (we ) ird) S 7 12 12"), Some(7));
        assert_eq!(parent_in("nonsense"), None);
    }

    #[test]
    fn children_of_children_are_below() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 1)]);
        assert_eq!(below(&parents, &[2]), BTreeSet::from([2, 3, 4]));
    }

    #[test]
    fn only_a_listener_holds_a_port() {
        let table = "  sl  local_address rem_address st\n   0: 0100007F:1CE8 0100007F:9C40 01 0:0 0:0 0 0 0 11 1\n   \
                     1: 0100007F:1CE8 00000000:0000 0A 0:0 0:0 0 0 0 22 1\n";
        // The table has two fields more between the queues and the inode than this one would need.
        assert_eq!(inode_in(table, 7400).as_deref(), Some("1"));
        assert_eq!(inode_in(table, 7401), None);
    }
}
