//! Finds the processes of a task in /proc and kills them: neither an engine nor a shim is asked.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use rustix::process::Signal;

use super::Target;
use crate::shim::{
    files::MARK,
    tree::{self, Process},
};

/// Kills what there is; how many processes.
pub(super) fn all(targets: &BTreeSet<Target>) -> usize {
    let processes = tree::all();
    let mut doomed: BTreeSet<u32> = BTreeSet::new();
    for target in targets {
        doomed.extend(match target {
            Target::Folder(folder) => of_folder(folder, &processes),
            Target::Container(id) => of_container(id, &processes),
        });
    }
    for pid in &doomed {
        // One that ended meanwhile needs no signal.
        let _ = tree::send(*pid, Signal::KILL);
    }
    doomed.len()
}

/// What is below a shim of the folder, and what carries its mark where the shim is gone. The shim itself stays: it writes down how
/// its container ended.
fn of_folder(folder: &Path, processes: &[Process]) -> BTreeSet<u32> {
    let living = || processes.iter().filter(|process| !process.is_dead);
    let shims = living().filter(|process| shim_folder(process.pid).is_some_and(|of| of.starts_with(folder)));
    let below = shims.flat_map(|shim| tree::below(shim.pid, processes)).filter(|process| !process.is_dead);
    let marked = living().filter(|process| mark(process.pid).is_some_and(|of| of.starts_with(folder)));
    below.map(|process| process.pid).chain(marked.map(|process| process.pid)).collect()
}

/// The folder of the container that a process is the shim of.
fn shim_folder(pid: u32) -> Option<PathBuf> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&str> = line.split(|byte| *byte == 0).filter_map(|word| str::from_utf8(word).ok()).collect();
    match words[..] {
        [_, "shim", "run", folder, ..] => Some(folder.into()),
        _ => None,
    }
}

fn mark(pid: u32) -> Option<PathBuf> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0).filter_map(|word| str::from_utf8(word).ok());
    variables.find_map(|variable| variable.strip_prefix(MARK)?.strip_prefix('=').map(PathBuf::from))
}

/// The names of control groups hold the container's id, whatever the driver, in both versions.
fn of_container(id: &str, processes: &[Process]) -> BTreeSet<u32> {
    let is_inside = |process: &&Process| {
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap_or_default();
        !process.is_dead && !id.is_empty() && groups.contains(id)
    };
    processes.iter().filter(is_inside).map(|process| process.pid).collect()
}
