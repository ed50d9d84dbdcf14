//! What [`seawall_env::Env`] does not have: child processes, file locks, named pipes, sockets to probe ports with.
//!
//! The one place of this runtime that touches them directly. There is nothing here to simulate: a simulated machine has
//! no processes, and its tasks are the fake runtime's.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
    path::Path,
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, open},
    io::Errno,
    process::Signal,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::shim::{
    FAILED, STARTED, TAKEN,
    files::{CONTROL, ERRORS, FILE_MODE, LOCK, MARK, Status},
    tree::{self, Process},
};

/// Looks for what a killed shim left, at most this often…
const LOOKS_MAX: u32 = 200;
/// …and so long after each other.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Held while a port is probed, and while a process is started: between its fork and its program a new process has a copy
/// of every open socket, and a probe that ended would keep its port from the container that it was for.
static PROBE_OR_FORK: Mutex<()> = Mutex::new(());

/// What a shim said.
pub enum Answer {
    /// The program runs.
    Started,
    /// Another shim has the container.
    Taken,
    /// The program does not run.
    Failed(String),
}

/// Starts the shim of a folder and hears its one line. The shim goes on without this process; while this process lives,
/// tokio reaps it when it ends.
pub async fn launch(exe: &Path, folder: &Path) -> Answer {
    match try_launch(exe, folder).await {
        Ok(line) => answer(line.trim_end(), folder),
        Err(error) => Answer::Failed(format!("cannot run the shim {}: {error}", exe.display())),
    }
}

async fn try_launch(exe: &Path, folder: &Path) -> io::Result<String> {
    let mut command = Command::new(exe);
    command.args(["shim", "run"]).arg(folder);
    // What is set for the agent is not meant for its tasks.
    let handed_on = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(handed_on);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::from(errors(folder)?));
    let mut shim = {
        let _no_probe = alone();
        command.spawn()?
    };
    let mut line = String::new();
    if let Some(out) = shim.stdout.take() {
        BufReader::new(out).read_line(&mut line).await?;
    }
    Ok(line)
}

fn alone() -> MutexGuard<'static, ()> {
    // It guards no value.
    PROBE_OR_FORK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn errors(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
    Ok(open(folder.join(ERRORS), flags, Mode::from_raw_mode(FILE_MODE))?)
}

fn answer(line: &str, folder: &Path) -> Answer {
    match line {
        STARTED => Answer::Started,
        TAKEN => Answer::Taken,
        _ => Answer::Failed(line.strip_prefix(FAILED).map_or_else(
            || format!("the shim ended without a word; see {}", folder.join(ERRORS).display()),
            str::to_owned,
        )),
    }
}

/// The lock of a container, held until it is dropped; `None` while a shim has it.
pub fn try_lock(folder: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = open(folder.join(LOCK), flags, Mode::from_raw_mode(FILE_MODE))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Says a line to a shim; false where none listens.
pub fn send(folder: &Path, line: &str) -> io::Result<bool> {
    match open(folder.join(CONTROL), OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        // Shorter than what a pipe takes as a whole.
        Ok(pipe) => Ok(rustix::io::write(&pipe, line.as_bytes()).map(|_| true)?),
        Err(Errno::NXIO | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a port can be bound now.
///
/// # Errors
/// It cannot.
pub fn probe(address: SocketAddr, udp: bool) -> io::Result<()> {
    let _no_fork = alone();
    if udp { UdpSocket::bind(address).map(drop) } else { TcpListener::bind(address).map(drop) }
}

/// Kills what a killed shim left of its container; false while some of it is there.
pub fn end_leftovers(folder: &Path, status: &Status) -> bool {
    if status.boot != tree::boot() {
        // The machine was started again: nothing is left, and the pids are others'.
        return true;
    }
    for _ in 0..LOOKS_MAX {
        let all = tree::all();
        let left: Vec<Process> = all.iter().filter(|process| is_left(process, folder, status, &all)).copied().collect();
        if left.is_empty() {
            return true;
        }
        for process in left {
            // One that ended meanwhile needs no signal. One of another user cannot be sent any and is looked at again.
            let _ = tree::send(process.pid, Signal::KILL);
        }
        thread::sleep(LOOK_AGAIN);
    }
    false
}

/// The main process; what has the shim's session, whose number the kernel gives to nobody while someone has it; what has
/// the container's mark in its environment.
fn is_left(process: &Process, folder: &Path, status: &Status, all: &[Process]) -> bool {
    if process.is_dead {
        return false;
    }
    let is_main = process.pid == status.pid && process.started_ticks == status.pid_started_ticks;
    let is_reused = || all.iter().any(|p| p.pid == status.shim && p.started_ticks != status.shim_started_ticks);
    is_main || (process.session == status.shim && !is_reused()) || is_marked(process.pid, folder)
}

fn is_marked(pid: u32, folder: &Path) -> bool {
    let mark = format!("{MARK}={}", folder.display());
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}
