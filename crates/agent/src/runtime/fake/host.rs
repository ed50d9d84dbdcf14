//! The machine that fake containers run on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use seawall_env::{Env, TaskKind};
use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::{LogRecord, PortBinding, TaskInterface},
    v1::PortMapping,
};
use tokio::sync::{Notify, mpsc};

use crate::{
    guard::Table,
    pause::AWSVPC,
    runtime::{EVENTS_WAITING, Event, EventKind, Fault, Held, Observed, Phase, RuntimeError},
    spec::{ContainerSpec, Owner},
};

/// Where ports that the host chooses begin: ECS's range.
const FIRST_DYNAMIC_PORT: u32 = 49_153;
/// Exit code of what a guard ends.
const KILLED: i32 = 137;
/// Calls that a host remembers, for tests.
const CALLS_KEPT: usize = 1024;

/// A machine. Clones are the same machine.
#[derive(Clone, Default)]
pub struct FakeHost {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    happened: Notify,
}

#[derive(Default)]
struct Inner {
    containers: BTreeMap<(TaskId, usize), Container>,
    calls: Vec<String>,
    /// How often each container was started, removed ones included: a task is never started twice.
    starts: BTreeMap<(TaskId, usize), u32>,
    events: Vec<(Owner, Event)>,
    /// Streams of events of an earlier one have ended.
    engine_life: u64,
    removals_refused: u32,
    guard: Table,
    /// Whose clock and life the guard has; without it the agent's.
    guard_env: Option<Env>,
}

struct Container {
    spec: ContainerSpec,
    observed: Observed,
}

impl fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeHost({} containers)", self.lock().containers.len())
    }
}

impl FakeHost {
    /// Names of the containers that run, sorted by task.
    pub fn running(&self) -> Vec<String> {
        let inner = self.lock();
        let runs = inner.containers.values().filter(|c| c.observed.phase == Phase::Running);
        runs.map(|c| c.spec.runtime_name()).collect()
    }

    /// The tasks of which a container is left, running or not.
    pub fn kept(&self) -> Vec<TaskId> {
        let inner = self.lock();
        let mut tasks: Vec<TaskId> = inner.containers.keys().map(|(task, _)| *task).collect();
        tasks.dedup();
        tasks
    }

    /// Tasks with a container that runs.
    pub fn running_tasks(&self) -> BTreeSet<TaskId> {
        let inner = self.lock();
        let runs = inner.containers.values().filter(|c| c.observed.phase == Phase::Running);
        runs.map(|c| c.spec.task.id).collect()
    }

    /// How often each container was started, by its task and its place in the definition.
    pub fn starts(&self) -> BTreeMap<(TaskId, usize), u32> {
        self.lock().starts.clone()
    }

    /// What the runtime was asked to do so far, the newest last.
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// Ends every container of a task, as a crash of its program would.
    pub fn kill(&self, task: TaskId, code: i32) {
        self.each_of(task, |host, spec| host.exit(spec, code));
    }

    /// Removes every container of a task, as `docker rm -f` would.
    pub fn remove_outside(&self, task: TaskId) {
        self.each_of(task, |host, spec| {
            host.exit(spec, 137);
            host.tell(spec, EventKind::Removed);
            host.lock().containers.remove(&key(spec));
        });
    }

    /// Its guard is a machine of its own from now on, which goes on when the agent is paused or gone.
    pub fn set_guard(&self, env: Env) {
        self.lock().guard_env = Some(env);
    }

    /// What ends its tasks.
    pub(super) fn guard_env(&self) -> Option<Env> {
        self.lock().guard_env.clone()
    }

    /// What its guard knows.
    pub(super) fn with_guard<T>(&self, look: impl FnOnce(&mut Table) -> T) -> T {
        look(&mut self.lock().guard)
    }

    /// Ends the tasks whose time is over.
    pub(super) fn end_over(&self, now: Duration) {
        let over = self.with_guard(|guard| guard.over(now));
        over.into_iter().for_each(|(task, _)| self.kill(task, KILLED));
    }

    /// The machine restarts: nothing runs any more, and nobody is told.
    pub fn reboot(&self) {
        let mut inner = self.lock();
        inner.guard = Table::default();
        inner.events.clear();
        for container in inner.containers.values_mut().filter(|c| c.observed.phase == Phase::Running) {
            container.observed.phase = Phase::Exited;
            container.observed.exit_code = Some(255);
        }
    }

