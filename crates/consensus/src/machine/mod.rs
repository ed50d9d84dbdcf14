//! The state machine: applies committed entries to [`State`] and publishes what came out.
//!
//! Whoever reads the state loads one pointer and never waits behind apply. Entries are published in batches: a pointer
//! for each of many waiting entries would be work that nobody sees.

mod pace;
mod published;
mod snapshot;

use std::{io, path::PathBuf, sync::Arc};

use futures::{Stream, TryStreamExt};
use openraft::{
    OptionalSend, RaftSnapshotBuilder,
    entry::RaftEntry as _,
    storage::{ApplyResponder, EntryResponder, RaftStateMachine},
};
use prost::Message;
use seawall_env::Env;
use seawall_proto::internal::v1::{EntryPayload, Reply};
use seawall_state::{Effects, State};

use pace::Pace;
pub(crate) use published::Published;
pub(crate) use snapshot::{
    Decoder, Received, SnapshotData, SnapshotFile, encode_state, path_of, read_snapshot, sync_now_and_then,
};

use crate::{
    AppliedEntry, AppliedState, StartError,
    raft::{Entry, EntryKind, LogId, Payload, Replies, Snapshot, SnapshotMeta, StoredMembership, TypeConfig},
    store::LogStore,
};

/// Entries applied before the state is published, where more wait.
const PUBLISH_ENTRIES: usize = 256;
/// Hash points are kept at multiples of this.
pub(crate) const HASH_EVERY_ENTRIES: u64 = 1024;

/// See the module.
pub(crate) struct Machine {
    env: Env,
    folder: PathBuf,
    log: LogStore,
    published: Arc<Published>,
    state: State,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    /// Applied, and not handed out yet.
    unpublished: Vec<AppliedEntry>,
}

impl Machine {
    /// The state of the newest snapshot in `folder`, or an empty one.
    pub(crate) async fn recover(env: &Env, folder: PathBuf, log: LogStore) -> Result<Self, StartError> {
        let published = Arc::new(Published::new());
        let mut machine = Machine {
            env: env.clone(),
            folder,
            log,
            published,
            state: State::new(),
            last_applied: None,
            membership: StoredMembership::default(),
            unpublished: Vec::new(),
        };
        let (fs, path) = (env.fs(), machine.folder.clone());
        let found = env.thread("snapshot", move || snapshot::load_newest(&*fs, &path)).await?;
        if let Some((file, state)) = found {
            machine.take_state(&file.meta.clone(), state);
            machine.published.set_snapshot(file);
        }
        Ok(machine)
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.clone()
    }

    fn next_index(&self) -> u64 {
        self.last_applied.map_or(0, |id| id.index + 1)
    }

    /// Applies one entry. An entry at or before the applied one was part of a state taken from a peer.
    fn apply_entry(&mut self, entry: Entry) -> io::Result<Vec<Reply>> {
        let id = entry.log_id();
        if id.index < self.next_index() {
            return Ok(Vec::new());
        }
        let (replies, effects, bytes) = match entry.payload {
            EntryKind::Blank => Default::default(),
            EntryKind::Normal(payload) => self.apply_payload(id.index, &payload)?,
            EntryKind::Membership(membership) => {
                self.membership = StoredMembership::new(Some(id), membership);
                Default::default()
            }
        };
        self.last_applied = Some(id);
        self.published.count_log_bytes(bytes);
        if id.index.is_multiple_of(HASH_EVERY_ENTRIES) {
            self.published.add_hash_point(id.index, self.state.hash());
        }
        self.unpublished.push(AppliedEntry {
            index: id.index,
            cluster_time_ms: self.state.meta.cluster_time_ms,
            effects,
            state: self.state.clone(),
        });
        Ok(replies)
    }

    fn apply_payload(&mut self, index: u64, payload: &Payload) -> io::Result<(Vec<Reply>, Vec<Effects>, u64)> {
        let bytes = payload.0.len() as u64;
        let entry = EntryPayload::decode(payload.0.clone()).map_err(|e| unknown(index, &e.to_string()))?;
        // Before the first is applied: an entry takes effect as a whole or not at all.
        if let Some(place) = entry.commands.iter().position(|c| c.kind.is_none()) {
            return Err(unknown(index, &format!("command {place} is of a kind that this version does not know")));
        }
        let (replies, effects) = entry.commands.iter().map(|c| self.state.apply(index, c)).unzip();
        Ok((replies, effects, bytes))
    }

    fn publish(&mut self) {
        let Some(last_applied) = self.last_applied else { return };
        let entries = std::mem::take(&mut self.unpublished);
        self.published.publish(applied_state(last_applied, &self.state), entries);
    }

