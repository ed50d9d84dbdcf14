//! The handle on one member's replication.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use openraft::{
    async_runtime::watch::WatchReceiver as _,
    errors::{ClientWriteError, RaftError},
    impls::ProgressResponder,
    vote::leader_id_std::CommittedLeaderId,
};
use prost::Message;
use seawall_env::{Elapsed, Env, Instant, TaskKind, net::Handler};
use seawall_model::{MemberId, limits::ENTRY_BYTES_MAX};
use seawall_proto::internal::v1::{Command, EntryPayload};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    AppliedReceiver, AppliedState, ChangeError, Config, HashPoint, Leadership, LogIndexes, Membership, PastError,
    PastState, PeerAddress, ProposeError, Proposed, ReadError, SnapshotCounts, StartError, StoreKind, Voters, changes,
    handler::RaftHandler,
    machine::{Machine, Published},
    network::{Cluster, Links},
    past,
    raft::{Payload, Raft, TypeConfig, raft_config},
    reads::{READS_WAITING_MAX, Reads, Waiting},
    reload,
    store::{Disk, Identity, LogStore, SledDisk},
    watchers,
};

/// A proposal's answer, as openraft gives it.
type Written = openraft::raft::ClientWriteResult<TypeConfig>;

pub(crate) struct Inner {
    pub(crate) env: Env,
    pub(crate) raft: Raft,
    pub(crate) cluster: Cluster,
    pub(crate) published: Arc<Published>,
    pub(crate) log: LogStore,
    handler: Arc<dyn Handler>,
    leadership: watch::Receiver<Leadership>,
    stopped: watch::Receiver<Option<String>>,
    snapshots_allowed: Arc<AtomicBool>,
    reads: mpsc::Sender<Waiting>,
}

/// One member's part in the cluster. Clones share it.
#[derive(Clone)]
pub struct Consensus {
    inner: Arc<Inner>,
}

impl Consensus {
    /// Recovers log, vote and snapshot, applies the committed log and takes part.
    ///
    /// # Errors
    /// [`StartError`]: the member does not take part.
    pub async fn start(env: Env, config: Config, store: StoreKind) -> Result<Consensus, StartError> {
        let scope = env.clone();
        scope.scope(Self::start_in_scope(env, config, store)).await
    }

    async fn start_in_scope(env: Env, config: Config, store: StoreKind) -> Result<Consensus, StartError> {
        let settings = raft_config(&config)?;
        let id = config.member_id.0;
        let disk = open_disk(&env, &config.data_dir, store).await?;
        let identity = Identity { member_id: id, cluster_id: config.cluster_id.clone(), had_log: config.had_log };
        let log = LogStore::open(&env, disk, &identity)?;
        let started = Self::start_raft(&env, &config, settings, &log).await;
        if started.is_err() {
            // The folder is free again for whoever repairs it.
            log.close().await;
        }
        let (raft, published) = started?;
        let leadership = watchers::watch_leadership(&env, &raft);
        let stopped = watchers::watch_stop(&env, &raft);
        let snapshots_allowed = Arc::new(AtomicBool::new(true));
        let limit = config.snapshot_log_bytes;
        watchers::start_compactor(&env, &raft, published.clone(), limit, snapshots_allowed.clone());
        let (reads, waiting) = mpsc::channel(READS_WAITING_MAX);
        let cluster = Cluster::of(&config);
        let rounds = Reads { env: env.clone(), raft: raft.clone(), cluster, leadership: leadership.clone(), waiting };
        env.spawn(TaskKind::vital("read barriers"), rounds.run());
        let folder = snapshots_folder(&config.data_dir);
        let handler = Arc::new(RaftHandler::new(&env, raft.clone(), folder, Cluster::of(&config).member(id)));
        let cluster = Cluster::of(&config);
        let inner =
            Inner { env, raft, cluster, published, log, handler, leadership, stopped, snapshots_allowed, reads };
        Ok(Consensus { inner: Arc::new(inner) })
    }

