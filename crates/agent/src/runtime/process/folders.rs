//! The folders of process containers: what is there, and what it says of each.

use std::{
    collections::BTreeSet,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use prost::Message;
use seawall_env::{Env, fs::Fs};
use seawall_model::TaskId;
use seawall_proto::internal::v1::{Health, PortBinding};
use serde::{Serialize, de::DeserializeOwned};

use super::{host, ports::Port};
use crate::{
    runtime::{Held, Observed, Phase},
    shim::{
        control::stop_line,
        files::{self, Binding, FILE_MODE, SPEC, STATUS, Spec, Status},
    },
    spec::{ContainerSpec, Kept, Owner},
    store::{frame, unframe},
};

/// What a container is and whose, so that it is found with the agent's own files gone.
const KEPT: &str = "kept";
/// Exit code of what SIGKILL ended.
const KILLED: i32 = 137;

/// A container's place: its folder, and its id for display.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Its task.
    pub task: TaskId,
    /// Its place in the definition.
    pub index: usize,
}

impl Place {
    /// Of a container.
    pub fn of(container: &ContainerSpec) -> Self {
        Place { task: container.task.id, index: container.index }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.task, self.index)
    }
}

/// The file `kept`.
#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(string, tag = "1")]
    cluster_id: String,
    #[prost(string, tag = "2")]
    instance: String,
    #[prost(message, optional, tag = "3")]
    kept: Option<Kept>,
}

/// The folders below one.
pub struct Folders {
    env: Env,
    fs: Arc<dyn Fs>,
    root: PathBuf,
}

impl Folders {
    /// Those below `root`, an absolute path.
    pub fn new(env: Env, root: PathBuf) -> Self {
        Folders { fs: env.fs(), env, root }
    }

    /// What holds them.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file system that they are on.
    pub fn files(&self) -> Arc<dyn Fs> {
        self.fs.clone()
    }

    /// Makes the folder that holds them.
    pub fn open(&self) -> io::Result<()> {
        self.fs.create_dir_all(&self.root)
    }

    /// A container's folder.
    pub fn path(&self, place: Place) -> PathBuf {
        self.task_path(place.task).join(place.index.to_string())
    }

    /// A task's folder.
    pub fn task_path(&self, task: TaskId) -> PathBuf {
        self.root.join(task.to_string())
    }

    /// Makes a container's folder; one that is there stays as it is.
    pub fn make(&self, place: Place, owner: &Owner, kept: Kept) -> io::Result<()> {
        let path = self.path(place);
        if self.is_made(place)? {
            return Ok(());
        }
        self.fs.create_dir_all(&path.join(files::WORK))?;
        let Owner { cluster_id, instance } = owner.clone();
        let container = Container { cluster_id, instance, kept: Some(kept) };
        self.fs.write_atomic(&path.join(KEPT), &frame(&container.encode_to_vec()), FILE_MODE)
    }

    /// Writes what the shim is to run.
    pub fn prepare(&self, place: Place, spec: &Spec) -> io::Result<()> {
        self.save(place, SPEC, spec)
    }

    /// Takes that back after a start that failed, and the ports with it.
    pub fn unprepare(&self, place: Place) -> io::Result<()> {
        self.fs.remove(&self.path(place).join(SPEC))
    }

    /// Forgets how a container ended, so that it can start once more. Its shim chooses no ports and reads no status but
    /// what is written after this.
    pub fn forget_end(&self, place: Place) -> io::Result<()> {
        self.fs.remove(&self.path(place).join(SPEC))?;
        self.fs.remove(&self.path(place).join(STATUS))
    }

    /// How a container is; `None` where it was not made.
    pub fn look(&self, place: Place) -> io::Result<Option<Observed>> {
        if !self.is_made(place)? {
            return Ok(None);
        }
        let status = self.status(place)?;
        Ok(Some(observed(place, status.as_ref())))
    }

    /// The ports of all containers that may still use them, but for one.
    pub fn given(&self, except: Place) -> io::Result<BTreeSet<Port>> {
        let mut given = BTreeSet::new();
        for place in self.places()?.into_iter().filter(|place| *place != except) {
            let Some(spec) = self.load::<Spec>(place, SPEC)? else { continue };
            if self.status(place)?.is_none_or(|status| status.exit_code.is_none()) {
                given.extend(spec.bindings.iter().map(|binding| (binding.host_port, binding.udp)));
            }
        }
        Ok(given)
    }

    /// Everything that agents of an instance made.
    pub fn held(&self, instance: &str) -> io::Result<Vec<(Place, Held)>> {
        let mut held = Vec::new();
        for place in self.places()? {
            if !self.is_made(place)? {
                // Its making was cut off: nothing was started in it.
                self.remove(place)?;
                if self.fs.list(&self.task_path(place.task))?.is_empty() {
                    self.remove_task(place.task)?;
                }
                continue;
            }
            let Some(container) = self.container(place)? else { continue };
            let owner = Owner { cluster_id: container.cluster_id, instance: container.instance };
            if let (true, Some(kept)) = (owner.instance == instance, container.kept) {
                let observed = self.look(place)?.unwrap_or_default();
                held.push((place, Held { owner, kept, index: place.index, observed }));
            }
        }
        Ok(held)
    }

    /// Asks the shim to end its container; false where no shim hears it.
    pub fn tell_to_stop(&self, place: Place, grace_ms: u64) -> io::Result<bool> {
        host::send(&self.path(place), &stop_line(grace_ms))
    }