    /// Puts the state of a snapshot in place of this one. Watchers see its index without effects: what led to it is
    /// not known here.
    fn take_state(&mut self, meta: &SnapshotMeta, state: State) {
        self.state = state;
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.published.reset_log_bytes();
        if let Some(id) = self.last_applied {
            self.unpublished = vec![AppliedEntry {
                index: id.index,
                cluster_time_ms: self.state.meta.cluster_time_ms,
                effects: Vec::new(),
                state: self.state.clone(),
            }];
        }
        self.publish();
    }

    /// Replaces a state that was found to differ by a peer's, and applies what this member has applied since again.
    pub(crate) async fn replace_state(&mut self, meta: SnapshotMeta, state: State) -> io::Result<()> {
        let start = meta.last_log_id.map_or(0, |id| id.index + 1);
        let end = self.next_index();
        // Read as a whole before anything changes: a log that does not go back far enough leaves all as it was.
        let again = match start < end {
            true => self.log.read(start..end, usize::MAX).await?,
            false => Vec::new(),
        };
        if again.first().is_some_and(|e| e.index() != start) || (again.is_empty() && start < end) {
            return Err(io::Error::other(format!(
                "the log no longer holds entry {start}, where the peer's state ends"
            )));
        }
        self.take_state(&meta, state);
        for entry in again {
            self.apply_entry(entry)?;
        }
        self.publish();
        Ok(())
    }

    /// What a snapshot of this moment is made of.
    pub(crate) fn snapshot_parts(&self) -> (SnapshotMeta, State) {
        let meta = SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() };
        (meta, self.state.clone())
    }

    /// Changes the state behind the log's back, as a fault would.
    pub(crate) fn break_state(&mut self) {
        let mut meta = (*self.state.meta).clone();
        meta.next_id += 1;
        self.state.meta = Arc::new(meta);
        self.publish();
    }
}

fn applied_state(id: LogId, state: &State) -> AppliedState {
    AppliedState { index: id.index, term: id.leader_id.term, state: state.clone() }
}

fn unknown(index: u64, why: &str) -> io::Error {
    let text = format!(
        "log entry {index} cannot be applied: {why}. This member stops rather than skip it: install the version of \
         Seawall that the leader runs"
    );
    tracing::error!("{text}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn answer(waiting: &mut Vec<(ApplyResponder<TypeConfig>, Vec<Reply>)>) {
    for (responder, replies) in waiting.drain(..) {
        responder.send(Replies { replies });
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut waiting = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let replies = self.apply_entry(entry)?;
            waiting.extend(responder.map(|r| (r, replies)));
            if self.unpublished.len() >= PUBLISH_ENTRIES {
                // Published first: whoever gets the answer finds it in the state.
                self.publish();
                answer(&mut waiting);
            }
        }
        self.publish();
        answer(&mut waiting);
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let (meta, state) = self.snapshot_parts();
        let log_bytes = self.published.log_bytes();
        Builder {
            env: self.env.clone(),
            log: self.log.clone(),
            folder: self.folder.clone(),
            published: self.published.clone(),
            meta,
            state,
            log_bytes,
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: SnapshotData) -> Result<(), io::Error> {
        let (env, folder) = (self.env.clone(), self.folder.clone());
        let fs = env.fs();
        let wanted = meta.clone();
        let (file, state) = env.thread("snapshot", move || snapshot::keep(&*fs, &folder, &wanted, data)).await?;
        self.take_state(meta, state);
        self.published.set_snapshot(file);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        Ok(self
            .published
            .snapshot()
            .map(|file| Snapshot { meta: file.meta.clone(), snapshot: SnapshotData::File(file) }))
    }
}

/// Writes one snapshot, beside the entries that go on being applied.
pub(crate) struct Builder {
    env: Env,
    log: LogStore,
    folder: PathBuf,
    published: Arc<Published>,
    meta: SnapshotMeta,
    state: State,
    /// Bytes of log that this snapshot covers.
    log_bytes: u64,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let (fs, folder) = (self.env.fs(), self.folder.clone());
        let (meta, state) = (self.meta.clone(), self.state.clone());
        let began = self.env.now();
        let mut pace = Pace::new(&self.env, &self.log);
        let write = move || snapshot::write(&*fs, &folder, meta, &state, || pace.step());
        let file = self.env.thread("snapshot", write).await?;
        self.published.discount_log_bytes(self.log_bytes);
        self.published.set_snapshot(file.clone());
        self.published.count_snapshot(self.env.now() - began);
        tracing::info!(index = self.meta.last_log_id.map(|id| id.index), bytes = file.bytes, "took a snapshot");
        Ok(Snapshot { meta: self.meta.clone(), snapshot: SnapshotData::File(file) })
    }
}
