//! Replication: the one crate that knows openraft and sled.
//!
//! [`Consensus`] takes commands, has a majority of members write them to disk in one order, and applies them to
//! [`seawall_state::State`]. Everything of openraft's and sled's stays behind it.

mod api;
mod changes;
mod codec;
mod consensus;
mod handler;
mod machine;
mod network;
mod past;
mod raft;
mod reads;
mod reload;
mod store;
mod watchers;

pub use api::{
    AppliedEntry, AppliedReceiver, AppliedState, ChangeError, Config, HashPoint, Leadership, LogIndexes, Membership,
    PastError, PastState, PeerAddress, ProposeError, Proposed, ReadError, SnapshotCounts, StartError, Voters,
};
pub use consensus::Consensus;
pub use store::{MemoryStore, StoreKind};
