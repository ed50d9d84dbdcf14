//! Changes of members and of the leader.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openraft::{
    ChangeMembers,
    errors::{InitializeError, RaftError},
};
use seawall_model::MemberId;
use tokio::sync::watch;

use crate::{
    ChangeError, Leadership, Membership, PeerAddress,
    consensus::{CHANGE_MAX, Inner, change_error},
    raft::{Raft, RaftMembership},
};

/// How long the next leader may take.
const TRANSFER_MAX: Duration = Duration::from_secs(3);

impl Membership {
    /// Where a voter or learner is reached.
    pub fn address(&self, id: MemberId) -> Option<PeerAddress> {
        self.voters.get(&id).or_else(|| self.learners.get(&id)).cloned()
    }
}

/// openraft's membership in plain types.
pub(crate) fn membership(membership: &RaftMembership) -> Membership {
    let voting: BTreeSet<u64> = membership.voter_ids().collect();
    let all = membership.nodes().map(|(id, address)| (MemberId(*id), address.clone()));
    let (voters, learners) = all.partition(|(id, _)| voting.contains(&id.0));
    Membership { voters, learners, is_joint: membership.get_joint_config().len() > 1 }
}

pub(crate) async fn initialize(raft: &Raft, members: BTreeMap<MemberId, PeerAddress>) -> Result<(), ChangeError> {
    let members: BTreeMap<u64, PeerAddress> = members.into_iter().map(|(id, address)| (id.0, address)).collect();
    raft.initialize(members).await.map_err(|e| match e {
        RaftError::APIError(InitializeError::NotAllowed(_)) => {
            ChangeError::Refused("this member belongs to a cluster already".into())
        }
        RaftError::APIError(InitializeError::NotInMembers(_)) => {
            ChangeError::Refused("this member is not among those that are to form the cluster".into())
        }
        RaftError::Fatal(_) => ChangeError::Stopped,
    })
}

pub(crate) async fn add_learner(inner: &Inner, id: MemberId, address: PeerAddress) -> Result<(), ChangeError> {
    // Its address may be another than when it was added before.
    let members = ChangeMembers::SetNodes(BTreeMap::from([(id.0, address)]));
    change(inner, members, true, "adding a learner").await
}

pub(crate) async fn change_voters(inner: &Inner, voters: BTreeSet<u64>, retain: bool) -> Result<(), ChangeError> {
    change(inner, ChangeMembers::ReplaceAllVoters(voters), retain, "changing the voters").await
}

pub(crate) async fn remove_member(inner: &Inner, id: MemberId, now: Membership) -> Result<(), ChangeError> {
    let gone = BTreeSet::from([id.0]);
    if now.learners.contains_key(&id) {
        return change(inner, ChangeMembers::RemoveNodes(gone), false, "removing a learner").await;
    }
    if !now.voters.contains_key(&id) {
        return Err(ChangeError::Refused(format!("member {id} is not known")));
    }
    if now.voters.len() == 1 {
        return Err(ChangeError::Refused(format!("member {id} is the only voter")));
    }
    change(inner, ChangeMembers::RemoveVoters(gone), false, "removing a voter").await
}

pub(crate) async fn set_address(
    inner: &Inner,
    id: MemberId,
    address: PeerAddress,
    now: Membership,
) -> Result<(), ChangeError> {
    match now.address(id) {
        None => Err(ChangeError::Refused(format!("member {id} is not known"))),
        Some(same) if same == address => Ok(()),
        Some(_) => {
            let members = ChangeMembers::SetNodes(BTreeMap::from([(id.0, address)]));
            change(inner, members, true, "changing an address").await
        }
    }
}

async fn change(
    inner: &Inner,
    members: ChangeMembers<u64, PeerAddress>,
    retain: bool,
    what: &str,
) -> Result<(), ChangeError> {
    let changed = inner.raft.change_membership(members, retain);
    match inner.env.timeout(CHANGE_MAX, changed).await {
        Ok(result) => result.map(|_| ()).map_err(change_error),
        Err(_) => Err(ChangeError::Deadline(what.into())),
    }
}

pub(crate) async fn transfer_leader(
    inner: &Inner,
    mut leadership: watch::Receiver<Leadership>,
    to: MemberId,
    now: Membership,
) -> Result<(), ChangeError> {
    let before = *leadership.borrow();
    if before.leader == Some(to) {
        return Ok(());
    }
    if before.leader.map(|l| l.0) != Some(*inner.raft.node_id()) {
        return Err(ChangeError::NotLeader { leader: before.leader });
    }
    if !now.voters.contains_key(&to) {
        return Err(ChangeError::Refused(format!("member {to} is not a voter")));
    }
    inner.raft.trigger().transfer_leader(to.0).await.map_err(|_| ChangeError::Stopped)?;
    let taken = leadership.wait_for(|l| l.term > before.term && l.leader.is_some());
    match inner.env.timeout(TRANSFER_MAX, taken).await {
        Err(_) => Err(ChangeError::Deadline(format!("member {to} has not taken over"))),
        Ok(Err(_)) => Err(ChangeError::Stopped),
        Ok(Ok(now)) if now.leader == Some(to) => Ok(()),
        Ok(Ok(now)) => Err(ChangeError::Refused(format!("member {} leads instead", now.leader.unwrap_or_default()))),
    }
}
