//! dev's folder: which one it is, that nobody else uses it, and what it was made with.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FlockOperation, Mode, OFlags};
use seawall_env::Env;
use serde::{Deserialize, Serialize};

use super::{board::Board, proc};
use crate::{
    args::RuntimeKind,
    commands::secret,
    context::Context,
    failure::{Exit, Failure},
};

/// A UNIX socket's path has at most so many bytes…
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// …of which the longest below this folder needs these: a member's socket, while it is being made.
const LONGEST_SOCKET: &str = "/members/a/.seawall.sock.new.tmp";
/// Processes of a dev that was killed end by themselves: this long they are waited for.
const LEFT_OVER_MAX: Duration = Duration::from_secs(8);
/// Locked by the dev that uses the folder.
const LOCK: &str = "lock";
/// What the folder was made with.
const MADE_WITH: &str = "made-with.json";

/// A folder that no other dev uses for as long as this lives.
pub struct Folder {
    /// Absolute.
    pub path: PathBuf,
    _lock: OwnedFd,
}

/// What cannot change once members and agents have their folders.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MadeWith {
    /// What runs the tasks.
    pub runtime: RuntimeKind,
    /// Port of the first member.
    pub port: u16,
}

/// Where dev is unless `--data-dir` says so.
pub fn choose(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let chosen = match given {
        Some(given) => given.to_owned(),
        None => {
            let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
            let unknown = || Failure::usage("there is no HOME to keep the data under").next("add --data-dir DIR");
            state.ok_or_else(unknown)?.join("seawall/dev")
        }
    };
    // A socket's path and the processes' arguments must not depend on where one stands.
    std::path::absolute(&chosen).map_err(|e| Failure::usage(format!("--data-dir {}: {e}", chosen.display())))
}

/// Makes the folder where there is none and takes it.
pub fn take(env: &Env, path: PathBuf) -> Result<Folder, Failure> {
    let shown = path.display().to_string();
    let refuse = |why: String| Failure::refused(format!("data folder {shown}: {why}"));
    if shown.len() + LONGEST_SOCKET.len() > SOCKET_PATH_BYTES_MAX {
        let most = SOCKET_PATH_BYTES_MAX - LONGEST_SOCKET.len();
        let what = format!("data folder {shown}: its path is longer than {most} bytes, too long for sockets in it");
        return Err(Failure::usage(what).next("a folder with a shorter path"));
    }
    env.fs().create_dir_all(&path).map_err(|e| refuse(e.to_string()))?;
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let lock = rustix::fs::open(path.join(LOCK), flags, Mode::from_raw_mode(0o600));
    let lock = lock.map_err(|e| refuse(e.to_string()))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Folder { path, _lock: lock }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(runs_already(env, &path)),
        Err(error) => Err(refuse(error.to_string())),
    }
}

fn runs_already(env: &Env, path: &Path) -> Failure {
    let who = match Board::load(env, path) {
        Ok(Some(board)) => format!(" (pid {}, {})", board.pid, board.endpoints().join(" ")),
        // It is about to start, or its file is damaged: that it runs is known all the same.
        Ok(None) | Err(_) => String::new(),
    };
    Failure::refused(format!("dev runs already on {}{who}", path.display()))
        .next("seawall status; --data-dir and --port run another one beside it")
}

impl Folder {
    /// What the folder was made with; `None` where it is new.
    pub fn made_with(&self, env: &Env) -> Result<Option<MadeWith>, Failure> {
        let path = self.path.join(MADE_WITH);
        let refuse = |why: String| Failure::refused(format!("{}: {why}", path.display()));
        let Some(bytes) = env.fs().read(&path).map_err(|e| refuse(e.to_string()))? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| refuse(e.to_string()))
    }

    /// Makes what members and agents need to be there.
    pub fn prepare(&self, ctx: &Context, made_with: MadeWith) -> Result<(), Failure> {
        let fs = ctx.env.fs();
        let refuse = |path: &Path, why: String| Failure::refused(format!("{}: {why}", path.display()));
        for name in ["logs", "members", "agents"] {
            let path = self.path.join(name);
            fs.create_dir_all(&path).map_err(|e| refuse(&path, e.to_string()))?;
        }
        let path = self.path.join("secret");
        if fs.mode(&path).map_err(|e| refuse(&path, e.to_string()))?.is_none() {
            secret::create(ctx, &path)?;
        }
        let path = self.path.join(MADE_WITH);
        let bytes = serde_json::to_vec(&made_with).map_err(|e| refuse(&path, e.to_string()))?;
        fs.write_atomic(&path, &bytes, 0o644).map_err(|e| refuse(&path, e.to_string()))
    }

    /// Waits for the processes of a dev that was killed: they hold the ports and the members' files.
    pub async fn wait_for_left_over(&self, env: &Env) -> Result<(), Failure> {
        for word in ["server", "agent"] {
            if !proc::wait_gone(env, &self.path, word, LEFT_OVER_MAX).await {
                let pids = proc::named(env, &self.path, word);
                let what = format!("an earlier dev's {word} on {} does not end (pid {pids:?})", self.path.display());
                return Err(Failure::new(Exit::Refused, what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_absolute() {
        let chosen = choose(Some(Path::new("d"))).unwrap();
        assert!(chosen.is_absolute() && chosen.ends_with("d"));
    }
}