    /// The engine restarts under its containers: streams of events end, and until they are open again nobody is told.
    pub fn restart_engine(&self) {
        self.lock().engine_life += 1;
        self.shared.happened.notify_waiters();
    }

    /// The next `count` removals fail.
    pub fn refuse_removals(&self, count: u32) {
        self.lock().removals_refused = count;
    }

    /// Its engine loses everything it had, and nobody is told.
    pub fn forget_all(&self) {
        let mut inner = self.lock();
        inner.events.clear();
        inner.containers.clear();
    }

    pub(super) fn note(&self, call: String) {
        let mut inner = self.lock();
        if inner.calls.len() == CALLS_KEPT {
            inner.calls.remove(0);
        }
        inner.calls.push(call);
    }

    pub(super) fn held(&self, instance: &str) -> Vec<Held> {
        let inner = self.lock();
        let ours = inner.containers.values().filter(|c| c.spec.task.owner.instance == instance);
        ours.map(|c| Held {
            owner: c.spec.task.owner.clone(),
            kept: c.spec.task.kept(),
            index: c.spec.index,
            observed: c.observed.clone(),
        })
        .collect()
    }

    pub(super) fn create(&self, spec: &ContainerSpec) -> String {
        let runtime_id = spec.runtime_name();
        let observed = Observed { phase: Phase::Created, runtime_id: runtime_id.clone(), ..Default::default() };
        let mut inner = self.lock();
        inner.containers.entry(key(spec)).or_insert_with(|| Container { spec: spec.clone(), observed });
        runtime_id
    }

    pub(super) fn start(&self, spec: &ContainerSpec, env: &Env) -> Result<Vec<PortBinding>, RuntimeError> {
        let (wall_ms, boottime) = (env.wall_ms(), env.boottime());
        let mut inner = self.lock();
        if spec.task.is_guarded() && !inner.guard.lives(spec.task.id, boottime) {
            return Err(RuntimeError::new(Fault::Start, "its guard has ended the task"));
        }
        let taken: BTreeSet<u32> = inner.taken_ports();
        let Some(container) = inner.containers.get_mut(&key(spec)) else {
            return Err(RuntimeError::new(Fault::Gone, "no such container"));
        };
        if container.observed.phase == Phase::Created {
            container.observed.bindings = bind(published(spec), taken)?;
            container.observed.interface = interface(spec);
            container.observed.phase = Phase::Running;
            container.observed.started_at_ms = wall_ms;
            let bindings = container.observed.bindings.clone();
            *inner.starts.entry(key(spec)).or_default() += 1;
            return Ok(bindings);
        }
        Ok(container.observed.bindings.clone())
    }

    /// One that has ended may start once more.
    pub(super) fn rewind(&self, spec: &ContainerSpec) {
        let mut inner = self.lock();
        let ended = inner.containers.get_mut(&key(spec)).filter(|c| c.observed.phase == Phase::Exited);
        if let Some(container) = ended {
            let runtime_id = container.observed.runtime_id.clone();
            container.observed = Observed { phase: Phase::Created, runtime_id, ..Default::default() };
        }
    }

    /// How often it was started.
    pub(super) fn runs(&self, spec: &ContainerSpec) -> u32 {
        self.lock().starts.get(&key(spec)).copied().unwrap_or_default()
    }

    pub(super) fn inspect(&self, spec: &ContainerSpec) -> Option<Observed> {
        self.lock().containers.get(&key(spec)).map(|c| c.observed.clone())
    }

    pub(super) fn exit(&self, spec: &ContainerSpec, code: i32) {
        let mut inner = self.lock();
        let Some(container) = inner.containers.get_mut(&key(spec)) else { return };
        if container.observed.phase != Phase::Running {
            return;
        }
        container.observed.phase = Phase::Exited;
        container.observed.exit_code = Some(code);
        drop(inner);
        self.tell(spec, EventKind::Exited(Some(code)));
    }

    pub(super) fn tell(&self, spec: &ContainerSpec, kind: EventKind) {
        let mut inner = self.lock();
        let container = inner.containers.get_mut(&key(spec));
        match (kind, container) {
            (EventKind::Health(health), Some(container)) => container.observed.health = health,
            (EventKind::Oom, Some(container)) => container.observed.oom = true,
            _ => {}
        }
        inner.events.push((spec.task.owner.clone(), Event { task: spec.task.id, index: spec.index, kind }));
        drop(inner);
        self.shared.happened.notify_waiters();
    }

