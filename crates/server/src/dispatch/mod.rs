//! Agents' streams: this member holds some of them, and tells each its instance's tasks as the state changes.

pub(crate) mod assignment;
pub(crate) mod logs;
mod reports;
mod session;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use seawall_consensus::AppliedEntry;
use seawall_env::{
    BoxFuture, Instant,
    net::{Caller, Handler, MessageReceiver, MessageSender, NetError},
};
use seawall_model::{InstanceId, SessionId, TaskId};
use seawall_proto::internal::v1::{Grant, LogChunk, relay_request::Beat};
use seawall_state::{Change, State};
use tokio::sync::{Notify, broadcast::error::RecvError, mpsc};

use crate::api::Node;
pub(crate) use reports::batch as batch_reports;

/// The agents' one method.
pub(crate) const OPEN: &str = "/seawall.internal.v1.Session/Open";
/// Reports that may wait for the leader. Past it a session is closed and its agent reports again elsewhere.
const REPORTS_WAITING_MAX: usize = 8192;

/// The streams that this member holds.
pub(crate) struct Sessions {
    live: Mutex<BTreeMap<InstanceId, Arc<Live>>>,
    reports: mpsc::Sender<reports::Waiting>,
    log_requests: AtomicU64,
}

/// One agent's stream.
pub(crate) struct Live {
    pub(crate) instance: InstanceId,
    pub(crate) session: SessionId,
    /// Of the agent's process.
    run: u64,
    last_beat: Mutex<Instant>,
    /// The agent's own time in its last beat.
    boottime_ms: AtomicU64,
    /// The last grant, on its way to the agent.
    granted: Mutex<Option<Grant>>,
    /// Tasks that changed since they were last looked at.
    dirty: Mutex<BTreeSet<TaskId>>,
    /// Changes were missed: send everything.
    resync: AtomicBool,
    /// Another session of the instance is newer, or the instance is gone.
    superseded: AtomicBool,
    /// Reports up to this sequence are applied.
    acked: AtomicU64,
    logs: Mutex<BTreeMap<u64, mpsc::Sender<LogChunk>>>,
    /// Requests for logs, and their ends, on their way to the agent.
    log_orders: mpsc::Sender<logs::Order>,
    wake: Notify,
}

impl Sessions {
    /// The sessions, and the queue that [`batch_reports`] serves.
    pub(crate) fn new() -> (Sessions, mpsc::Receiver<reports::Waiting>) {
        let (reports, waiting) = mpsc::channel(REPORTS_WAITING_MAX);
        (Sessions { live: Mutex::default(), reports, log_requests: AtomicU64::new(1) }, waiting)
    }

    pub(crate) fn get(&self, instance: InstanceId) -> Option<Arc<Live>> {
        lock(&self.live).get(&instance).cloned()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        lock(&self.live).len()
    }

    fn all(&self) -> Vec<Arc<Live>> {
        lock(&self.live).values().cloned().collect()
    }

    /// Instances whose agents gave a sign of life after `since`.
    pub(crate) fn beats_since(&self, since: Instant) -> Vec<Beat> {
        let live = lock(&self.live);
        live.values().filter(|live| *lock(&live.last_beat) > since).map(|live| live.beat()).collect()
    }

    /// Hands the leader's grants on to those agents whose streams are here still.
    pub(crate) fn grant(&self, grants: &[Beat], lease_ms: u32) {
        for beat in grants {
            let live = self.get(InstanceId(beat.instance_id));
            if let Some(live) = live.filter(|live| live.session.0 == beat.session) {
                *lock(&live.granted) = Some(Grant { boottime_ms: beat.boottime_ms, lease_ms });
                live.wake.notify_one();
            }
        }
    }

    fn add(&self, live: Arc<Live>) {
        if let Some(older) = lock(&self.live).insert(live.instance, live) {
            older.supersede();
        }
    }

    fn remove(&self, live: &Arc<Live>) {
        let mut all = lock(&self.live);
        if all.get(&live.instance).is_some_and(|now| Arc::ptr_eq(now, live)) {
            all.remove(&live.instance);
        }
    }

    /// Sends every agent to another member.
    pub(crate) fn close_all(&self) {
        self.all().iter().for_each(|live| live.supersede());
    }

    fn next_log_request(&self) -> u64 {
        self.log_requests.fetch_add(1, Ordering::Relaxed)
    }
}

impl Live {
    fn beat(&self) -> Beat {
        let boottime_ms = self.boottime_ms.load(Ordering::Acquire);
        Beat { instance_id: self.instance.0, session: self.session.0, boottime_ms }
    }

    fn mark(&self, task: TaskId) {
        lock(&self.dirty).insert(task);
        self.wake.notify_one();
    }

    fn mark_all(&self) {
        self.resync.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn supersede(&self) {
        self.superseded.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn ack(&self, sequence: u64) {
        self.acked.fetch_max(sequence, Ordering::AcqRel);
        self.wake.notify_one();
    }
}

/// Nothing panics while it holds one of these locks, so a poisoned one is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Wakes the sessions whose tasks changed. Effects are hints: after a gap every session looks at everything.
pub(crate) async fn pump(node: Arc<Node>) {
    let mut applied = node.consensus.applied();
    let mut last = node.consensus.state().index;
    loop {
        match applied.recv().await {
            Ok(entry) => {
                // A snapshot was installed in between: what it changed is not known here.
                if entry.index > last + 1 {
                    node.sessions.all().iter().for_each(|live| live.mark_all());
                }
                last = entry.index;
                wake_sessions(&node, &entry);
            }
            Err(RecvError::Lagged(_)) => node.sessions.all().iter().for_each(|live| live.mark_all()),
            Err(RecvError::Closed) => return,
        }
    }
}

fn wake_sessions(node: &Node, entry: &AppliedEntry) {
    let sessions = &node.sessions;
    for change in node.hints.of(entry) {
        match change {
            Change::Task(id) => {
                let instance = entry.state.tasks.get(id).map(|task| InstanceId(task.instance_id));
                if let Some(live) = instance.and_then(|id| sessions.get(id)) {
                    live.mark(*id);
                }
            }
            Change::Instance(id) => {
                if let Some(live) = sessions.get(*id).filter(|live| !is_current(&entry.state, live)) {
                    live.supersede();
                }
            }
            _ => {}
        }
    }
}

/// A session stays until the state knows a newer one of its instance, or takes it for lost: a member that was cut off with
/// its agents goes on hearing them, and only a new session makes them known again.
fn is_current(state: &State, live: &Live) -> bool {
    let row = state.instances.get(&live.instance);
    row.is_some_and(|row| row.session < live.session.0 || (row.session == live.session.0 && row.connected))
}

/// Takes agents' streams.
pub(crate) struct SessionHandler(pub(crate) Arc<Node>);

impl Handler for SessionHandler {
    fn handles(&self, method: &str) -> bool {
        method == OPEN
    }

    fn is_stream(&self, _method: &str) -> bool {
        true
    }

    fn call(self: Arc<Self>, _: Caller, method: String, _: Bytes) -> BoxFuture<'static, Result<Bytes, NetError>> {
        Box::pin(async move { Err(NetError::Refused(format!("{method} is a stream"))) })
    }

    fn open(
        self: Arc<Self>,
        caller: Caller,
        _method: String,
        incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> BoxFuture<'static, Result<(), NetError>> {
        let node = self.0.clone();
        Box::pin(session::serve(node, caller, incoming, outgoing))
    }
}