    async fn start_raft(
        env: &Env,
        config: &Config,
        settings: openraft::Config,
        log: &LogStore,
    ) -> Result<(Raft, Arc<Published>), StartError> {
        let id = config.member_id.0;
        let machine = Machine::recover(env, snapshots_folder(&config.data_dir), log.clone()).await?;
        let published = machine.published();
        let raft =
            Raft::new(id, Arc::new(settings), Links::new(env, id, Cluster::of(config)), log.clone(), machine).await;
        Ok((raft.map_err(|e| StartError::Raft(e.to_string()))?, published))
    }

    /// Answers the other members ("/seawall.internal.v1.Raft/…").
    pub fn handler(&self) -> Arc<dyn Handler> {
        self.inner.handler.clone()
    }

    /// Forms a cluster of these members. Called once, on one member.
    ///
    /// # Errors
    /// Refused where this member belongs to a cluster already.
    pub async fn initialize(&self, members: BTreeMap<MemberId, PeerAddress>) -> Result<(), ChangeError> {
        self.inner.env.scope(changes::initialize(&self.inner.raft, members)).await
    }

    /// Whether this member has a log or a vote.
    pub async fn is_initialized(&self) -> bool {
        // A stopped member is past forming a cluster.
        self.inner.env.scope(self.inner.raft.is_initialized()).await.unwrap_or(true)
    }