    pub(super) fn remove(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        let mut inner = self.lock();
        if inner.removals_refused > 0 {
            inner.removals_refused -= 1;
            return Err(RuntimeError::new(Fault::Engine, "device or resource busy"));
        }
        inner.containers.remove(&key(spec));
        Ok(())
    }

    pub(super) fn events(&self, env: &Env, owner: &Owner) -> mpsc::Receiver<Event> {
        let (out, receiver) = mpsc::channel(EVENTS_WAITING);
        let (host, owner) = (self.clone(), owner.clone());
        // Nobody was told of what happened before: the caller looks at its containers.
        self.take_events(&owner);
        let life = self.lock().engine_life;
        env.spawn(TaskKind::request("fake events"), async move {
            loop {
                let mut happened = std::pin::pin!(host.shared.happened.notified());
                // Before looking: what happens while it looks wakes it, too.
                happened.as_mut().enable();
                if host.lock().engine_life != life {
                    return;
                }
                for event in host.take_events(&owner) {
                    if out.send(event).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    biased;
                    () = out.closed() => return,
                    () = happened => {}
                }
            }
        });
        receiver
    }

    /// Several agents may share the machine: each takes its own.
    fn take_events(&self, owner: &Owner) -> Vec<Event> {
        self.lock().events.extract_if(.., |(of, _)| of == owner).map(|(_, event)| event).collect()
    }

    pub(super) fn log_line(&self, spec: &ContainerSpec, at_ms: i64) -> LogRecord {
        let line = format!("fake container {} of task {}", spec.name(), spec.task.id);
        LogRecord { at_ms, container: spec.name().to_owned(), stderr: false, line: line.into_bytes().into() }
    }

    fn each_of(&self, task: TaskId, act: impl Fn(&FakeHost, &ContainerSpec)) {
        let inner = self.lock();
        let of_task = inner.containers.iter().filter(|((of, _), _)| *of == task);
        let specs: Vec<ContainerSpec> = of_task.map(|(_, container)| container.spec.clone()).collect();
        drop(inner);
        specs.iter().for_each(|spec| act(self, spec));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Plain values: a panic while it was held leaves nothing half done.
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn taken_ports(&self) -> BTreeSet<u32> {
        let runs = self.containers.values().filter(|c| c.observed.phase == Phase::Running);
        runs.flat_map(|c| c.observed.bindings.iter().map(|b| b.host_port)).collect()
    }
}

fn key(spec: &ContainerSpec) -> (TaskId, usize) {
    (spec.task.id, spec.index)
}

/// The ports of a shared network are the pause container's.
fn published(spec: &ContainerSpec) -> &[PortMapping] {
    let has_none = spec.task.network_mode == AWSVPC && !spec.is_pause();
    if has_none { &[] } else { &spec.definition().port_mappings }
}

fn interface(spec: &ContainerSpec) -> Option<TaskInterface> {
    let [.., a, b, c] = spec.task.id.lo().to_be_bytes();
    let has_one = spec.task.network_mode == AWSVPC && spec.is_pause();
    has_one.then(|| TaskInterface {
        private_ipv4: format!("10.{a}.{b}.{c}"),
        mac: format!("02:42:0a:{a:02x}:{b:02x}:{c:02x}"),
    })
}

fn bind(mappings: &[PortMapping], mut taken: BTreeSet<u32>) -> Result<Vec<PortBinding>, RuntimeError> {
    let mut bindings = Vec::new();
    for mapping in mappings {
        let asked = u32::try_from(mapping.host_port()).unwrap_or_default();
        let host_port = match asked {
            0 => (FIRST_DYNAMIC_PORT..=65_535).find(|port| !taken.contains(port)).unwrap_or_default(),
            port if taken.contains(&port) => {
                return Err(RuntimeError::new(Fault::Start, format!("port {port} is already allocated")));
            }
            port => port,
        };
        taken.insert(host_port);
        bindings.push(PortBinding {
            bind_ip: "127.0.0.1".into(),
            container_port: u32::try_from(mapping.container_port()).unwrap_or_default(),
            host_port,
            udp: mapping.protocol() == "udp",
        });
    }
    Ok(bindings)
}
