//! The way to the guard program: one line to its socket in the agent's folder, one line back.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use seawall_env::Env;
use seawall_model::TaskId;
use tokio::io::AsyncBufReadExt;

use super::{Answer, Guard, Held, Target};

/// The socket's name.
pub(super) const SOCKET: &str = "guard.sock";
/// What a guard answers that has no word for what was asked.
pub(super) const UNKNOWN: &str = "unknown";
/// A guard answers from memory.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// A guard that is a program.
pub(crate) struct SocketGuard {
    env: Env,
    /// The program that understands `guard` as its first argument.
    exe: PathBuf,
    folder: PathBuf,
    /// One starts it.
    starting: tokio::sync::Mutex<()>,
}

impl SocketGuard {
    /// The guard of the agent in `folder`. It starts when it is first needed.
    pub(crate) fn new(env: Env, exe: PathBuf, folder: PathBuf) -> Self {
        SocketGuard { env, exe, folder, starting: tokio::sync::Mutex::default() }
    }

    async fn ask(&self, line: String) -> Result<String, String> {
        if let Ok(answer) = self.try_ask(&line).await {
            return Ok(answer);
        }
        let _one_after_the_other = self.starting.lock().await;
        self.start().await.map_err(|error| format!("the guard {} cannot be started: {error}", self.exe.display()))?;
        self.try_ask(&line)
            .await
            .map_err(|error| format!("the guard in {} does not answer: {error}", self.folder.display()))
    }

    async fn try_ask(&self, line: &str) -> io::Result<String> {
        let (folder, line) = (self.folder.clone(), line.to_owned());
        self.env.thread("guard", move || ask(&folder, &line)).await
    }

    /// Starts it unless another does: it says a line when it listens, or ends where another one does.
    async fn start(&self) -> io::Result<()> {
        let mut command = tokio::process::Command::new(&self.exe);
        command.arg("guard").arg(&self.folder).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guard = command.spawn()?;
        let mut line = String::new();
        if let Some(out) = guard.stdout.take() {
            tokio::io::BufReader::new(out).read_line(&mut line).await?;
        }
        Ok(())
    }
}

impl Guard for SocketGuard {
    fn feed(&self, owner: u64, until: Duration) -> Answer<'_, Held> {
        Box::pin(async move {
            let answer = self.ask(format!("feed {owner} {}", until.as_millis())).await?;
            held(&answer).ok_or(answer)
        })
    }

    fn watch(&self, task: TaskId, target: Option<Target>) -> Answer<'_, (u64, Held)> {
        Box::pin(async move {
            let answer = self.ask(format!("watch {task} {}", written(target.as_ref()))).await?;
            watched(&answer).ok_or(answer)
        })
    }

    fn forget(&self, task: TaskId) -> Answer<'_, ()> {
        Box::pin(async move { self.ask(format!("forget {task}")).await.map(drop) })
    }
}

/// Whether the guard of an agent's folder lets a task be alive; where none answers it does not.
pub(crate) fn task_lives(folder: &Path, task: &str) -> bool {
    ask(folder, &format!("lives {task}")).is_ok_and(|answer| answer == "yes")
}

/// Whether this process sees those of the engine behind a socket, and may end what they started.
pub(crate) async fn sees_engine(socket: &Path) -> bool {
    let Ok(stream) = tokio::net::UnixStream::connect(socket).await else { return false };
    // The kernel gives no id for who is in another namespace.
    let is_seen = stream.peer_cred().ok().and_then(|peer| peer.pid()).is_some_and(|pid| pid > 0);
    is_seen && rustix::process::geteuid().is_root()
}

fn ask(folder: &Path, line: &str) -> io::Result<String> {
    // The path of a socket may not be long, that of a folder may.
    let folder = File::open(folder)?;
    let stream = UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    (&stream).write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    match answer.trim_end() {
        "" | UNKNOWN => Err(io::Error::other("it does not know what it was asked")),
        answer => Ok(answer.to_owned()),
    }
}

fn written(target: Option<&Target>) -> String {
    match target {
        None => "nothing".to_owned(),
        Some(Target::Folder(folder)) => format!("folder {}", folder.display()),
        Some(Target::Container(id)) => format!("container {id}"),
    }
}

/// `held GENERATION UNTIL_MS`
fn held(answer: &str) -> Option<Held> {
    let (generation, until_ms) = answer.strip_prefix("held ")?.split_once(' ')?;
    Some(Held { generation: generation.parse().ok()?, until: Duration::from_millis(until_ms.parse().ok()?) })
}

/// `watched GENERATION held GENERATION UNTIL_MS`
fn watched(answer: &str) -> Option<(u64, Held)> {
    let (generation, lease) = answer.strip_prefix("watched ")?.split_once(' ')?;
    Some((generation.parse().ok()?, held(lease)?))
}
