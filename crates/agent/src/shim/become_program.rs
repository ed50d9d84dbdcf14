//! `shim exec`: the shim's child, on its way to be the program of the container or of its health check.

use std::{
    env::set_current_dir,
    ffi::OsString,
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, parent_id},
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use rustix::{
    io::fcntl_dupfd_cloexec,
    process::{Signal, set_parent_process_death_signal, setpgid},
};

use super::files::{self, Spec};

/// Exit code of a program that cannot be started, as shells have it.
const CANNOT_RUN: u8 = 127;
/// Below are standard input, output and error.
const FIRST_OTHER_FD: i32 = 3;
/// Where the agent has no PATH to hand on.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Which program of a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Its own.
    Main,
    /// The health check's.
    Check,
}

impl Role {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Role::Main => "main",
            Role::Check => "check",
        }
    }

    /// From the command line.
    pub fn named(word: &str) -> Option<Role> {
        [Role::Main, Role::Check].into_iter().find(|role| role.word() == word)
    }
}

/// Becomes the program. Its standard input is a pipe that takes the reason where that fails, and that closes where it does
/// not. Returns only after a failure.
pub fn run(folder: &Path, shim: u32, role: Role) -> ExitCode {
    let outcome = fcntl_dupfd_cloexec(io::stdin(), FIRST_OTHER_FD);
    let why = match attempt(folder, shim, role) {
        Ok(never) => match never {},
        Err(why) => why,
    };
    if let Ok(outcome) = outcome {
        // A shim that is gone asks no more.
        let _ = tell(outcome, &why);
    }
    ExitCode::from(CANNOT_RUN)
}

fn tell(outcome: OwnedFd, why: &str) -> io::Result<()> {
    std::fs::File::from(outcome).write_all(why.as_bytes())
}

fn attempt(folder: &Path, shim: u32, role: Role) -> Result<std::convert::Infallible, String> {
    // From here on this process dies with the shim's thread that started it.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    if parent_id() != shim {
        return Err("the shim is gone".into());
    }
    // A group of its own, so that a health check can be killed with what it started.
    setpgid(None, None).map_err(|error| error.to_string())?;
    let spec: Spec = files::load(folder, files::SPEC).map_err(|error| error.to_string())?.ok_or("there is no spec")?;
    enter(folder, &spec)?;
    let argv = match role {
        Role::Main => &spec.argv,
        Role::Check => &spec.health_check.as_ref().ok_or("there is no health check")?.argv,
    };
    let (program, arguments) = argv.split_first().ok_or("there is no program")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(handed_on()).envs(spec.environment.iter().cloned()).stdin(Stdio::null());
    Err(format!("exec {program:?}: {}", command.exec()))
}

fn enter(folder: &Path, spec: &Spec) -> Result<(), String> {
    let place = spec.working_directory.as_ref().map_or_else(|| folder.join(files::WORK), PathBuf::from);
    set_current_dir(&place).map_err(|error| format!("working directory {}: {error}", place.display()))
}

/// What a program gets even where its definition names no variable.
fn handed_on() -> [(&'static str, OsString); 2] {
    let of_agent = |name: &str, otherwise: &str| std::env::var_os(name).unwrap_or_else(|| otherwise.into());
    [("PATH", of_agent("PATH", PATH)), ("HOME", of_agent("HOME", "/"))]
}
