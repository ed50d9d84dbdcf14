//! One child process. Its standard input is a pipe that this process holds: when it closes, however this process ended,
//! the child ends as well.

use std::{
    os::fd::OwnedFd,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags},
    process::Signal,
};
use seawall_env::Env;
use tokio::process::{Child, Command};

use super::{layout::Spec, proc};
use crate::failure::Failure;

/// A log file that has grown past this is put aside when the process starts again; the one before it goes.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// A child that was started.
pub struct Running {
    child: Child,
    pid: u32,
    /// Where its output begins in the log file.
    log_from: u64,
}

/// Starts what `spec` says; its output is added to its log file.
pub fn start(env: &Env, program: &Path, spec: &Spec) -> Result<Running, Failure> {
    let refuse = |why: String| Failure::refused(format!("cannot start {} {}: {why}", spec.role.word(), spec.name));
    let in_log = |why: String| refuse(format!("{}: {why}", spec.log_file.display()));
    let (log, log_from) = open_log(env, &spec.log_file).map_err(|e| in_log(e.to_string()))?;
    let log_too = log.try_clone().map_err(|e| in_log(e.to_string()))?;
    let mut command = Command::new(program);
    command.args(&spec.arguments).stdin(Stdio::piped()).stdout(Stdio::from(log)).stderr(Stdio::from(log_too));
    // What is set for this process is not meant for its children.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEAWALL_")) {
        command.env_remove(name);
    }
    // A group of its own: Ctrl-C reaches dev alone, which decides in which order they end.
    let child = command.process_group(0).kill_on_drop(true).spawn();
    let child = child.map_err(|e| refuse(format!("{}: {e}", program.display())))?;
    let pid = child.id().ok_or_else(|| refuse("it ended at once".into()))?;
    Ok(Running { child, pid, log_from })
}

/// The log file, and how long it is.
fn open_log(env: &Env, file: &Path) -> std::io::Result<(OwnedFd, u64)> {
    let length = || env.fs().open(file).and_then(|open| open.len()).unwrap_or_default();
    if length() > LOG_BYTES_MAX {
        rustix::fs::rename(file, file.with_extension("log.old"))?;
    }
    let flags = OFlags::CREATE | OFlags::APPEND | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok((rustix::fs::open(file, flags, Mode::from_raw_mode(0o644))?, length()))
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where its output begins in the log file.
    pub fn log_from(&self) -> u64 {
        self.log_from
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        // A child that cannot be asked is not ours any more.
        self.child.try_wait().unwrap_or(Some(ExitStatus::default()))
    }

    /// Waits for its end; kills it after `limit`.
    pub async fn end(&mut self, env: &Env, limit: Duration) {
        // Waiting closes what the child holds of its standard input, and an end by signal is not one by the lifeline.
        let _lifeline = self.child.stdin.take();
        if env.timeout(limit, self.child.wait()).await.is_err() {
            self.signal(Signal::KILL);
            // An error means that nothing is left to wait for.
            let _ = self.child.wait().await;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        proc::send(self.pid, signal);
    }
}