    /// Proposes commands as one log entry; resolves when it is committed and applied here. Many may be on their way at
    /// once: entries take the order in which the futures are first polled.
    ///
    /// # Errors
    /// At once where this member does not lead, or not in `term`.
    pub async fn propose(&self, commands: Vec<Command>, term: Option<u64>) -> Result<Proposed, ProposeError> {
        let entry = EntryPayload { commands };
        let bytes = entry.encoded_len();
        if bytes > ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes, limit: ENTRY_BYTES_MAX });
        }
        let payload = Payload(entry.encode_to_vec().into());
        self.inner.env.scope(self.write(payload, term)).await
    }

    async fn write(&self, payload: Payload, term: Option<u64>) -> Result<Proposed, ProposeError> {
        let (responder, written) = ProgressResponder::<TypeConfig, Written>::complete_only();
        let mut request = self.inner.raft.write(payload).responder(responder);
        if let Some(term) = term {
            request = request.with_leader(CommittedLeaderId::new(term));
        }
        request.await.map_err(|_| ProposeError::Stopped)?;
        match written.await {
            Ok(Ok(done)) => Ok(Proposed { index: done.log_id.index, replies: done.data.replies }),
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ProposeError::NotLeader { leader: forward.leader_id.map(MemberId) })
            }
            // Dropped with Raft itself, or given up on a change of leaders.
            Ok(Err(_)) | Err(_) => Err(self.lost()),
        }
    }

    fn lost(&self) -> ProposeError {
        match self.inner.stopped.borrow().is_some() {
            true => ProposeError::Stopped,
            false => ProposeError::Lost,
        }
    }

    /// A linearizable read on any member: an index that is applied here and not older than this call.
    ///
    /// # Errors
    /// Past `deadline`, or stopped.
    pub async fn read_barrier(&self, deadline: Instant) -> Result<u64, ReadError> {
        let (answer, index) = oneshot::channel();
        let left = deadline - self.inner.env.now();
        let asked = async {
            let sent = self.inner.reads.send(Waiting { deadline, answer }).await;
            sent.map_err(|_| ReadError::Stopped)?;
            index.await.map_err(|_| ReadError::Stopped)?
        };
        let late = || ReadError::Deadline { leader: self.leadership().leader };
        let index = tokio::select! {
            biased;
            index = self.inner.env.timeout(left, asked) => index.map_err(|_| late())??,
            () = self.wait_stopped() => return Err(ReadError::Stopped),
        };
        self.wait_applied(index, deadline).await.map_err(|_| late())?;
        Ok(index)
    }

    /// The state as applied here: one pointer load.
    pub fn state(&self) -> Arc<AppliedState> {
        self.inner.published.state()
    }

    /// Entries as they are applied from now on, blank and membership entries included: an index that does not follow
    /// the one before means that a snapshot was installed in between. Bounded: a slow reader is told how many it missed.
    pub fn applied(&self) -> AppliedReceiver {
        self.inner.published.entries()
    }

    /// Waits until `index` is applied here.
    ///
    /// # Errors
    /// Past `deadline`.
    pub async fn wait_applied(&self, index: u64, deadline: Instant) -> Result<(), Elapsed> {
        let mut applied = self.inner.published.index();
        let left = deadline - self.inner.env.now();
        match self.inner.env.timeout(left, applied.wait_for(|now| *now >= index)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(Elapsed) => Err(Elapsed),
        }
    }

    /// Who leads. A copy: whoever held the channel's lock while waiting for another one would stop every reader once there
    /// is another leader to write.
    pub fn leadership(&self) -> Leadership {
        *self.inner.leadership.borrow()
    }

    /// Tells when another leads.
    pub fn watch_leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    /// Resolves with the reason once this member takes part no longer: shut down, or halted on damage or on a command
    /// that it does not know.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.inner.stopped.clone();
        match stopped.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "shut down".into(),
        }
    }

    async fn wait_stopped(&self) {
        self.stopped().await;
    }

    /// Adds a member without a vote. It need not run yet: it catches up once it does.
    ///
    /// # Errors
    /// Not the leader, or another change is under way.
    pub async fn add_learner(&self, id: MemberId, address: PeerAddress) -> Result<(), ChangeError> {
        self.inner.env.scope(changes::add_learner(&self.inner, id, address)).await
    }

    /// Makes `voters` the voters in one joint change. Voters left out become learners or leave.
    ///
    /// # Errors
    /// Not the leader, one of them is not a member, or another change is under way.
    pub async fn change_voters(&self, voters: Voters, retain_learners: bool) -> Result<(), ChangeError> {
        let ids: BTreeSet<u64> = voters.iter().map(|id| id.0).collect();
        self.inner.env.scope(changes::change_voters(&self.inner, ids, retain_learners)).await
    }

    /// Takes a member out, whether it votes or not.
    ///
    /// # Errors
    /// Not the leader, or it is the last voter.
    pub async fn remove_member(&self, id: MemberId) -> Result<(), ChangeError> {
        self.inner.env.scope(changes::remove_member(&self.inner, id, self.membership())).await
    }

    /// Records that a member is reached elsewhere.
    ///
    /// # Errors
    /// Not the leader, or no such member.
    pub async fn set_address(&self, id: MemberId, address: PeerAddress) -> Result<(), ChangeError> {
        self.inner.env.scope(changes::set_address(&self.inner, id, address, self.membership())).await
    }

    /// Hands leadership to a voter that is caught up, and waits until it leads.
    ///
    /// # Errors
    /// Not the leader, not a voter, or it did not take over in time.
    pub async fn transfer_leader(&self, to: MemberId) -> Result<(), ChangeError> {
        let membership = self.membership();
        self.inner.env.scope(changes::transfer_leader(&self.inner, self.watch_leadership(), to, membership)).await
    }

    /// Who replicates, by the last membership entry in this member's log.
    pub fn membership(&self) -> Membership {
        changes::membership(self.inner.raft.metrics().borrow_watched().membership_config.membership())
    }

    /// The last log index known to be on each member's disk; empty unless this member leads.
    pub fn peers_progress(&self) -> BTreeMap<MemberId, u64> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let matched = metrics.replication.iter().flatten();
        matched.map(|(id, matched)| (MemberId(*id), matched.as_ref().map_or(0, |m| m.index))).collect()
    }

    /// How far the log goes here, and how far a majority's.
    pub fn log_indexes(&self) -> LogIndexes {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        LogIndexes {
            last: metrics.last_log_index.unwrap_or_default(),
            committed: metrics.cluster_committed.map_or(0, |id| id.index),
        }
    }

    /// Bytes of log since the last snapshot.
    pub fn log_bytes(&self) -> u64 {
        self.inner.published.log_bytes()
    }

    /// The index of the newest snapshot here, if there is one.
    pub fn snapshot_index(&self) -> Option<u64> {
        self.inner.published.snapshot()?.meta.last_log_id.map(|id| id.index)
    }

    /// The snapshots of this member.
    pub fn snapshots(&self) -> SnapshotCounts {
        self.inner.published.snapshots()
    }

    /// The newest state hashes, oldest first: at multiples of 1,024 entries, and now.
    pub fn hash_points(&self) -> Vec<HashPoint> {
        self.inner.published.hash_points()
    }

    /// The state as it was right after the entry at `index`: a copy, built from the newest snapshot and the log.
    ///
    /// # Errors
    /// This member does not hold that any more, or not yet.
    pub async fn state_at(&self, index: u64) -> Result<PastState, PastError> {
        self.inner.env.scope(past::state_at(&self.inner, index)).await
    }

    /// The commands of the log's entries in `range`, each with its index.
    ///
    /// # Errors
    /// This member does not hold all of them any more.
    pub async fn commands(&self, range: Range<u64>) -> Result<Vec<(u64, Vec<Command>)>, PastError> {
        self.inner.env.scope(past::commands(&self.inner, range)).await
    }

    /// Whether snapshots are taken as the log grows: not while the disk has no room for them.
    pub fn allow_snapshots(&self, allowed: bool) {
        self.inner.snapshots_allowed.store(allowed, Ordering::Relaxed);
    }

    /// Takes a snapshot soon, whatever the size of the log.
    pub async fn trigger_snapshot(&self) {
        // A stopped member takes none; `stopped` tells.
        let _ = self.inner.env.scope(self.inner.raft.trigger().snapshot()).await;
    }

    /// Replaces this member's state by a peer's, after it was found to differ; log and vote stay. Readers of
    /// [`Consensus::applied`] see the index of that state again, without effects.
    ///
    /// # Errors
    /// The peer cannot be reached, this member leads, or the peer's state is older than this member's log goes back.
    pub async fn install_state_from(&self, peer: MemberId) -> Result<(), ChangeError> {
        let address = self.membership().address(peer);
        let address = address.ok_or_else(|| ChangeError::Refused(format!("member {peer} is not known")))?;
        if self.leadership().leader == Some(MemberId(*self.inner.raft.node_id())) {
            return Err(ChangeError::Refused("this member leads: hand leadership over first".into()));
        }
        self.inner.env.scope(reload::install_state_from(&self.inner, peer, &address)).await?;
        // The snapshot on disk may hold what was wrong.
        self.trigger_snapshot().await;
        Ok(())
    }

    /// Changes this member's state behind the log's back, as a fault in memory would. For simulations.
    ///
    /// # Panics
    /// On a real machine.
    pub async fn break_state(&self) {
        assert!(self.inner.env.is_simulated(), "only a simulation breaks a state");
        let broken = self.inner.raft.with_state_machine(|machine| {
            machine.break_state();
            Box::pin(async {})
        });
        // A stopped member has no state to break.
        let _ = self.inner.env.scope(broken).await;
    }

    /// Stops taking part and closes the log.
    pub async fn shutdown(&self) {
        self.inner.env.scope(self.shutdown_in_scope()).await;
    }

    async fn shutdown_in_scope(&self) {
        if let Err(e) = self.inner.raft.shutdown().await {
            tracing::warn!("raft ended badly: {e}");
        }
        self.inner.log.close().await;
    }
}

/// How long a change of members may take before the caller is told that it was not seen to end.
pub(crate) const CHANGE_MAX: Duration = Duration::from_secs(30);

/// What openraft says to a change.
pub(crate) fn change_error(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> ChangeError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            ChangeError::NotLeader { leader: forward.leader_id.map(MemberId) }
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => {
            ChangeError::Deadline("leadership was lost before the outcome was known".into())
        }
        RaftError::APIError(other) => ChangeError::Refused(other.to_string()),
        RaftError::Fatal(_) => ChangeError::Stopped,
    }
}

fn snapshots_folder(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("snapshots")
}

async fn open_disk(env: &Env, data_dir: &Path, store: StoreKind) -> Result<Arc<dyn Disk>, StartError> {
    match store {
        StoreKind::Memory(memory) => Ok(memory.disk(env.fs(), data_dir.join("log"))),
        StoreKind::Sled => {
            let (on, folder) = (env.clone(), data_dir.join("log"));
            let disk = env.thread("log", move || SledDisk::open(&on, &folder)).await?;
            Ok(Arc::new(disk))
        }
    }
}
