//! What the rest of Seawall sees of replication: plain types, none of openraft's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use seawall_model::MemberId;
use seawall_proto::internal::v1::Reply;
use seawall_state::{Effects, State};

/// Where the other members reach one ("s1:7401").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct PeerAddress(pub String);

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a member replicates. The times are flags of the server.
#[derive(Clone, Debug)]
pub struct Config {
    /// This member; never used twice.
    pub member_id: MemberId,
    /// The cluster this log belongs to; empty: not checked.
    pub cluster_id: Vec<u8>,
    /// Rises when the cluster is restored or recovered by force: messages of another epoch are refused.
    pub epoch: u64,
    /// This member has had a log: starting without one would let it vote twice in a term, or forget what it acknowledged.
    pub had_log: bool,
    /// Between two heartbeats of a leader.
    pub heartbeat_ms: u64,
    /// Shortest silence after which a member stands for election.
    pub election_min_ms: u64,
    /// Longest silence after which a member stands for election.
    pub election_max_ms: u64,
    /// A snapshot is taken when the log since the last one is larger than this and than that snapshot.
    pub snapshot_log_bytes: u64,
    /// Holds `log/` and `snapshots/`.
    pub data_dir: PathBuf,
}

impl Config {
    /// The defaults for one member in one folder.
    pub fn new(member_id: MemberId, data_dir: PathBuf) -> Self {
        Config {
            member_id,
            cluster_id: Vec::new(),
            epoch: 0,
            had_log: false,
            heartbeat_ms: 40,
            election_min_ms: 80,
            election_max_ms: 160,
            snapshot_log_bytes: 64 << 20,
            data_dir,
        }
    }
}

/// What a proposal led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposed {
    /// The entry's place in the log.
    pub index: u64,
    /// One for each command, in order.
    pub replies: Vec<Reply>,
}

/// The state as applied here, published after each batch of entries.
#[derive(Clone)]
pub struct AppliedState {
    /// The last entry applied.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The state after it.
    pub state: State,
}

/// One applied entry, for whoever wakes on changes.
#[derive(Clone)]
pub struct AppliedEntry {
    /// Its place in the log.
    pub index: u64,
    /// The cluster's time after it.
    pub cluster_time_ms: i64,
    /// One for each command, in order.
    pub effects: Vec<Effects>,
    /// The state right after it.
    pub state: State,
}

/// Who leads, as known here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Leadership {
    /// The term this member is in.
    pub term: u64,
    /// The leader of that term, where known.
    pub leader: Option<MemberId>,
    /// This member leads, and the first entry of its term is applied: it may plan.
    pub is_leader: bool,
}

/// How far the log goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogIndexes {
    /// The last entry in this member's log.
    pub last: u64,
    /// The last entry that this member knows to be on a majority's disks.
    pub committed: u64,
}

/// What this member's snapshots came to since it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SnapshotCounts {
    /// Snapshots that it took.
    pub taken: u64,
    /// How long the last one took.
    pub last_took: Duration,
    /// Bytes of the newest file, which may be of an earlier run or a peer's.
    pub newest_bytes: u64,
}

/// Who replicates.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Membership {
    /// Those who vote. During a joint change: of both sides.
    pub voters: BTreeMap<MemberId, PeerAddress>,
    /// Those who receive the log without a vote.
    pub learners: BTreeMap<MemberId, PeerAddress>,
    /// A change from one set of voters to another is under way.
    pub is_joint: bool,
}

/// A state hash at an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashPoint {
    /// The entry after which it holds.
    pub index: u64,
    /// [`State::hash`].
    pub hash: u128,
}

/// Why a member cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log is another member's: starting on it would make two members of one vote.
    #[error("the log in {folder} belongs to member {found}, not to {expected}")]
    WrongMember {
        /// Where.
        folder: PathBuf,
        /// Whose it is.
        found: MemberId,
        /// Who asked.
        expected: MemberId,
    },
    /// The log is another cluster's.
    #[error("the log in {0} belongs to another cluster")]
    WrongCluster(PathBuf),
    /// The log is gone, but not the rest of the folder.
    #[error(
        "the log in {0} is gone, and with it what this member promised to others: empty the whole data folder and start it again, so that it joins under a new id"
    )]
    LogGone(PathBuf),
    /// The log or a snapshot is damaged: the member must leave and join again under a new id.
    #[error("damaged: {0}")]
    Corrupt(String),
    /// Files could not be read or written.
    #[error("cannot open the log: {0}")]
    Io(#[from] std::io::Error),
    /// The times contradict each other.
    #[error("invalid configuration: {0}")]
    Config(String),
    /// Raft did not start.
    #[error("raft did not start: {0}")]
    Raft(String),
}

/// Why a proposal was not answered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was proposed: this member does not lead, or not in that term.
    #[error("this member does not lead")]
    NotLeader {
        /// Who does, where known.
        leader: Option<MemberId>,
    },
    /// Leadership was lost while the entry was on its way: it may or may not take effect.
    #[error("leadership was lost before the outcome was known")]
    Lost,
    /// Nothing was proposed: the entry is over its limit.
    #[error("an entry of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// This member has stopped or is stopping; an entry on its way may or may not take effect.
    #[error("this member has stopped")]
    Stopped,
}

/// Why a read barrier was not reached.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// Within the deadline no leader confirmed that it leads, or this member did not catch up.
    #[error("no read barrier within the deadline (leader: {leader:?})")]
    Deadline {
        /// Whom this member waited for.
        leader: Option<MemberId>,
    },
    /// This member has stopped.
    #[error("this member has stopped")]
    Stopped,
}

/// A state of earlier, built anew.
pub struct PastState {
    /// The state right after the entry that was asked for.
    pub state: State,
    /// The snapshot that it was built from; 0: the log alone.
    pub checkpoint_index: u64,
}

/// Why this member cannot say what was.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// A snapshot took the place of what was asked for.
    #[error("this member holds the past from entry {first} on; entry {index} is asked for")]
    Gone {
        /// What is lacking.
        index: u64,
        /// From here on it could be answered.
        first: u64,
    },
    /// It is not applied here.
    #[error("entry {index} is not applied here yet; the last one is {applied}")]
    NotYet {
        /// What was asked for.
        index: u64,
        /// The last that is.
        applied: u64,
    },
    /// The log or the snapshot could not be read.
    #[error("the log or the snapshot cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

/// Why a change of members, leader or state was not made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChangeError {
    /// This member does not lead.
    #[error("this member does not lead")]
    NotLeader {
        /// Who does, where known.
        leader: Option<MemberId>,
    },
    /// The change is not possible as things are; the text says why.
    #[error("{0}")]
    Refused(String),
    /// It was started, but not seen to end in time.
    #[error("not finished in time: {0}")]
    Deadline(String),
    /// This member has stopped.
    #[error("this member has stopped")]
    Stopped,
}

/// Voters of a cluster.
pub type Voters = BTreeSet<MemberId>;
/// How applied entries are handed out.
pub type AppliedReceiver = tokio::sync::broadcast::Receiver<Arc<AppliedEntry>>;
