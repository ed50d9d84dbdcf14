//! What runs containers: one trait, three ways.
//!
//! Containers are named by what they are of (task and place in its definition), never by an id that an answer gave: an
//! answer may be lost. Events tell what happened; [`Runtime::inspect`] is asked only where they may have been missed.

pub mod docker;
mod error;
pub mod fake;
pub mod process;

use std::{collections::BTreeSet, time::Duration};

use seawall_env::BoxFuture;
use seawall_model::TaskId;
use seawall_proto::internal::v1::{Health, LogRecord, PortBinding, TaskInterface};
use tokio::sync::mpsc;

pub use error::{Fault, RuntimeError};

use crate::{
    config::ImagePull,
    guard::{MaybeGuard, Target},
    spec::{ContainerSpec, Kept, Owner, TaskSpec},
};

/// Events that wait for the engine.
pub const EVENTS_WAITING: usize = 256;
/// Log records that wait for a session.
pub const LOG_RECORDS_WAITING: usize = 256;

/// The end of a fallible call of a runtime.
pub type RuntimeResult<T> = Result<T, RuntimeError>;
/// What a call of a runtime returns.
pub type Call<'a, T> = BoxFuture<'a, RuntimeResult<T>>;

/// What a runtime is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Description {
    /// "docker", "process" or "fake".
    pub kind: &'static str,
    /// Its version, for display.
    pub version: String,
    /// Names the instance gets as attributes.
    pub capabilities: Vec<String>,
}

/// How far a container is. Only ever goes forward: a container is started once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Phase {
    /// Nothing was tried.
    #[default]
    Absent,
    /// A create or start failed or was not answered: it may or may not be there.
    Unsure,
    /// Made, not started.
    Created,
    /// Runs.
    Running,
    /// Ended.
    Exited,
    /// Not on the engine any more.
    Removed,
}

/// A container as its runtime sees it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Observed {
    /// Created, Running or Exited.
    pub phase: Phase,
    /// The runtime's id of it.
    pub runtime_id: String,
    /// When it has ended.
    pub exit_code: Option<i32>,
    /// A process of it was killed for memory.
    pub oom: bool,
    /// By the definition's health check.
    pub health: Health,
    /// Ports as they are published.
    pub bindings: Vec<PortBinding>,
    /// When it started last, epoch milliseconds; 0: has not.
    pub started_at_ms: i64,
    /// When it ended, epoch milliseconds; 0: has not.
    pub ended_at_ms: i64,
    /// Of a pause container that runs and holds the network of its task.
    pub interface: Option<TaskInterface>,
}

impl Observed {
    /// How long it ran, by its runtime's clock; `None` where that does not say.
    pub fn ran(&self) -> Option<Duration> {
        let is_known = self.started_at_ms > 0 && self.ended_at_ms >= self.started_at_ms;
        is_known.then(|| Duration::from_millis(self.ended_at_ms.abs_diff(self.started_at_ms)))
    }
}

/// A container found on the engine.
#[derive(Clone, Debug)]
pub struct Held {
    /// Whose it says it is.
    pub owner: Owner,
    /// Its task.
    pub kept: Kept,
    /// Its place in the definition.
    pub index: usize,
    /// As it is now.
    pub observed: Observed,
}

/// Something happened to a container.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Of which task.
    pub task: TaskId,
    /// Its place in the definition.
    pub index: usize,
    /// What.
    pub kind: EventKind,
}

/// What happened to a container.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum EventKind {
    /// It runs.
    Started,
    /// A process of it was killed for memory.
    Oom,
    /// It ended.
    Exited(Option<i32>),
    /// Its health check says.
    Health(Health),
    /// It was removed.
    Removed,
}

/// Which lines of a container's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogQuery {
    /// Go on with what comes.
    pub follow: bool,
    /// The last so many lines; 0: all that is kept.
    pub tail: u32,
    /// Not before, epoch milliseconds.
    pub since_ms: i64,
}

/// Lines of a log; ends when the log does, or with an error.
pub type LogLines = mpsc::Receiver<RuntimeResult<LogRecord>>;

/// Runs containers. Every call ends within a deadline of its own.
pub trait Runtime: Send + Sync + 'static {
    /// What it is. Fails where it does not answer.
    fn describe(&self) -> Call<'_, Description>;

    /// Everything on the engine that an agent of this `instance` made, of whatever cluster.
    fn held<'a>(&'a self, instance: &'a str) -> Call<'a, Vec<Held>>;

    /// The first member of the definition that this runtime cannot honour.
    fn unsupported(&self, task: &TaskSpec) -> Option<String>;

    /// Makes an image be there; its digest where known.
    fn pull<'a>(&'a self, image: &'a str, policy: ImagePull) -> Call<'a, Option<String>>;

    /// Makes a container, or finds the one made before; its id.
    fn create<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, String>;

    /// Starts it; its ports.
    fn start<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Vec<PortBinding>>;

    /// Starts one that has ended once more; its ports, which may be others.
    fn restart<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Vec<PortBinding>>;

    /// Ends it: SIGTERM, and SIGKILL after `grace_ms`. Returns when it has ended.
    fn stop<'a>(&'a self, container: &'a ContainerSpec, grace_ms: u64) -> Call<'a, ()>;

    /// How it is; `None` where it is not on the engine.
    fn inspect<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Option<Observed>>;

    /// Removes it with its log; no error where it is not there.
    fn remove<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, ()>;

    /// Removes what the task has beside its containers: volumes, control group, folder.
    fn remove_task<'a>(&'a self, task: &'a TaskSpec) -> Call<'a, ()>;

    /// Removes what tasks of the owner left beside their containers, but for those of `kept`. Before any task is driven.
    fn sweep<'a>(&'a self, _owner: &'a Owner, _kept: &'a BTreeSet<TaskId>) -> Call<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// What happens to the owner's containers from now on. Ends when the engine's stream does: then events may have been
    /// missed.
    fn events<'a>(&'a self, owner: &'a Owner) -> Call<'a, mpsc::Receiver<Event>>;

    /// What ends its tasks beside it; `None` where nothing does.
    fn guard(&self) -> MaybeGuard {
        None
    }

    /// By what a guard finds the processes of a container, whose id on the engine is `id`.
    fn target(&self, _container: &ContainerSpec, _id: &str) -> Option<Target> {
        None
    }

    /// Its log.
    fn logs<'a>(&'a self, container: &'a ContainerSpec, query: LogQuery) -> Call<'a, LogLines>;
}

/// The attribute of instances whose agents can run a guard.
pub(crate) const GUARD_ATTRIBUTE: &str = "seawall.guard";

/// The first of `members` that is used, but for those that the operator has tasks do without.
pub(crate) fn first_used(inert: &[String], members: &[(&'static str, bool)]) -> Option<&'static str> {
    let is_inert = |name: &str| inert.iter().any(|accepted| name.rsplit('.').next() == Some(accepted.as_str()));
    members.iter().find(|(name, used)| *used && !is_inert(name)).map(|(name, _)| *name)
}
