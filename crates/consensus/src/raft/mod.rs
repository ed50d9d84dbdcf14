//! openraft, with our types: what every other module of this crate calls Raft by.

mod config;
mod runtime;

use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_std;
use seawall_proto::internal::v1::Reply;

pub(crate) use config::raft_config;
pub(crate) use runtime::EnvRuntime;

use crate::PeerAddress;

/// An encoded `EntryPayload`: encoded once by the proposer, and stored, sent and applied as such.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Payload(pub Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What the commands of an entry answered. It stays in the process; openraft asks for serde all the same.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Replies {
    #[serde(skip)]
    pub replies: Vec<Reply>,
}

openraft::declare_raft_types!(
    /// One leader in a term (openraft's default allows several), ids as numbers, addresses as nodes.
    pub(crate) TypeConfig:
        D = Payload,
        R = Replies,
        Node = PeerAddress,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = EnvRuntime,
);

pub(crate) type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type EntryKind = openraft::alias::EntryPayloadOf<TypeConfig>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type RaftMembership = openraft::Membership<u64, PeerAddress>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Snapshot = openraft::alias::SnapshotOf<TypeConfig, crate::machine::SnapshotData>;
pub(crate) type Raft = openraft::Raft<TypeConfig, crate::machine::Machine>;
