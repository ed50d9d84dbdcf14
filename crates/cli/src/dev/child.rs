//! One child process. Its standard input is a pipe that this process holds: when it closes, however this process ended,
//! the child ends as well.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Signal, kill_process},
};
use tokio::process::{Child, Command};

use super::layout::Spec;
use crate::failure::Failure;

/// A child that was started.
pub struct Running {
    child: Child,
    pid: u32,
}

/// Starts what `spec` says; its output is added to its log file.
pub fn start(program: &Path, spec: &Spec) -> Result<Running, Failure> {
    let refuse = |why: String| Failure::refused(format!("cannot start {} {}: {why}", spec.role.word(), spec.name));
    let open = OFlags::CREATE | OFlags::APPEND | OFlags::WRONLY | OFlags::CLOEXEC;
    let log = rustix::fs::open(&spec.log_file, open, Mode::from_raw_mode(0o644))
        .map_err(|e| refuse(format!("{}: {e}", spec.log_file.display())))?;
    let log_too = log.try_clone().map_err(|e| refuse(e.to_string()))?;
    let mut command = Command::new(program);
    command.args(&spec.arguments).stdin(Stdio::piped()).stdout(Stdio::from(log)).stderr(Stdio::from(log_too));
    // What is set for this process is not meant for its children.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEAWALL_")) {
        command.env_remove(name);
    }
    // A group of its own: Ctrl-C reaches dev alone, which decides in which order they end.
    let child = command.process_group(0).kill_on_drop(true).spawn().map_err(|e| refuse(e.to_string()))?;
    let pid = child.id().ok_or_else(|| refuse("it ended at once".into()))?;
    Ok(Running { child, pid })
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        // A child that cannot be asked is not ours any more.
        self.child.try_wait().unwrap_or(Some(ExitStatus::default()))
    }

    /// Waits for its end.
    pub async fn end(&mut self) {
        // An error means that nothing is left to wait for.
        let _ = self.child.wait().await;
    }

    /// Sends a signal. A process that has ended needs none.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}
