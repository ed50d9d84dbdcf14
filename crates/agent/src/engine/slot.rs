//! One task on this machine: what is known of it, shared by its driver, the event pump and the session.
//!
//! Containers only go forward (but for [`super::restart`]), so a late event or an answer that overtakes one changes nothing: what is known is the
//! furthest that anyone has seen.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use seawall_env::{Env, Instant};
use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::{ContainerRow, Health, PortBinding, StopCode, TaskInterface, TaskReport, TaskStatus},
    v1::{ContainerDefinition, PortMapping},
};
use tokio::sync::watch;

use super::{board::Board, health, restart};
use crate::{
    runtime::{EventKind, Observed, Phase},
    spec::{ContainerSpec, TaskSpec, proto_id},
};

/// ECS's words for a container that was killed for memory.
pub const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";
/// ECS's words for a task whose essential container ended.
pub const ESSENTIAL_EXITED: &str = "Essential container in task exited";
const REMOVED_OUTSIDE: &str = "ContainerRemovedError: the container was removed by someone else";
/// What the cluster keeps of a reason. Engines quote whole files in their errors, and a report must stay small enough to be
/// taken.
const REASON_BYTES_MAX: usize = 1024;
/// Exit code of a process that SIGKILL ended.
const KILLED: i32 = 137;

/// Why a task ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// ECS's stop code; unspecified where the cluster asked for it and knows.
    pub code: StopCode,
    /// For people.
    pub reason: String,
}

impl Ending {
    /// The task could not start.
    pub fn failed(reason: impl Into<String>) -> Self {
        Ending { code: StopCode::TaskFailedToStart, reason: reason.into() }
    }

    /// The cluster wants it stopped.
    pub fn wanted() -> Self {
        Ending { code: StopCode::Unspecified, reason: String::new() }
    }
}

/// A container of a task.
#[derive(Clone, Debug, Default)]
pub struct ContainerState {
    /// How far it is.
    pub phase: Phase,
    /// The runtime's id.
    pub runtime_id: String,
    /// Published ports.
    pub bindings: Vec<PortBinding>,
    /// When it ended.
    pub exit_code: Option<i32>,
    /// A process of it was killed for memory.
    pub oom: bool,
    /// By its health check.
    pub health: Health,
    /// Why it failed.
    pub reason: String,
    /// Of the image.
    pub digest: String,
    /// When it was seen to start.
    pub started: Option<Instant>,
    /// When it started by its runtime's clock, where that was asked; epoch milliseconds.
    pub started_at_ms: i64,
    /// A signal was sent to it by this agent.
    pub stopped_by_us: bool,
    /// How long it ran, once it has ended.
    pub ran: Option<Duration>,
    /// It was started again, and its runtime has not told so yet: an exit that is told now is of the run before.
    pub awaits_start: bool,
    /// Starting it again failed, which is not tried a second time.
    pub restart_failed: bool,
    /// The task's network interface, where it is the container that holds it.
    pub interface: Option<TaskInterface>,
}

/// What changes.
#[derive(Debug)]
pub struct State {
    /// The last epoch in which the cluster named this task.
    pub epoch: u64,
    /// PENDING, RUNNING, STOPPING or STOPPED.
    pub status: TaskStatus,
    /// In the order of the definition.
    pub containers: Vec<ContainerState>,
    /// What the cluster asked for.
    pub stop_wanted: Option<Ending>,
    /// Why it ended.
    pub ending: Option<Ending>,
    /// For display, as the report carries them.
    pub times: Times,
    /// When this agent saw it STOPPED.
    pub finished: Option<Instant>,
    /// Its containers are removed.
    pub cleaned: bool,
    /// Of the lease that it began under, where it needs one.
    pub generation: Option<u64>,
}

/// Epoch milliseconds; 0: has not happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Times {
    /// The first pull began.
    pub pull_started_ms: i64,
    /// The last pull ended.
    pub pull_stopped_ms: i64,
    /// RUNNING.
    pub started_ms: i64,
    /// The essential container ended, or the stop began.
    pub execution_stopped_ms: i64,
    /// STOPPED.
    pub stopped_ms: i64,
}

