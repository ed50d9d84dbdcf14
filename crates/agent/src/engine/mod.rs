//! Runs the assigned tasks: one driver a task, which takes it through its phases (pull, start, run, stop), each a file.
//!
//! The session tells the engine what the cluster wants and asks it for reports; the engine never asks the session. One
//! pump carries the runtime's events to the tasks, one journal writes their files, one sweeper removes what is old.

mod accept;
mod adopt;
mod board;
mod driver;
mod guarded;
mod health;
mod images;
mod journal;
mod lease;
mod look;
mod order;
mod pull;
mod pump;
mod restart;
mod run;
mod slot;
mod start;
mod stop;
mod sweep;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use seawall_env::{Env, Task, TaskKind};
use seawall_model::TaskId;
use seawall_proto::internal::v1::{TaskReport, TaskStatus};
use tokio::sync::{Notify, Semaphore, watch};

use crate::{
    config::{AgentConfig, ImagePull},
    runtime::{LogLines, LogQuery, Runtime, RuntimeResult},
    spec::{Owner, TaskSpec},
    store::Store,
};
use board::Board;
use images::Images;
use lease::Lease;
use slot::Slot;

/// Containers that are made and started at the same time: more makes an engine slower, not faster.
const STARTS_AT_ONCE: usize = 4;
/// Tasks that a Hello names: with four containers each it stays well under the size of a message. The rest follows in
/// reports.
const HELLO_TASKS_MAX: usize = 4096;

/// How an engine behaves.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// When images are pulled.
    pub image_pull: ImagePull,
    /// Stopped tasks whose containers are kept.
    pub stopped_tasks_kept: usize,
    /// How long they are kept.
    pub stopped_task_kept_for: Duration,
}

impl From<&AgentConfig> for EngineSettings {
    fn from(config: &AgentConfig) -> Self {
        EngineSettings {
            image_pull: config.image_pull,
            stopped_tasks_kept: config.stopped_tasks_kept,
            stopped_task_kept_for: config.stopped_task_kept_for,
        }
    }
}

/// What drivers, pump, journal and sweeper share.
pub(crate) struct Shared {
    env: Env,
    runtime: Arc<dyn Runtime>,
    settings: EngineSettings,
    owner: Owner,
    board: Arc<Board>,
    images: Images,
    lease: Lease,
    starts: Semaphore,
    tasks: Mutex<BTreeMap<TaskId, Arc<Slot>>>,
    stopped: Notify,
    /// Events may have been missed.
    look: Notify,
    /// The engine is gone: what drives its tasks ends, too.
    closed: watch::Sender<bool>,
}

/// The tasks of this machine. Dropping it leaves their containers as they are.
pub struct Engine {
    shared: Arc<Shared>,
    helpers: Vec<Task>,
}

impl Engine {
    /// Takes up what runs already, then follows the runtime's events.
    ///
    /// # Errors
    /// The runtime does not tell what it holds.
    pub async fn start(
        env: Env,
        runtime: Arc<dyn Runtime>,
        store: Arc<Store>,
        settings: EngineSettings,
        owner: Owner,
    ) -> RuntimeResult<Engine> {
        let shared = Arc::new(Shared {
            images: Images::new(env.clone(), runtime.clone(), settings.image_pull),
            lease: Lease::new(env.clone(), runtime.guard()),
            env,
            runtime,
            settings,
            owner,
            board: Arc::new(Board::new()),
            starts: Semaphore::new(STARTS_AT_ONCE),
            tasks: Mutex::default(),
            stopped: Notify::new(),
            look: Notify::new(),
            closed: watch::Sender::new(false),
        });
        // Events first: what happens while the engine lists what it holds is not missed.
        let events = shared.runtime.events(&shared.owner).await?;
        adopt::adopt(&shared, &store).await?;
        let env = &shared.env;
        let helpers = vec![
            env.spawn(TaskKind::vital("runtime events"), pump::run(shared.clone(), events)),
            env.spawn(TaskKind::vital("look at containers"), look::run(shared.clone())),
            env.spawn(TaskKind::vital("task journal"), journal::run(shared.clone(), store.clone())),
            env.spawn(TaskKind::vital("task sweeper"), sweep::run(shared.clone())),
            env.spawn(TaskKind::vital("lease"), keep_lease(shared.clone())),
        ];
        Ok(Engine { shared, helpers })
    }

