//! Raft's types as messages and back. Only what the wire and the disk need; the payload is passed on as it is.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{EntryPayload, entry::RaftEntry as _, vote::leader_id_std::CommittedLeaderId};
use seawall_proto::internal::v1 as proto;

use crate::{
    PeerAddress,
    raft::{Entry, LogId, Payload, RaftMembership, SnapshotMeta, StoredMembership, Vote},
};

/// A message lacks a member that every version has sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is missing or invalid")]
pub(crate) struct Malformed(pub &'static str);

impl From<Malformed> for std::io::Error {
    fn from(e: Malformed) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidData, e)
    }
}

pub(crate) fn log_id(id: proto::RaftLogId) -> LogId {
    LogId::new(CommittedLeaderId::new(id.term), id.index)
}

pub(crate) fn log_id_message(id: &LogId) -> proto::RaftLogId {
    proto::RaftLogId { term: id.leader_id.term, index: id.index }
}

pub(crate) fn vote(vote: proto::RaftVote) -> Vote {
    match vote.committed {
        true => Vote::new_committed(vote.term, vote.member_id),
        false => Vote::new(vote.term, vote.member_id),
    }
}

pub(crate) fn vote_message(vote: &Vote) -> proto::RaftVote {
    proto::RaftVote { term: vote.leader_id.term, member_id: vote.leader_id.voted_for, committed: vote.committed }
}

/// The vote that every message of a leader or candidate carries.
pub(crate) fn required_vote(message: Option<proto::RaftVote>) -> Result<Vote, Malformed> {
    message.map(vote).ok_or(Malformed("vote"))
}

pub(crate) fn membership(message: proto::RaftMembership) -> Result<RaftMembership, Malformed> {
    let configs: Vec<BTreeSet<u64>> = message.configs.into_iter().map(|c| c.voters.into_iter().collect()).collect();
    let nodes: BTreeMap<u64, PeerAddress> =
        message.nodes.into_iter().map(|n| (n.member_id, PeerAddress(n.address))).collect();
    RaftMembership::new(configs, nodes).map_err(|_| Malformed("membership"))
}

pub(crate) fn membership_message(membership: &RaftMembership) -> proto::RaftMembership {
    let config = |voters: &BTreeSet<u64>| proto::raft_membership::Config { voters: voters.iter().copied().collect() };
    let node = |(id, address): (&u64, &PeerAddress)| proto::raft_membership::Node {
        member_id: *id,
        address: address.0.clone(),
    };
    proto::RaftMembership {
        configs: membership.get_joint_config().iter().map(config).collect(),
        nodes: membership.nodes().map(node).collect(),
    }
}

pub(crate) fn entry(message: proto::RaftEntry) -> Result<Entry, Malformed> {
    use proto::raft_entry::Kind;
    let payload = match message.kind {
        None => EntryPayload::Blank,
        Some(Kind::Payload(bytes)) => EntryPayload::Normal(Payload(bytes)),
        Some(Kind::Membership(m)) => EntryPayload::Membership(membership(m)?),
    };
    Ok(Entry::new(log_id(message.id.ok_or(Malformed("entry id"))?), payload))
}

pub(crate) fn entry_message(entry: &Entry) -> proto::RaftEntry {
    use proto::raft_entry::Kind;
    let kind = match &entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(payload) => Some(Kind::Payload(payload.0.clone())),
        EntryPayload::Membership(m) => Some(Kind::Membership(membership_message(m))),
    };
    proto::RaftEntry { id: Some(log_id_message(&entry.log_id)), kind }
}

pub(crate) fn snapshot_meta(message: proto::RaftSnapshotMeta) -> Result<SnapshotMeta, Malformed> {
    let membership = match message.membership {
        Some(m) if !m.configs.is_empty() => membership(m)?,
        _ => RaftMembership::default(),
    };
    Ok(SnapshotMeta {
        last_log_id: message.last_log_id.map(log_id),
        last_membership: StoredMembership::new(message.membership_log_id.map(log_id), membership),
    })
}

pub(crate) fn snapshot_meta_message(meta: &SnapshotMeta) -> proto::RaftSnapshotMeta {
    proto::RaftSnapshotMeta {
        last_log_id: meta.last_log_id.as_ref().map(log_id_message),
        membership_log_id: meta.last_membership.log_id().as_ref().map(log_id_message),
        membership: Some(membership_message(meta.last_membership.membership())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn entries_survive_the_wire() {
        let id = |index| LogId::new(CommittedLeaderId::new(3), index);
        let address = |id: u64| (id, PeerAddress(format!("s{id}:7401")));
        let joint = RaftMembership::new(vec![[1, 2].into(), [2, 3].into()], BTreeMap::from([1, 2, 3, 4].map(address)));
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Payload(Bytes::from_static(b"command"))),
            EntryPayload::Membership(joint.unwrap()),
        ] {
            let before = Entry::new(id(7), payload);
            assert_eq!(entry(entry_message(&before)), Ok(before));
        }
        assert_eq!(entry(proto::RaftEntry::default()), Err(Malformed("entry id")));
    }

    #[test]
    fn votes_keep_whether_they_were_granted() {
        for before in [Vote::new(4, 2), Vote::new_committed(4, 2)] {
            assert_eq!(vote(vote_message(&before)), before);
        }
    }
}
