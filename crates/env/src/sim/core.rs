//! The executor: one thread, one virtual clock, every choice from the seed.
//!
//! Wakers may fire in an order that the seed does not decide (tokio's `watch` spreads its waiters over shards that it
//! picks at random), so what was woken during a step is sorted before one of the runnable tasks is drawn.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::{oneshot, watch};
use xxhash_rust::xxh3::Xxh3;

use super::{disk::Disk, link::Links, node::Node};
use crate::{BoxFuture, Env, OnError, Task, TaskKind, current, real::panic_text};

/// Steps within one instant of virtual time: past it two tasks wake each other for ever.
const STEPS_AT_ONE_TIME_MAX: u64 = 5_000_000;

pub(super) type NodeId = usize;
type TaskId = u64;

/// Shared by the [`super::Sim`] and the environments of its nodes.
pub(super) struct Core {
    state: Mutex<State>,
    woken: Arc<Mutex<BTreeSet<TaskId>>>,
    /// Rises whenever a link, a pause or a life changes.
    changed: watch::Sender<u64>,
}

pub(super) struct State {
    pub(super) now: Duration,
    pub(super) nodes: Vec<NodeState>,
    pub(super) links: Links,
    pub(super) panics: Vec<String>,
    tasks: BTreeMap<TaskId, Slot>,
    task_next: TaskId,
    runnable: Vec<TaskId>,
    timers: BTreeMap<(Duration, u64), (NodeId, Waker)>,
    timer_next: u64,
    order: StdRng,
    hash: Xxh3,
    steps: u64,
}

/// A simulated machine.
pub(super) struct NodeState {
    pub(super) name: String,
    /// Rises at each kill: an environment of an earlier life starts nothing.
    pub(super) life: u64,
    pub(super) alive: bool,
    pub(super) paused: bool,
    pub(super) clock: Clock,
    pub(super) random: StdRng,
    pub(super) disk: Arc<Disk>,
    pub(super) certificate_name: Option<String>,
    /// Woken while paused.
    parked: BTreeSet<TaskId>,
}

/// A node's clocks as lines through virtual time.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) rate: f64,
    pub(super) since: Duration,
    pub(super) local_at_since: Duration,
    pub(super) wall_offset_ms: i64,
}

impl Clock {
    pub(super) fn local(&self, now: Duration) -> Duration {
        self.local_at_since + now.saturating_sub(self.since).mul_f64(self.rate)
    }

    /// The virtual time at which [`Clock::local`] reaches `local`, at least one tick from `now`.
    pub(super) fn due(&self, local: Duration, now: Duration) -> Duration {
        let due = self.since + local.saturating_sub(self.local_at_since).div_f64(self.rate);
        due.max(now + Duration::from_nanos(1))
    }
}

struct Slot {
    node: NodeId,
    kind: TaskKind,
    env: Env,
    /// Taken out while it is polled.
    work: Option<BoxFuture<'static, ()>>,
    queued: bool,
    waker: Waker,
    /// Dropped with the slot: that is how its [`Task`] learns of the end.
    _end: oneshot::Sender<()>,
}

/// What [`Env::abort`] throws: the executor kills the node.
pub(super) struct Aborted(pub(super) NodeId);

struct TaskWaker {
    id: TaskId,
    woken: Arc<Mutex<BTreeSet<TaskId>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.woken).insert(self.id);
    }
}

