//! Changes kept for watchers (hard part 11): the last 64 MiB, in order, each at a position.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use seawall_consensus::AppliedEntry;
use seawall_env::TaskKind;
use seawall_model::{
    ApiError, ClusterId, ErrorCode, ServiceId,
    limits::{WATCH_BYTES, WATCHERS_MAX},
};
use seawall_proto::v1::{Position, ResourceKind, WatchEvent, WatchRequest, watch_event};
use seawall_state::{Change, State};
use tokio::sync::{broadcast::error::RecvError, mpsc, watch};

use crate::{
    api::Node,
    dispatch::lock,
    render::watch::{Seen, seen},
    resolve,
};

#[cfg(test)]
mod tests;

/// What one kept change is taken to cost: its state is shared with the others.
const CHANGE_BYTES: usize = 256;
/// Events on their way to a watcher that is slow.
const EVENTS_WAITING: usize = 256;
const BARRIER: Duration = Duration::from_secs(10);

/// The changes that this member keeps.
pub(crate) struct Changes {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
    watchers: AtomicUsize,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<Arc<AppliedEntry>>,
    bytes: usize,
    /// Changes up to this index are not kept.
    dropped: u64,
    /// The last entry that was seen.
    last: u64,
}

impl Default for Changes {
    fn default() -> Self {
        Changes { kept: Mutex::default(), newest: watch::channel(0).0, watchers: AtomicUsize::new(0) }
    }
}

impl Changes {
    fn push(&self, entry: Arc<AppliedEntry>) {
        let mut kept = lock(&self.kept);
        let index = entry.index;
        if index != kept.last + 1 {
            // A snapshot was installed in between: what it brought is not known as changes.
            *kept = Kept { dropped: index, last: index, ..Kept::default() };
            drop(kept);
            self.newest.send_replace(index);
            return;
        }
        kept.last = index;
        kept.bytes += cost(&entry);
        kept.entries.push_back(entry);
        while kept.bytes > WATCH_BYTES
            && let Some(oldest) = kept.entries.pop_front()
        {
            kept.bytes -= cost(&oldest);
            kept.dropped = oldest.index;
        }
        drop(kept);
        self.newest.send_replace(index);
    }

    /// Changes were missed (a snapshot was installed): nothing before `index` is kept.
    fn restart(&self, index: u64) {
        *lock(&self.kept) = Kept { dropped: index, last: index, ..Kept::default() };
        self.newest.send_replace(index);
    }

    /// Entries after `index`; `None` when some of them are no longer kept.
    fn after(&self, index: u64) -> Option<Vec<Arc<AppliedEntry>>> {
        let kept = lock(&self.kept);
        if index < kept.dropped {
            return None;
        }
        let from = kept.entries.partition_point(|entry| entry.index <= index);
        Some(kept.entries.iter().skip(from).take(EVENTS_WAITING).cloned().collect())
    }
}

fn cost(entry: &AppliedEntry) -> usize {
    CHANGE_BYTES * (1 + entry.effects.iter().map(|effects| effects.changes.len()).sum::<usize>())
}

/// Keeps what is applied.
pub(crate) async fn keep(node: Arc<Node>) {
    let mut applied = node.consensus.applied();
    node.changes.restart(node.consensus.state().index);
    loop {
        match applied.recv().await {
            Ok(entry) => node.changes.push(entry),
            Err(RecvError::Lagged(_)) => node.changes.restart(node.consensus.state().index),
            Err(RecvError::Closed) => return,
        }
    }
}

/// What a watcher receives; an error is the last item.
pub(crate) type Events = mpsc::Receiver<Result<WatchEvent, WatchEnd>>;

/// Why a stream ended.
pub(crate) enum WatchEnd {
    /// Changes asked for are no longer kept: list at this position and go on.
    OutOfRange(Position),
    /// The request was wrong, or no leader confirmed the start.
    Refused(ApiError),
}

/// Starts a stream.
pub(crate) fn start(node: &Arc<Node>, request: WatchRequest) -> Result<Events, ApiError> {
    let place = Place(node.clone());
    if node.changes.watchers.fetch_add(1, Ordering::Relaxed) >= WATCHERS_MAX {
        return Err(ApiError::new(
            ErrorCode::Overloaded,
            format!("{WATCHERS_MAX} watchers are connected to this member"),
        ));
    }
    let (events, receiver) = mpsc::channel(EVENTS_WAITING);
    let watcher = Watcher { node: node.clone(), events, _place: place };
    node.env.spawn(TaskKind::request("watch"), async move {
        if let Err(Some(end)) = watcher.run(request).await {
            // A watcher that left needs no reason.
            let _ = watcher.events.send(Err(end)).await;
        }
    });
    Ok(receiver)
}

/// What a watcher asked for.
struct Filter {
    /// All where empty.
    kinds: Vec<ResourceKind>,
    cluster: Option<ClusterId>,
    service: Option<ServiceId>,
}

