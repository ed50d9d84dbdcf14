//! One child process that can be killed, stopped and started again on its folder. Dropping it ends the child, and where
//! nothing can be dropped (the runner itself was killed) the child's standard input closes, which `--lifeline` makes the
//! end of it: a run leaves no process behind.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// A process of the cluster under test.
pub struct Process {
    /// The member's or instance's name.
    pub name: String,
    /// Its zone.
    pub zone: String,
    program: PathBuf,
    args: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// A process that is not started yet; what it prints goes to `log`.
    pub fn new(name: &str, zone: &str, program: &Path, args: Vec<String>, log: PathBuf) -> Self {
        Process { name: name.into(), zone: zone.into(), program: program.into(), args, log, child: None }
    }

    /// Starts it, for the first time or again.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&mut self) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.program)
            .args(&self.args)
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// kill -9, also of a stopped process, and waits until it is gone.
    ///
    /// # Errors
    /// The process could not be waited for.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // Refused only if it ended by itself already; waiting finds that out.
        let _ended_before = child.kill();
        child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    /// SIGSTOP: the process lives, holds its sockets and is silent.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.as_ref().with_context(|| format!("{} does not run", self.name))?;
        let pid = Pid::from_child(child);
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Whether it was started, not killed by us, and yet is gone.
    pub fn died_by_itself(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(format!("{} ended by itself with {status}: see {}", self.name, self.log.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::Process;

    fn sleeper(folder: &Path) -> Process {
        Process::new("s1", "a", Path::new("sleep"), vec!["600".into()], folder.join("s1.log"))
    }

    fn state_of(pid: u32) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(") ").next()?.chars().next()
    }

    #[test]
    fn a_stopped_process_is_ended_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = sleeper(folder.path());
        process.start().unwrap();
        let pid = process.child.as_ref().unwrap().id();
        process.pause().unwrap();
        while state_of(pid) != Some('T') {
            std::thread::yield_now();
        }
        drop(process);
        assert_eq!(state_of(pid), None);
    }

    #[test]
    fn a_death_that_nobody_caused_is_told_and_one_that_was_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = sleeper(folder.path());
        process.start().unwrap();
        process.kill().unwrap();
        assert_eq!(process.died_by_itself(), None);
        process.args = vec!["no number".into()];
        process.start().unwrap();
        let died = loop {
            if let Some(died) = process.died_by_itself() {
                break died;
            }
            std::thread::yield_now();
        };
        assert!(died.contains("s1 ended by itself"), "{died}");
        assert!(process.resume().is_err());
    }
}
