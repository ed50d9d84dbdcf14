//! What ends tasks of which at most one may be alive, when their agent's lease is over: beside the agent and the engine, so that
//! neither keeps a task alive by hanging.
//!
//! The agent feeds its guard the end of the lease ([`Guard::feed`]) and names each such task before it starts ([`Guard::watch`]). A
//! guard counts **generations** of the lease: a feed that comes after its end begins another one. A task lives in the generation in
//! which it was named, and never again after that: whatever else is fed, the guard ends all that is left of it, for as long as it
//! knows of it.

mod kill;
mod program;
mod socket;
mod table;

use std::{path::PathBuf, sync::Arc, time::Duration};

use seawall_env::BoxFuture;
use seawall_model::TaskId;

pub use program::guard_main;
pub(crate) use socket::{SocketGuard, sees_engine, task_lives};
pub(crate) use table::Table;

/// The answer of a guard; an error says why there is none.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, String>>;

/// The lease as a guard has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Held {
    /// Larger than all before.
    pub generation: u64,
    /// Its end by the machine's [`seawall_env::Env::boottime`], as far as it was fed.
    pub until: Duration,
}

/// By what the processes of a task are found, without an engine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Target {
    /// Below the shims of the containers in this folder.
    Folder(PathBuf),
    /// In the control group of the container of this id.
    Container(String),
}

/// One guard.
pub trait Guard: Send + Sync + 'static {
    /// The lease of the instance `owner` ends then. Of another instance it is another lease.
    fn feed(&self, owner: u64, until: Duration) -> Answer<'_, Held>;

    /// This task is to be ended when the lease is over; its generation, and the lease. A task that is known keeps its own.
    fn watch(&self, task: TaskId, target: Option<Target>) -> Answer<'_, (u64, Held)>;

    /// The task has ended and nothing more of it will start.
    fn forget(&self, task: TaskId) -> Answer<'_, ()>;
}

/// No guard: whoever has none starts no such tasks.
pub type MaybeGuard = Option<Arc<dyn Guard>>;
