//! The agent's own small files: identity, the position it has seen, started tasks.
//!
//! None of them is needed to find what runs (labels and folders tell), so a damaged one is dropped with a warning. Each
//! file is its message after a checksum, replaced as a whole.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use prost::Message;
use seawall_env::{Env, fs::Fs};
use seawall_model::TaskId;
use seawall_proto::internal::v1::TaskReport;

use crate::{error::AgentError, spec::Kept};

const CHECKSUM_BYTES: usize = 4;
/// They hold definitions, whose environments may hold what others must not read.
const FILE_MODE: u32 = 0o600;

/// Who this agent is to its cluster.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Identity {
    /// The cluster's id; empty before the first Welcome.
    #[prost(bytes = "bytes", tag = "1")]
    pub cluster_id: bytes::Bytes,
    /// Upper half of the ARN's id.
    #[prost(fixed64, tag = "2")]
    pub arn_hi: u64,
    /// Lower half of the ARN's id.
    #[prost(fixed64, tag = "3")]
    pub arn_lo: u64,
    /// `ec2InstanceId` of a machine that has no machine id.
    #[prost(string, tag = "4")]
    pub drawn_instance_id: String,
    /// Where members take agents, as last told.
    #[prost(string, repeated, tag = "5")]
    pub members: Vec<String>,
}

/// How far this agent has seen the cluster. An older member must not be followed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, prost::Message)]
pub struct Position {
    /// Rises when a cluster is restored.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// The log index applied.
    #[prost(uint64, tag = "2")]
    pub index: u64,
}

/// A task that was started.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StoredTask {
    /// What it is, and the epoch that last named it.
    #[prost(message, optional, tag = "1")]
    pub kept: Option<Kept>,
    /// As it was last written.
    #[prost(message, optional, tag = "2")]
    pub report: Option<TaskReport>,
    /// The cluster knows this report.
    #[prost(bool, tag = "3")]
    pub acknowledged: bool,
}

/// The files.
pub struct Store {
    env: Env,
    fs: Arc<dyn Fs>,
    folder: PathBuf,
}

impl Store {
    /// The files in `data_dir`/agent, made if need be.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(env: &Env, data_dir: &Path) -> Result<Self, AgentError> {
        let folder = data_dir.join("agent");
        let fs = env.fs();
        let tasks = folder.join("tasks");
        let made = fs.create_dir_all(&tasks).and_then(|()| fs.sweep(&folder)).and_then(|()| fs.sweep(&tasks));
        made.map_err(|error| AgentError::DataFolder { path: folder.clone(), why: error.to_string() })?;
        Ok(Store { env: env.clone(), fs, folder })
    }

    /// The identity; an empty one where none was kept.
    pub fn identity(&self) -> Identity {
        self.load("identity").unwrap_or_default()
    }

    /// Keeps the identity.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn save_identity(&self, identity: &Identity) -> Result<(), AgentError> {
        self.save("identity", identity).await
    }

    /// The position; zero where none was kept.
    pub fn position(&self) -> Position {
        self.load("position").unwrap_or_default()
    }

    /// Keeps the position.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn save_position(&self, position: Position) -> Result<(), AgentError> {
        self.save("position", &position).await
    }

    /// The tasks that were kept.
    pub(crate) async fn tasks(&self) -> BTreeMap<TaskId, StoredTask> {
        let (fs, folder) = (self.fs.clone(), self.folder.join("tasks"));
        self.env.thread("read tasks", move || read_tasks(&*fs, &folder)).await
    }

    /// Keeps a task.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) async fn save_task(&self, task: TaskId, stored: StoredTask) -> io::Result<()> {
        let (fs, path) = (self.fs.clone(), self.task_path(task));
        let write = move || fs.write_atomic(&path, &frame(&stored.encode_to_vec()), FILE_MODE);
        self.env.thread("write task", write).await
    }

    /// Drops a task.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) async fn forget_task(&self, task: TaskId) -> io::Result<()> {
        let (fs, path) = (self.fs.clone(), self.task_path(task));
        self.env.thread("forget task", move || fs.remove(&path)).await
    }

    fn task_path(&self, task: TaskId) -> PathBuf {
        self.folder.join("tasks").join(task.to_string())
    }

    fn load<T: Message + Default>(&self, name: &str) -> Option<T> {
        read(&*self.fs, &self.folder.join(name))
    }

    async fn save(&self, name: &'static str, message: &impl Message) -> Result<(), AgentError> {
        let (fs, path, bytes) = (self.fs.clone(), self.folder.join(name), frame(&message.encode_to_vec()));
        let written = {
            let path = path.clone();
            self.env.thread("write agent file", move || fs.write_atomic(&path, &bytes, FILE_MODE)).await
        };
        written.map_err(|error| AgentError::DataFolder { path, why: error.to_string() })
    }
}

fn read_tasks(fs: &dyn Fs, folder: &Path) -> BTreeMap<TaskId, StoredTask> {
    let names = fs.list(folder).unwrap_or_else(|error| {
        tracing::warn!(folder = %folder.display(), %error, "cannot list the kept tasks");
        Vec::new()
    });
    let task = |name: String| Some((name.parse().ok()?, read(fs, &folder.join(&name))?));
    names.into_iter().filter_map(task).collect()
}

fn read<T: Message + Default>(fs: &dyn Fs, path: &Path) -> Option<T> {
    let bytes = match fs.read(path) {
        Ok(bytes) => bytes?,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "cannot read a file of the agent: going on without it");
            return None;
        }
    };
    let message = unframe(&bytes).and_then(|body| T::decode(body).ok());
    if message.is_none() {
        tracing::warn!(file = %path.display(), "a file of the agent is damaged: going on without it");
    }
    message
}

/// A body after its checksum.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = crc32c::crc32c(body).to_le_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// The body of what [`frame`] made; `None` where it is damaged.
pub(crate) fn unframe(bytes: &[u8]) -> Option<&[u8]> {
    let (checksum, body) = bytes.split_first_chunk::<CHECKSUM_BYTES>()?;
    (crc32c::crc32c(body).to_le_bytes() == *checksum).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_reads_as_none() {
        let identity = Identity { arn_hi: 7, ..Default::default() };
        let mut bytes = frame(&identity.encode_to_vec());
        assert_eq!(Identity::decode(unframe(&bytes).unwrap()).unwrap(), identity);
        bytes[5] ^= 1;
        assert!(unframe(&bytes).is_none());
        assert!(unframe(&bytes[..3]).is_none());
    }

    #[test]
    fn positions_compare_by_epoch_first() {
        assert!(Position { epoch: 2, index: 1 } > Position { epoch: 1, index: 9 });
    }
}