impl Core {
    pub(super) fn new(seed: u64) -> Arc<Core> {
        Arc::new(Core {
            state: Mutex::new(State {
                now: Duration::ZERO,
                nodes: Vec::new(),
                links: Links::new(seed),
                panics: Vec::new(),
                tasks: BTreeMap::new(),
                task_next: 0,
                runnable: Vec::new(),
                timers: BTreeMap::new(),
                timer_next: 0,
                order: StdRng::seed_from_u64(seed),
                hash: Xxh3::with_seed(seed),
                steps: 0,
            }),
            woken: Arc::default(),
            changed: watch::Sender::new(0),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn announce_change(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Starts a task; that of an earlier life of its node ends before it began.
    pub(super) fn spawn(
        self: &Arc<Self>,
        node: &Node,
        env: &Env,
        kind: TaskKind,
        work: BoxFuture<'static, ()>,
    ) -> Task {
        let (end, ended) = oneshot::channel();
        let mut state = self.lock();
        let id = state.task_next;
        state.task_next += 1;
        let machine = &state.nodes[node.id];
        if machine.alive && machine.life == node.life {
            let waker = Waker::from(Arc::new(TaskWaker { id, woken: self.woken.clone() }));
            let slot =
                Slot { node: node.id, kind, env: env.clone(), work: Some(work), queued: false, waker, _end: end };
            state.tasks.insert(id, slot);
            lock(&self.woken).insert(id);
        }
        drop(state);
        let core = Arc::downgrade(self);
        Task {
            end: Box::pin(async move {
                // The sender is never used: it goes when the task does.
                let _ = ended.await;
            }),
            abort: Box::new(move || {
                if let Some(core) = core.upgrade() {
                    let slot = core.lock().tasks.remove(&id);
                    drop_slots(slot);
                }
            }),
        }
    }

    /// Ends a node's tasks, as kill -9 does; with `power` what was not synced is gone too.
    pub(super) fn end(&self, node: NodeId, power: bool) {
        let disk = {
            let mut state = self.lock();
            state.links.forget(node);
            state.nodes[node].alive = false;
            state.nodes[node].life += 1;
            state.nodes[node].disk.clone()
        };
        disk.cut_off(power);
        self.drop_tasks(Some(node));
        self.announce_change();
    }

    /// Ends every task of a node, or of all.
    pub(super) fn drop_tasks(&self, of: Option<NodeId>) {
        loop {
            let mut state = self.lock();
            let ended: Vec<TaskId> = state
                .tasks
                .iter()
                .filter(|(_, slot)| of.is_none_or(|node| slot.node == node))
                .map(|(id, _)| *id)
                .collect();
            if ended.is_empty() {
                return;
            }
            let slots: Vec<Slot> = ended.iter().filter_map(|id| state.tasks.remove(id)).collect();
            drop(state);
            drop_slots(slots);
        }
    }

    pub(super) fn add_timer(&self, node: NodeId, due: Duration, waker: Waker) -> (Duration, u64) {
        let mut state = self.lock();
        let key = (due, state.timer_next);
        state.timer_next += 1;
        state.timers.insert(key, (node, waker));
        key
    }

    pub(super) fn remove_timer(&self, key: (Duration, u64)) {
        let removed = self.lock().timers.remove(&key);
        drop(removed);
    }

    /// A node's clock changed: its sleepers look at it again.
    pub(super) fn wake_sleepers(&self, node: NodeId) {
        let wakers: Vec<Waker> = {
            let mut state = self.lock();
            let keys: Vec<_> = state.timers.iter().filter(|(_, (of, _))| *of == node).map(|(key, _)| *key).collect();
            keys.iter().filter_map(|key| state.timers.remove(key)).map(|(_, waker)| waker).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Runs what can run at this instant of virtual time.
    pub(super) fn run_instant(&self) {
        for _ in 0..STEPS_AT_ONE_TIME_MAX {
            let Some((id, env, waker, work)) = self.lock().draw(&self.woken) else { return };
            self.poll(id, env, &waker, work);
        }
        let now = self.lock().now;
        panic!("{STEPS_AT_ONE_TIME_MAX} steps at {now:?} of virtual time: some tasks wake each other for ever");
    }

    fn poll(&self, id: TaskId, env: Env, waker: &Waker, mut work: BoxFuture<'static, ()>) {
        let _entered = current::enter(env);
        let mut context = Context::from_waker(waker);
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut context)));
        let panic = match polled {
            Ok(Poll::Pending) => return self.put_back(id, work),
            Ok(Poll::Ready(())) => None,
            Err(panic) => Some(panic),
        };
        drop(work);
        let slot = self.lock().tasks.remove(&id);
        match (panic, slot) {
            (Some(panic), _) if panic.is::<Aborted>() => self.aborted(panic.downcast_ref::<Aborted>()),
            (Some(panic), Some(slot)) => self.panicked(&slot, panic),
            _ => {}
        }
    }

    fn put_back(&self, id: TaskId, work: BoxFuture<'static, ()>) {
        let mut state = self.lock();
        match state.tasks.get_mut(&id) {
            Some(slot) => slot.work = Some(work),
            // Its node was killed, or it was aborted, from within its own poll.
            None => {
                drop(state);
                drop(work);
            }
        }
    }

    fn aborted(&self, by: Option<&Aborted>) {
        if let Some(Aborted(node)) = by {
            self.end(*node, false);
        }
    }

    /// A panic of a vital task ends a real process, which no test wants to overlook.
    fn panicked(&self, slot: &Slot, panic: Box<dyn std::any::Any + Send>) {
        match slot.kind.on_error {
            OnError::Abort => std::panic::resume_unwind(panic),
            OnError::Log => {
                let text = panic_text(panic.as_ref());
                tracing::error!(task = slot.kind.name, panic = text, "a task panicked");
                self.lock().panics.push(format!("{}: {text}", slot.kind.name));
            }
        }
    }

    /// Moves time to the next timer, but not past `until`. False: nothing happens before that.
    pub(super) fn advance(&self, until: Duration) -> bool {
        let wakers: Vec<Waker> = {
            let mut state = self.lock();
            let next = state.timers.first_key_value().map(|((due, _), _)| *due).filter(|due| *due <= until);
            let Some(next) = next else {
                state.now = state.now.max(until);
                return false;
            };
            state.now = state.now.max(next);
            let later = state.timers.split_off(&(next + Duration::from_nanos(1), 0));
            std::mem::replace(&mut state.timers, later).into_values().map(|(_, waker)| waker).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
        true
    }
}

impl State {
    pub(super) fn record(&mut self, bytes: &[u8]) {
        self.hash.update(&(bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    pub(super) fn event_hash(&self) -> u128 {
        self.hash.digest128()
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    pub(super) fn add_node(&mut self, name: &str, seed: u64) -> NodeId {
        assert!(self.nodes.iter().all(|node| node.name != name), "there is a node {name} already");
        let name_hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
        self.nodes.push(NodeState {
            name: name.to_owned(),
            life: 0,
            alive: true,
            paused: false,
            clock: Clock { rate: 1.0, since: self.now, local_at_since: Duration::ZERO, wall_offset_ms: 0 },
            random: StdRng::seed_from_u64(seed ^ name_hash),
            disk: Arc::default(),
            certificate_name: None,
            parked: BTreeSet::new(),
        });
        self.nodes.len() - 1
    }

    /// Lets a paused node's tasks run again.
    pub(super) fn unpark(&mut self, node: NodeId) {
        self.nodes[node].paused = false;
        let parked = std::mem::take(&mut self.nodes[node].parked);
        self.runnable.extend(parked);
    }

    /// One of the tasks that can run, drawn by the seed.
    fn draw(&mut self, woken: &Mutex<BTreeSet<TaskId>>) -> Option<(TaskId, Env, Waker, BoxFuture<'static, ()>)> {
        let woken = std::mem::take(&mut *lock(woken));
        woken.into_iter().for_each(|id| self.enqueue(id));
        while !self.runnable.is_empty() {
            let at = self.order.random_range(0..self.runnable.len());
            let id = self.runnable.swap_remove(at);
            if let Some(step) = self.take(id) {
                return Some(step);
            }
        }
        None
    }

    fn enqueue(&mut self, id: TaskId) {
        if let Some(slot) = self.tasks.get_mut(&id)
            && !slot.queued
        {
            slot.queued = true;
            self.runnable.push(id);
        }
    }

    /// Takes a task out for its poll, unless it has ended or its node is paused.
    fn take(&mut self, id: TaskId) -> Option<(TaskId, Env, Waker, BoxFuture<'static, ()>)> {
        let slot = self.tasks.get_mut(&id)?;
        let node = &mut self.nodes[slot.node];
        if node.paused {
            node.parked.insert(id);
            return None;
        }
        slot.queued = false;
        let step = (id, slot.env.clone(), slot.waker.clone(), slot.work.take()?);
        self.steps += 1;
        self.hash.update(&self.now.as_nanos().to_le_bytes());
        self.hash.update(&id.to_le_bytes());
        Some(step)
    }
}

/// Drops tasks with their environment as the current one: what they held may ask for it.
fn drop_slots(slots: impl IntoIterator<Item = Slot>) {
    for mut slot in slots {
        let _entered = current::enter(slot.env.clone());
        slot.work = None;
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
