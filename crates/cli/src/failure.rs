//! What a command that did not succeed tells: what, why, and the next step; and the exit code that scripts look at.

use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::output::visible;

/// Exit codes, as they stand in the manual. 0 is success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The cluster, or a check before asking it, said no.
    Refused = 1,
    /// The command line or a settings file is wrong.
    Usage = 2,
    /// No member answered, or none leads.
    NoConnection = 3,
    /// Waited long enough; what was asked for is still in progress.
    InProgress = 4,
    /// Some of it is done.
    Partly = 5,
    /// Ctrl-C.
    Interrupted = 130,
}

/// A command that did not succeed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What is wrong and why, without a full stop.
    pub what: String,
    /// The command or change that helps most.
    pub next: Option<String>,
    /// The reader of standard output has gone: that is how `| head` ends, and a success.
    broken_pipe: bool,
    /// Already shown (by clap, with its own colours).
    shown: bool,
}

impl Failure {
    /// A failure that ends with `exit`.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Failure { exit, what: what.into(), next: None, broken_pipe: false, shown: false }
    }

    /// Refused, by us or by the cluster.
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(Exit::Refused, what)
    }

    /// The command line is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// The same with other words.
    pub fn reworded(mut self, what: impl Into<String>) -> Self {
        self.what = what.into();
        self
    }

    /// Says what to do next.
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    /// clap has told it already.
    pub fn shown(exit: Exit) -> Self {
        Failure { shown: true, ..Self::new(exit, "") }
    }

    /// Writes it to standard error and gives the exit code.
    pub fn report(self) -> ExitCode {
        if self.broken_pipe {
            return ExitCode::SUCCESS;
        }
        if !self.shown {
            // Standard error may be closed too; the exit code still tells.
            let _ = writeln!(io::stderr(), "{self}");
        }
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both may quote others: an engine, a member, a file.
        f.write_str(&visible(&self.what))?;
        match &self.next {
            Some(next) => write!(f, ". next: {}", visible(next)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        Failure { broken_pipe, ..Failure::refused(error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_and_the_next_step() {
        let failure = Failure::refused("cluster \"prod\" not found (clusters: default)").next("seawall cluster ls");
        assert_eq!(failure.to_string(), "cluster \"prod\" not found (clusters: default). next: seawall cluster ls");
        assert_eq!(Failure::usage("no").to_string(), "no");
        assert_eq!(Failure::usage("\x1b[2J").next("\x1bc").to_string(), "␛[2J. next: ␛c");
    }

    #[test]
    fn a_broken_pipe_is_a_success() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.report(), ExitCode::SUCCESS);
        let failure = Failure::from(io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(failure.report(), ExitCode::from(1));
    }
}