    /// Everything it holds, as it is now, for a Hello: what runs first.
    pub fn reports(&self) -> Vec<TaskReport> {
        let tasks: Vec<Arc<Slot>> = self.shared.tasks().values().cloned().collect();
        let mut reports: Vec<TaskReport> = tasks.iter().map(|slot| slot.report()).collect();
        reports.sort_by_key(|report| report.status == i32::from(TaskStatus::Stopped));
        reports.truncate(HELLO_TASKS_MAX);
        reports
    }

    /// The cluster grants the instance a lease from `sent` on, by the machine's boottime.
    pub fn granted(&self, instance: u64, sent: Duration, length: Duration) {
        self.shared.lease.granted(instance, sent, length);
    }

    /// Changes whenever there is something to report.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.board.watch()
    }

    /// Up to `limit` reports that were not `sent`, with their versions.
    pub fn unsent(&self, sent: &BTreeMap<TaskId, u64>, limit: usize) -> Vec<(TaskId, u64, TaskReport)> {
        let new = self.shared.board.unsent(sent, limit);
        let report = |(task, version)| Some((task, version, self.shared.slot(task)?.report()));
        new.into_iter().filter_map(report).collect()
    }

    /// The cluster has applied these reports.
    pub fn acknowledged(&self, reports: &[(TaskId, u64)]) {
        for (task, version) in reports {
            let settled = self.shared.board.acknowledged(*task, *version);
            let finished = self.shared.slot(*task).is_some_and(|slot| slot.state().finished.is_some());
            if settled && finished {
                self.shared.board.save(*task);
                self.shared.stopped.notify_one();
            }
        }
    }

    /// The containers of a task by name, for its log; `None` where the task is not here.
    pub fn containers(&self, task: TaskId) -> Option<Vec<String>> {
        let slot = self.shared.slot(task)?;
        Some(slot.spec.defined().iter().map(|c| c.name().to_owned()).collect())
    }

    /// The log of a container; `None` where it is not here.
    pub async fn logs(&self, task: TaskId, container: &str, query: LogQuery) -> Option<RuntimeResult<LogLines>> {
        let slot = self.shared.slot(task)?;
        let index = slot.spec.index_of(container)?;
        // Nothing more comes of a task that is over, also where a container of it never started.
        let follow = query.follow && slot.state().finished.is_none();
        let query = LogQuery { follow, ..query };
        Some(self.shared.runtime.logs(&slot.container(index), query).await)
    }
}

async fn keep_lease(shared: Arc<Shared>) {
    shared.lease.keep().await;
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.helpers.iter().for_each(Task::abort);
        // Two drivers of one task would start and stop the same containers.
        self.shared.closed.send_replace(true);
    }
}

impl Shared {
    /// The tasks by id. Never held over an await.
    fn tasks(&self) -> MutexGuard<'_, BTreeMap<TaskId, Arc<Slot>>> {
        // Single inserts and removes: a panic while it was held leaves nothing half done.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, task: TaskId) -> Option<Arc<Slot>> {
        self.tasks().get(&task).cloned()
    }

    /// Drives a task until it is STOPPED or the engine is gone.
    fn drive(self: &Arc<Self>, slot: Arc<Slot>) {
        let (shared, mut closed) = (self.clone(), self.closed.subscribe());
        self.env.spawn(TaskKind::request("task"), async move {
            tokio::select! {
                biased;
                _ = closed.wait_for(|closed| *closed) => {}
                () = driver::drive(shared.clone(), slot.clone()) => {}
                () = guarded::watch(&shared, &slot) => {}
            }
        });
    }

    /// Adds a task. Only the session and the adoption before it add tasks, one at a time.
    fn add(&self, spec: TaskSpec) -> Arc<Slot> {
        let slot = Arc::new(Slot::new(self.env.clone(), self.board.clone(), spec));
        self.tasks().insert(slot.id(), slot.clone());
        slot
    }
}
