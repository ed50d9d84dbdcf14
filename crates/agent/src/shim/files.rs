//! The files of a container's folder that shim and runtime share. Text, so that a person can read what a task is doing.
//!
//! Agent and shim may be of different versions: members that one does not know are left out, those that are missing have
//! a default.

use std::{
    fs::{File, OpenOptions, rename},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What to run, written by the runtime.
pub const SPEC: &str = "spec";
/// How it stands, written by the shim; by the runtime where the shim was killed.
pub const STATUS: &str = "status";
/// Locked by the shim for as long as it lives.
pub const LOCK: &str = "lock";
/// A pipe by which the runtime talks to the shim.
pub const CONTROL: &str = "control";
/// Working directory of a container that names none.
pub const WORK: &str = "work";
/// What a shim that panics says.
pub const ERRORS: &str = "shim.err";
/// They hold environments, which may hold what others must not read.
pub const FILE_MODE: u32 = 0o600;

/// The variable by which a process of a container is known when its shim is gone: the container's folder.
pub const MARK: &str = "SEAWALL_CONTAINER";

/// What a shim runs.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables beside PATH and HOME.
    pub environment: Vec<(String, String)>,
    /// Where it starts; without it the folder `work`.
    pub working_directory: Option<String>,
    /// Between SIGTERM and SIGKILL where the machine itself stops the shim.
    pub stop_timeout_ms: u64,
    /// Hard limit.
    pub memory_bytes: Option<u64>,
    /// Hard limit of what all containers of the task hold together.
    pub task_memory_bytes: Option<u64>,
    /// How its health is told.
    pub health_check: Option<HealthCheck>,
    /// Its ports.
    pub bindings: Vec<Binding>,
    /// Asked before the program starts.
    pub guard: Option<Guarded>,
}

/// A task that a guard may have ended.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Guarded {
    /// Where the guard's socket is.
    pub folder: PathBuf,
    /// The task's id.
    pub task: String,
}

/// A health check.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Between the end of one and the next.
    pub interval_ms: u64,
    /// Killed after this.
    pub timeout_ms: u64,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Failures this long after the start do not count.
    pub start_period_ms: u64,
}

/// A published port.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Binding {
    /// On this address.
    pub ip: String,
    /// By the definition.
    pub container_port: u16,
    /// What the process listens on.
    pub host_port: u16,
    /// Not TCP.
    pub udp: bool,
}

/// By a health check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Health {
    /// Not known yet.
    #[default]
    Unknown,
    /// The last check succeeded.
    Healthy,
    /// So many in a row failed.
    Unhealthy,
}

/// How a container stands. Written when its program runs, and again at every change.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The kernel's id of the boot in which the pids mean something.
    pub boot: String,
    /// The shim.
    pub shim: u32,
    /// When it started, in the kernel's ticks: with it a pid names one process only.
    pub shim_started_ticks: u64,
    /// The main process.
    pub pid: u32,
    /// When that started.
    pub pid_started_ticks: u64,
    /// Epoch milliseconds.
    pub started_at_ms: i64,
    /// Its ports.
    pub bindings: Vec<Binding>,
    /// By its health check.
    pub health: Health,
    /// It was killed for memory.
    pub oom: bool,
    /// Present once it has ended and nothing of it runs any more.
    pub exit_code: Option<i32>,
    /// Epoch milliseconds.
    pub ended_at_ms: Option<i64>,
}

/// Reads a file; `None` where there is none.
pub fn load<T: DeserializeOwned>(folder: &Path, name: &str) -> io::Result<Option<T>> {
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps the last word about a container: on a full disk over the old file, whose room is taken already. Else a program that
/// ended well would be told of as killed.
pub fn save_last(folder: &Path, name: &str, content: &impl Serialize) -> io::Result<()> {
    save(folder, name, content).or_else(|_| {
        let bytes = serde_json::to_vec_pretty(content)?;
        let mut file = OpenOptions::new().write(true).open(folder.join(name))?;
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_data()
    })
}

/// Replaces a file as a whole.
pub fn save(folder: &Path, name: &str, content: &impl Serialize) -> io::Result<()> {
    // The name of what is not finished, to the agent's sweep as well.
    let temporary = folder.join(format!(".{name}.shim.tmp"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(content)?)?;
    file.sync_data()?;
    rename(&temporary, folder.join(name))?;
    // Without it a power cut brings back a status without the exit code.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_is_kept_where_no_new_file_can_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let running = Status { health: Health::Unhealthy, exit_code: None, ..Default::default() };
        save(folder.path(), STATUS, &running).unwrap();
        // In the place of the file that is renamed.
        std::fs::create_dir(folder.path().join(format!(".{STATUS}.shim.tmp"))).unwrap();
        let ended = Status { exit_code: Some(0), ..Default::default() };
        save(folder.path(), STATUS, &ended).unwrap_err();
        save_last(folder.path(), STATUS, &ended).unwrap();
        assert_eq!(load::<Status>(folder.path(), STATUS).unwrap(), Some(ended));
    }
}
