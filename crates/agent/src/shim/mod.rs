//! `seawall shim`: the parent of one process container, which outlives the agent that started it.
//!
//! A program of its own, synchronous and without [`seawall_env::Env`]: it has nothing to simulate and everything here is
//! the operating system. One shim holds one container: its log files, its health checks, its memory limit, and the
//! status file from which any later agent learns how it stands. It is the sub-reaper of all that the container starts,
//! so nothing gets away from it, and whatever is left when the main process ends is killed. If the shim itself is
//! killed, the kernel kills the main process; what remains is found by the runtime.
//!
//! `shim run FOLDER` is the shim. `shim exec FOLDER PID main|check` is a step between: the shim's child, which ties its
//! life to the shim's and then becomes the program. It is a program because what it does to itself has to happen after
//! the fork, which needs unsafe code in any other way.

#![expect(clippy::disallowed_methods, reason = "a program of its own, with the machine's own clocks")]

mod become_program;
mod children;
pub(crate) mod control;
pub(crate) mod files;
mod health;
pub(crate) mod log;
mod memory;
mod run;
mod signals;
pub(crate) mod tree;

use std::{
    ffi::OsString,
    path::PathBuf,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use become_program::Role;
pub(crate) use run::{FAILED, STARTED, TAKEN};

/// Exit code of wrong arguments.
const USAGE: u8 = 2;

/// Runs the shim; `args` are those after `shim`. Returns when its container has ended.
pub fn shim_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    match (words.as_slice(), args.get(1).map(PathBuf::from)) {
        (["run", _], Some(folder)) => run::run(&folder),
        (["exec", _, shim, role], Some(folder)) => match (shim.parse(), Role::named(role)) {
            (Ok(shim), Some(role)) => become_program::run(&folder, shim, role),
            _ => ExitCode::from(USAGE),
        },
        _ => ExitCode::from(USAGE),
    }
}

/// Epoch milliseconds; a clock before 1970 reads as 0.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
