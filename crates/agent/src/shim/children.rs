//! Starting and reaping the shim's children, among them what the container left behind.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, SyncSender},
};

use rustix::{
    io::Errno,
    process::{Pid, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, wait, waitid},
};

use super::{become_program::Role, run::Event, tree};

/// A signal's number is added to this.
const KILLED_BY_SIGNAL: i32 = 128;

/// Starts a program of the container. The kernel kills it with the calling thread, so this is for the main thread, which
/// lives as long as the shim.
///
/// # Errors
/// Why it does not run, for people.
pub fn start(folder: &Path, role: Role, output: impl FnOnce(&mut Command)) -> Result<Child, String> {
    let shim = std::process::id().to_string();
    // Not by name: the file may have been replaced by a newer one.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("seawall").args(["shim", "exec"]).arg(folder).args([shim.as_str(), role.word()]);
    let (mut reader, writer) = io::pipe().map_err(|error| error.to_string())?;
    command.stdin(Stdio::from(writer));
    output(&mut command);
    let child = command.spawn().map_err(|error| format!("cannot start a process: {error}"))?;
    // Its end of the pipe is the last one then.
    drop(command);
    let mut why = String::new();
    reader.read_to_string(&mut why).map_err(|error| error.to_string())?;
    if why.is_empty() { Ok(child) } else { Err(why) }
}

/// Tells of every child that has ended, and waits until it was reaped. It only looks: a child that is reaped behind the
/// back of [`Command::spawn`] would make that panic where it has to clean up.
pub fn watch(events: &SyncSender<Event>, reaped: &Receiver<()>) {
    loop {
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Err(Errno::INTR) => continue,
            // The main process is there until the shim has reaped it, and then asks no more.
            Err(_) => return,
            Ok(_) => {}
        }
        if events.send(Event::Children).is_err() || reaped.recv().is_err() {
            return;
        }
    }
}

/// Reaps all that have ended.
pub fn reap() -> Vec<(u32, i32)> {
    let mut ended = Vec::new();
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        ended.push((raw(pid), code(status)));
    }
    ended
}

/// Kills and reaps whatever is left of the container. What cannot be killed yet (a process in the middle of disk access)
/// is waited for: until it is gone its ports and memory are not free.
pub fn end_all() {
    let own = raw(getpid());
    loop {
        tree::kill_below(own);
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// As shells and Docker have it.
fn code(status: WaitStatus) -> i32 {
    let killed = status.terminating_signal().map(|signal| KILLED_BY_SIGNAL + signal);
    status.exit_status().or(killed).unwrap_or(KILLED_BY_SIGNAL)
}

fn raw(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