impl Filter {
    fn new(state: &State, request: &WatchRequest) -> Result<Filter, ApiError> {
        let cluster = match &request.cluster {
            Some(name) => Some(resolve::cluster(state, Some(name))?),
            None if request.service.is_some() => Some(resolve::cluster(state, None)?),
            None => None,
        };
        let service = match (&request.service, cluster) {
            (Some(name), Some(cluster)) => Some(
                resolve::service(state, cluster, name)
                    .ok_or_else(|| ApiError::new(ErrorCode::ServiceNotFound, "Service not found."))?,
            ),
            _ => None,
        };
        Ok(Filter { kinds: request.kinds().collect(), cluster, service: service.map(|row| ServiceId(row.id)) })
    }

    fn takes(&self, seen: &Seen) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&seen.kind))
            && (self.cluster.is_none() || self.cluster == seen.cluster)
            && (self.service.is_none() || self.service == seen.service)
    }
}

/// Every resource as it is, definitions before what uses them.
fn everything(state: &State) -> impl Iterator<Item = Seen> {
    let clusters = state.clusters.iter().map(|(id, _)| Change::Cluster(*id));
    let instances = state.instances.iter().map(|(id, _)| Change::Instance(*id));
    let definitions = state.task_definitions.iter().map(|(id, _)| Change::TaskDefinition(*id));
    let services = state.services.iter().map(|(id, _)| Change::Service(*id));
    let tasks = state.tasks.iter().map(|(id, _)| Change::Task(*id));
    let all = clusters.chain(instances).chain(definitions).chain(services).chain(tasks);
    all.filter_map(|change| seen(state, &change))
}

struct Watcher {
    node: Arc<Node>,
    events: mpsc::Sender<Result<WatchEvent, WatchEnd>>,
    _place: Place,
}

/// One watcher in the count, however it ends.
struct Place(Arc<Node>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.changes.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `None`: the watcher left.
type Ended = Option<WatchEnd>;

impl Watcher {
    async fn run(&self, request: WatchRequest) -> Result<(), Ended> {
        let node = &self.node;
        let refused = |error| Some(WatchEnd::Refused(error));
        let barrier = node.read(false, node.env.now() + BARRIER);
        let after = match request.after {
            Some(after) => after,
            None => {
                barrier.await.map_err(refused)?;
                Position { epoch: node.identity.epoch, index: node.consensus.state().index, ordinal: u32::MAX }
            }
        };
        if after.epoch != node.identity.epoch {
            return Err(Some(self.out_of_range()));
        }
        let applied = node.consensus.state();
        let filter = Filter::new(&applied.state, &request).map_err(refused)?;
        let mut at = after;
        if request.list_first {
            at = Position { epoch: node.identity.epoch, index: applied.index, ordinal: u32::MAX };
            for seen in everything(&applied.state).filter(|seen| filter.takes(seen)) {
                self.send(WatchEvent { position: Some(at), deleted: seen.deleted, change: Some(seen.change) }).await?;
            }
            let synced = Some(watch_event::Change::Synced(true));
            self.send(WatchEvent { position: Some(at), deleted: false, change: synced }).await?;
        }
        self.follow(at, &filter).await
    }

    async fn follow(&self, mut at: Position, filter: &Filter) -> Result<(), Ended> {
        let mut newest = self.node.changes.newest.subscribe();
        // The entry that `at` is in may have more changes than were sent.
        let mut after = at.index.saturating_sub(u64::from(at.ordinal != u32::MAX));
        loop {
            newest.borrow_and_update();
            let Some(entries) = self.node.changes.after(after) else { return Err(Some(self.out_of_range())) };
            for entry in &entries {
                at = self.send_entry(entry, at, filter).await?;
                after = entry.index;
            }
            if !entries.is_empty() {
                continue;
            }
            tokio::select! {
                biased;
                () = self.events.closed() => return Err(None),
                changed = newest.changed() => if changed.is_err() { return Err(None) },
            }
        }
    }

    async fn send_entry(&self, entry: &AppliedEntry, after: Position, filter: &Filter) -> Result<Position, Ended> {
        let mut at = after;
        let changes = entry.effects.iter().flat_map(|effects| &effects.changes);
        for (change, ordinal) in changes.zip(0..) {
            let position = Position { epoch: self.node.identity.epoch, index: entry.index, ordinal };
            if (position.index, position.ordinal) <= (after.index, after.ordinal) {
                continue;
            }
            if let Some(seen) = seen(&entry.state, change).filter(|seen| filter.takes(seen)) {
                let event = WatchEvent { position: Some(position), deleted: seen.deleted, change: Some(seen.change) };
                self.send(event).await?;
            }
            at = position;
        }
        Ok(at)
    }

    async fn send(&self, event: WatchEvent) -> Result<(), Ended> {
        self.events.send(Ok(event)).await.map_err(|_| None)
    }

    fn out_of_range(&self) -> WatchEnd {
        let index = self.node.consensus.state().index;
        WatchEnd::OutOfRange(Position { epoch: self.node.identity.epoch, index, ordinal: u32::MAX })
    }
}