/// A task on this machine.
pub struct Slot {
    /// What it is.
    pub spec: Arc<TaskSpec>,
    env: Env,
    board: Arc<Board>,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl Slot {
    /// A task of which nothing was done yet.
    pub fn new(env: Env, board: Arc<Board>, spec: TaskSpec) -> Self {
        let state = State {
            epoch: spec.epoch,
            status: TaskStatus::Pending,
            containers: vec![ContainerState::default(); spec.containers.len()],
            stop_wanted: None,
            ending: None,
            times: Times::default(),
            finished: None,
            cleaned: false,
            generation: None,
        };
        Slot { spec: Arc::new(spec), env, board, state: Mutex::new(state), changes: watch::Sender::new(0) }
    }

    /// Its id.
    pub fn id(&self) -> TaskId {
        self.spec.id
    }

    /// One of its containers.
    pub fn container(&self, index: usize) -> ContainerSpec {
        ContainerSpec { task: self.spec.clone(), index }
    }

    /// What is known now. Never held over an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves plain values, each of which is true by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known, wakes the driver and has the change reported.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let out = change(&mut self.state());
        self.board.changed(self.id());
        self.wake();
        out
    }

    /// How far a container is.
    pub fn phase(&self, index: usize) -> Phase {
        self.state().containers[index].phase
    }

    /// A container got this far at least; nothing to tell anyone.
    pub fn reached(&self, index: usize, phase: Phase) {
        let now = self.env.now();
        self.state().containers[index].reach(phase, now);
    }