    /// Whether a shim holds the container.
    pub fn is_held(&self, place: Place) -> io::Result<bool> {
        Ok(host::try_lock(&self.path(place))?.is_none())
    }

    /// Removes a container's folder.
    pub fn remove(&self, place: Place) -> io::Result<()> {
        self.fs.remove_dir_all(&self.path(place))
    }

    /// Removes the folder of a task.
    pub fn remove_task(&self, task: TaskId) -> io::Result<()> {
        self.fs.remove_dir_all(&self.task_path(task))
    }

    fn is_made(&self, place: Place) -> io::Result<bool> {
        Ok(self.fs.mode(&self.path(place).join(KEPT))?.is_some())
    }

    fn places(&self) -> io::Result<Vec<Place>> {
        let mut places = Vec::new();
        for task in self.fs.list(&self.root)?.iter().filter_map(|name| name.parse().ok()) {
            let names = self.fs.list(&self.task_path(task))?;
            places.extend(names.iter().filter_map(|name| name.parse().ok()).map(|index| Place { task, index }));
        }
        Ok(places)
    }

    fn container(&self, place: Place) -> io::Result<Option<Container>> {
        let path = self.path(place).join(KEPT);
        let Some(bytes) = self.fs.read(&path)? else { return Ok(None) };
        let container = unframe(&bytes).and_then(|body| Container::decode(body).ok());
        if container.is_none() {
            tracing::warn!(file = %path.display(), "a file is damaged: its container is nobody's now");
        }
        Ok(container)
    }

    /// How the shim says that a container stands; `None` where it has not started.
    ///
    /// A shim that was killed says nothing any more: what it left is killed, and the end is written here. The lock is only
    /// tried where a shim must be holding it, so that no shim on its way is disturbed.
    fn status(&self, place: Place) -> io::Result<Option<Status>> {
        let status: Option<Status> = self.load(place, STATUS)?;
        if status.as_ref().is_none_or(|status| status.exit_code.is_some()) {
            return Ok(status);
        }
        let Some(_lock) = host::try_lock(&self.path(place))? else { return Ok(status) };
        // It may have ended between the two looks.
        match self.load::<Status>(place, STATUS)? {
            Some(last) if last.exit_code.is_none() => self.bury(place, last).map(Some),
            last => Ok(last),
        }
    }

    fn bury(&self, place: Place, mut status: Status) -> io::Result<Status> {
        if !host::end_leftovers(&self.path(place), &status) {
            tracing::warn!(container = %place, "processes of a container whose shim is gone do not end");
            return Ok(status);
        }
        tracing::warn!(container = %place, shim = status.shim, "the shim of a container was killed");
        status.exit_code = Some(KILLED);
        status.ended_at_ms = Some(self.env.wall_ms());
        if let Err(error) = self.save(place, STATUS, &status) {
            // It ended all the same; the next agent finds the same.
            tracing::warn!(container = %place, %error, "the end of a container cannot be written");
        }
        Ok(status)
    }

    /// Reads a file; `None` where there is none, or where it is damaged.
    fn load<T: DeserializeOwned>(&self, place: Place, name: &str) -> io::Result<Option<T>> {
        let Some(bytes) = self.fs.read(&self.path(place).join(name))? else { return Ok(None) };
        let content = serde_json::from_slice(&bytes);
        if let Err(error) = &content {
            tracing::warn!(container = %place, name, %error, "a file is damaged: going on without it");
        }
        Ok(content.ok())
    }

    fn save(&self, place: Place, name: &str, content: &impl Serialize) -> io::Result<()> {
        self.fs.write_atomic(&self.path(place).join(name), &serde_json::to_vec_pretty(content)?, FILE_MODE)
    }
}

fn observed(place: Place, status: Option<&Status>) -> Observed {
    let runtime_id = place.to_string();
    let Some(status) = status else { return Observed { phase: Phase::Created, runtime_id, ..Default::default() } };
    Observed {
        phase: if status.exit_code.is_some() { Phase::Exited } else { Phase::Running },
        runtime_id,
        exit_code: status.exit_code,
        oom: status.oom,
        health: health(status.health),
        bindings: status.bindings.iter().map(binding).collect(),
        started_at_ms: status.started_at_ms,
        ended_at_ms: status.ended_at_ms.unwrap_or_default(),
        interface: None,
    }
}

fn health(health: files::Health) -> Health {
    match health {
        files::Health::Unknown => Health::Unknown,
        files::Health::Healthy => Health::Healthy,
        files::Health::Unhealthy => Health::Unhealthy,
    }
}

fn binding(binding: &Binding) -> PortBinding {
    PortBinding {
        bind_ip: binding.ip.clone(),
        container_port: binding.container_port.into(),
        host_port: binding.host_port.into(),
        udp: binding.udp,
    }
}

#[cfg(test)]
mod tests {
    use seawall_env::{RealConfig, net::grpc::GrpcNet};

    use super::*;

    #[test]
    fn a_making_that_was_cut_off_leaves_nothing() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let root = tempfile::tempdir().unwrap();
        let env = Env::real(RealConfig { net: Arc::new(GrpcNet::new(None)) });
        let folders = Folders::new(env, root.path().to_owned());
        let place = Place { task: TaskId::from_halves(0, 1), index: 0 };
        folders.fs.create_dir_all(&folders.path(place).join(files::WORK)).unwrap();
        assert_eq!(folders.fs.list(folders.root()).unwrap().len(), 1);
        assert!(folders.held("i-1").unwrap().is_empty());
        assert!(folders.fs.list(folders.root()).unwrap().is_empty());
    }
}