    /// Until `look` finds something, or until `at`. Every change is looked at.
    pub async fn until<T>(&self, at: Option<Instant>, look: impl Fn(&Slot) -> Option<T>) -> Option<T> {
        let mut changes = self.changes.subscribe();
        loop {
            let found = look(self);
            if found.is_some() {
                return found;
            }
            let Some(at) = at else {
                // Its sender is in this slot.
                let _ = changes.changed().await;
                continue;
            };
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = self.env.sleep_until(at) => return None,
            }
        }
    }

    /// Until the cluster wants it stopped.
    pub async fn stop_wanted(&self) -> Ending {
        let wanted = self.until(None, |slot| slot.state().stop_wanted.clone()).await;
        wanted.unwrap_or_else(Ending::wanted)
    }

    /// It lives under this generation of the lease.
    pub fn bind(&self, generation: u64) {
        self.state().generation = Some(generation);
        self.wake();
    }

    /// The generation that it lives under.
    pub fn generation(&self) -> Option<u64> {
        self.state().generation
    }

    /// The cluster named it in this epoch.
    pub fn named(&self, epoch: u64) -> bool {
        let mut state = self.state();
        let newer = epoch > state.epoch;
        state.epoch = state.epoch.max(epoch);
        newer
    }

    /// The cluster wants it stopped.
    pub fn want_stop(&self, ending: Ending) {
        let mut state = self.state();
        if state.stop_wanted.is_none() && state.status != TaskStatus::Stopped {
            state.stop_wanted = Some(ending);
            drop(state);
            self.wake();
        }
    }

    fn wake(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// An event of one of its containers.
    pub fn observe(&self, index: usize, event: EventKind) {
        let now = self.env.now();
        self.see(index, |container| match event {
            EventKind::Started => container.started(now),
            EventKind::Oom | EventKind::Exited(_) if container.awaits_start => {}
            EventKind::Oom => container.out_of_memory(),
            EventKind::Exited(code) => container.exit(code, now),
            EventKind::Health(health) => container.health = health,
            EventKind::Removed => container.removed(),
        });
    }

    /// How a container was found to be; `None`: not there.
    pub fn found(&self, index: usize, observed: Option<Observed>) {
        let now = self.env.now();
        self.see(index, |container| {
            let Some(observed) = observed else { return container.removed() };
            // The run before the one that is known: the answer was overtaken.
            if observed.phase == Phase::Exited && observed.started_at_ms < container.started_at_ms {
                return;
            }
            let ran = observed.ran();
            let is_newer = observed.started_at_ms > container.started_at_ms;
            if observed.phase == Phase::Running && container.awaits_start && is_newer {
                container.begin_again(observed.bindings.clone(), now);
            }
            container.started_at_ms = container.started_at_ms.max(observed.started_at_ms);
            container.oom |= observed.oom;
            container.health = observed.health;
            if !observed.runtime_id.is_empty() {
                container.runtime_id = observed.runtime_id;
            }
            if !observed.bindings.is_empty() {
                container.bindings = observed.bindings;
            }
            container.interface = observed.interface.or(container.interface.take());
            match observed.phase {
                Phase::Exited => {
                    container.exit(observed.exit_code, now);
                    container.ran = ran.or(container.ran);
                }
                phase => container.reach(phase, now),
            }
        });
    }

    /// What was seen of a container. Only news is reported: looking at a thousand idle tasks must not fill the cluster's log.
    fn see(&self, index: usize, change: impl FnOnce(&mut ContainerState)) {
        let mut state = self.state();
        let status = state.status;
        let Some(container) = state.containers.get_mut(index) else { return };
        let before = (container.row(status), container.interface.clone());
        change(container);
        let is_news = (container.row(status), container.interface.clone()) != before;
        drop(state);
        if is_news {
            self.board.changed(self.id());
        }
        self.wake();
    }

    /// Containers that SIGKILL ended, not sent by this agent: perhaps for memory.
    pub fn unexplained_kills(&self) -> Vec<usize> {
        let state = self.state();
        let unexplained = |c: &ContainerState| c.exit_code == Some(KILLED) && !c.oom && !c.stopped_by_us;
        (0..state.containers.len()).filter(|&index| unexplained(&state.containers[index])).collect()
    }

    /// The report as it stands.
    pub fn report(&self) -> TaskReport {
        let state = self.state();
        let essential = |index| self.spec.is_essential(index);
        let defined = &state.containers[..self.spec.defined().len()];
        let mut containers: Vec<ContainerRow> = defined.iter().map(|c| c.row(state.status)).collect();
        let pause = self.spec.pause.map(|index| &state.containers[index]);
        if let Some(pause) = pause {
            hand_out(&pause.bindings, self.spec.defined(), &mut containers);
        }
        let healths = defined.iter().enumerate().map(|(index, c)| (essential(index), c.health));
        let ending = state.ending.clone();
        TaskReport {
            task: Some(proto_id(self.spec.id)),
            status: state.status.into(),
            stop_code: ending.as_ref().map_or(StopCode::Unspecified, |e| e.code).into(),
            stopped_reason: ending.map(|e| cut(&e.reason)).unwrap_or_default(),
            health: health::of_task(healths).into(),
            containers,
            pull_started_at_ms: state.times.pull_started_ms,
            pull_stopped_at_ms: state.times.pull_stopped_ms,
            started_at_ms: state.times.started_ms,
            execution_stopped_at_ms: state.times.execution_stopped_ms,
            stopped_at_ms: state.times.stopped_ms,
            interface: pause.and_then(|pause| pause.interface.clone()),
        }
    }

    /// A container that its policy has started again.
    pub fn to_restart(&self) -> Option<usize> {
        let state = self.state();
        let mut containers = self.spec.containers.iter().zip(&state.containers);
        containers.position(|(definition, container)| restart::is_due(definition, container))
    }

    /// Why the task must end now, if it must: the cluster's wish, or an essential container that ended.
    pub fn must_end(&self) -> Option<Ending> {
        let state = self.state();
        if state.stop_wanted.is_some() {
            return state.stop_wanted.clone();
        }
        let ended = |index: &usize| {
            let (definition, container) = (&self.spec.containers[*index], &state.containers[*index]);
            self.spec.is_essential(*index)
                && container.phase >= Phase::Exited
                && !restart::is_due(definition, container)
        };
        let index = (0..state.containers.len()).find(ended)?;
        let container = &state.containers[index];
        let reason = if container.was_killed_for_memory() {
            format!("{ESSENTIAL_EXITED}: {OUT_OF_MEMORY}")
        } else {
            ESSENTIAL_EXITED.to_owned()
        };
        Some(Ending { code: StopCode::EssentialContainerExited, reason })
    }
}

impl ContainerState {
    /// Goes forward to `phase`, never back.
    pub fn reach(&mut self, phase: Phase, now: Instant) {
        if phase == Phase::Running {
            self.started.get_or_insert(now);
        }
        self.phase = self.phase.max(phase);
    }

    /// Its runtime tells that it started.
    fn started(&mut self, now: Instant) {
        let again = std::mem::take(&mut self.awaits_start) && self.phase == Phase::Exited;
        if again {
            self.begin_again(self.bindings.clone(), now);
        } else {
            self.reach(Phase::Running, now);
        }
    }

    /// It runs again: nothing of the run before counts any more.
    pub fn begin_again(&mut self, bindings: Vec<PortBinding>, now: Instant) {
        self.phase = Phase::Running;
        self.started = Some(now);
        self.bindings = bindings;
        self.exit_code = None;
        self.oom = false;
        self.health = Health::Unknown;
        self.reason.clear();
        self.ran = None;
    }

    fn exit(&mut self, code: Option<i32>, now: Instant) {
        if self.phase < Phase::Exited {
            self.ran = self.started.map(|started| now - started);
        }
        self.phase = self.phase.max(Phase::Exited);
        self.exit_code = self.exit_code.or(code);
        self.explain_kill();
    }

    fn out_of_memory(&mut self) {
        self.oom = true;
        self.explain_kill();
    }

    /// The engine tells of the exit and of the lack of memory in either order.
    fn explain_kill(&mut self) {
        if self.was_killed_for_memory() && self.reason.is_empty() {
            self.reason = OUT_OF_MEMORY.to_owned();
        }
    }

    fn removed(&mut self) {
        // What was never there was not removed.
        if self.phase == Phase::Absent || self.phase == Phase::Unsure {
            return;
        }
        // Whoever removes one that runs kills it first.
        let was_killed = self.exit_code.is_none_or(|code| code == KILLED);
        if was_killed && self.reason.is_empty() && !self.stopped_by_us {
            self.reason = REMOVED_OUTSIDE.to_owned();
        }
        self.phase = Phase::Removed;
    }

    /// Where the containers of a task lack memory together, an engine may say so of each, whichever the kernel kills. One
    /// that this agent then stops and has to kill did not end for that.
    fn was_killed_for_memory(&self) -> bool {
        self.oom && self.exit_code == Some(KILLED) && !self.stopped_by_us
    }

    fn row(&self, task: TaskStatus) -> ContainerRow {
        let status = match self.phase {
            _ if task == TaskStatus::Stopped => TaskStatus::Stopped,
            Phase::Absent | Phase::Unsure | Phase::Created => TaskStatus::Pending,
            Phase::Running => TaskStatus::Running,
            Phase::Exited | Phase::Removed => TaskStatus::Stopped,
        };
        ContainerRow {
            last_status: status.into(),
            exit_code: self.exit_code,
            reason: cut(&self.reason),
            runtime_id: self.runtime_id.clone(),
            health: self.health.into(),
            bindings: self.bindings.clone(),
            image_digest: self.digest.clone(),
        }
    }
}

/// The ports of a shared network belong to the containers that asked for them.
fn hand_out(bindings: &[PortBinding], containers: &[ContainerDefinition], rows: &mut [ContainerRow]) {
    for (container, row) in containers.iter().zip(rows) {
        let has_asked = |binding: &&PortBinding| {
            let is_it = |mapping: &PortMapping| {
                u32::try_from(mapping.container_port()) == Ok(binding.container_port)
                    && (mapping.protocol() == "udp") == binding.udp
            };
            container.port_mappings.iter().any(is_it)
        };
        row.bindings = bindings.iter().filter(has_asked).cloned().collect();
    }
}

fn cut(reason: &str) -> String {
    reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned()
}
