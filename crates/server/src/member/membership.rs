//! Members that come, go and vote (hard part 7).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use prost::Message;
use seawall_consensus::{ChangeError, PeerAddress};
use seawall_controllers::voters::{self, MemberView};
use seawall_env::net::Lane;
use seawall_model::{ApiError, ErrorCode, MemberId, is_ecs_name, is_zone};
use seawall_proto::internal::v1::{
    Command, DropMember, JoinResponse, MemberRow, Principal, PutMember, command, principal, reply,
};
use tracing::info;

use super::form::{self, INVITE};
use crate::api::Node;

const WRITE: Duration = Duration::from_secs(10);
/// A learner that is behind by more would hold up every write as a voter.
const CAUGHT_UP_ENTRIES: u64 = 1024;
const INVITE_CALL: Duration = Duration::from_secs(5);

/// Takes a member in as a learner; the voters controller gives it a vote. A dead member of the same name makes room, or the
/// one that it is to replace.
pub(crate) async fn admit(node: &Arc<Node>, row: MemberRow, replacing: Option<MemberId>) -> Result<MemberId, String> {
    if !is_ecs_name(&row.name) || !is_zone(&row.zone) {
        return Err(format!("name {:?} or zone {:?} is not valid", row.name, row.zone));
    }
    let state = node.consensus.state();
    let namesake = state.state.members.iter().find(|(_, m)| m.name == row.name).map(|(_, m)| m.clone());
    if let Some(old) = &namesake
        && form::probe(&node.env, &old.peer_address).await.is_ok_and(|p| p.me.is_some_and(|me| me.member_id == old.id))
    {
        return Err(format!(
            "a member called {} answers at {}; give this one another --name, or stop that one first",
            row.name, old.peer_address
        ));
    }
    let address = PeerAddress(row.peer_address.clone());
    let id = put_member(node, MemberRow { id: 0, ..row.clone() }).await?;
    node.consensus.add_learner(id, address).await.map_err(|e| e.to_string())?;
    info!(name = %row.name, zone = %row.zone, %id, "admitted a member");
    for old in namesake.map(|old| MemberId(old.id)).into_iter().chain(replacing) {
        replace(node, old, id).await?;
    }
    Ok(id)
}

/// Swaps a dead voter for a new member in one change, and forgets the dead one.
async fn replace(node: &Arc<Node>, old: MemberId, new: MemberId) -> Result<(), String> {
    let mut voters: BTreeSet<MemberId> = node.consensus.membership().voters.into_keys().collect();
    if voters.remove(&old) {
        voters.insert(new);
        node.consensus.change_voters(voters, false).await.map_err(|e| e.to_string())?;
    }
    forget(node, old).await.map_err(|e| e.message)
}

async fn forget(node: &Arc<Node>, id: MemberId) -> Result<(), ApiError> {
    if node.consensus.membership().learners.contains_key(&id) {
        node.consensus.remove_member(id).await.map_err(refused)?;
    }
    submit(node, command::Kind::DropMember(DropMember { member_id: id.0 })).await?;
    node.liveness.forget(id);
    info!(%id, "a member left");
    Ok(())
}

/// Writes a member's row; `id` 0 draws a new one from the log.
pub(super) async fn put_member(node: &Arc<Node>, row: MemberRow) -> Result<MemberId, String> {
    let put = command::Kind::PutMember(PutMember { member: Some(row) });
    submit(node, put).await.map(MemberId).map_err(|e| e.message)
}

/// The id in the reply.
async fn submit(node: &Arc<Node>, kind: command::Kind) -> Result<u64, ApiError> {
    let name = node.identity.name.clone();
    let command = Command {
        principal: Some(Principal { kind: principal::Kind::Member.into(), name, account: 0 }),
        kind: Some(kind),
        ..Default::default()
    };
    let (_, reply) = node.submit(command, node.env.now() + WRITE).await?;
    match reply.kind {
        Some(reply::Kind::Done(done)) => Ok(done.id),
        Some(reply::Kind::Refusal(refusal)) => Err(ApiError::new(ErrorCode::from_name(&refusal.code), refusal.message)),
        other => Err(ApiError::new(ErrorCode::Server, format!("unexpected reply: {other:?}"))),
    }
}

/// Promotes and removes voters so that 1, 3 or 5 live members vote and no zone of three holds a majority.
pub(crate) async fn balance_voters(node: &Arc<Node>) -> Result<(), String> {
    let members = node.consensus.membership();
    if members.is_joint {
        return Ok(());
    }
    let state = node.consensus.state();
    let views = node.liveness.views(node);
    let all = members.voters.keys().map(|id| (id, true)).chain(members.learners.keys().map(|id| (id, false)));
    let all: Vec<MemberView> = all
        .map(|(id, voter)| {
            let row = state.state.members.get(&id.0);
            let view = views.get(id);
            MemberView {
                id: *id,
                zone: row.map(|r| r.zone.clone()).unwrap_or_default(),
                voter,
                live: view.is_some_and(|v| v.alive),
                caught_up: voter || view.is_some_and(|v| v.applied_index + CAUGHT_UP_ENTRIES >= state.index),
            }
        })
        .collect();
    let Some(plan) = voters::plan(&all) else { return Ok(()) };
    info!(plan = %plan.text, "changing the voters");
    node.consensus.change_voters(plan.voters, true).await.map_err(|e| e.to_string())
}

/// Invites a server that waits on an empty folder.
pub(crate) async fn add(node: &Arc<Node>, peer_address: &str, replacing: Option<&str>) -> Result<MemberId, ApiError> {
    let answer = form::probe(&node.env, peer_address)
        .await
        .map_err(|e| ApiError::invalid(format!("no server answers at {peer_address}: {e}")))?;
    if !answer.empty {
        return Err(ApiError::invalid(format!("the server at {peer_address} belongs to a cluster already")));
    }
    let me = answer.me.unwrap_or_default();
    let replacing = replacing.map(|name| member_named(node, name)).transpose()?;
    let row = MemberRow { name: me.name, zone: me.zone, peer_address: peer_address.into(), ..Default::default() };
    let id = admit(node, row, replacing).await.map_err(ApiError::client)?;
    let invitation = JoinResponse {
        cluster_id: node.identity.cluster_bytes().into(),
        member_id: id.0,
        epoch: node.identity.epoch,
        ..Default::default()
    };
    let body = invitation.encode_to_vec().into();
    node.env.net().call(peer_address, Lane::Main, INVITE, body, INVITE_CALL).await.map_err(|e| {
        ApiError::new(
            ErrorCode::Server,
            format!("the server at {peer_address} was admitted but did not take the invitation: {e}"),
        )
    })?;
    Ok(id)
}

/// Removes a member. Without `force` only where enough voters stay.
pub(crate) async fn remove_named(node: &Arc<Node>, name: &str, force: bool) -> Result<(), ApiError> {
    let id = member_named(node, name)?;
    let members = node.consensus.membership();
    if members.voters.contains_key(&id) {
        let views = node.liveness.views(node);
        let spare = members.learners.keys().find(|l| views.get(l).is_some_and(|v| v.alive));
        let mut voters: BTreeSet<MemberId> = members.voters.keys().copied().collect();
        voters.remove(&id);
        match spare {
            Some(spare) => drop(voters.insert(*spare)),
            None if !force => {
                return Err(ApiError::client(format!(
                    "{name} votes and there is no spare to take its vote: add a member first (seawall member add), or replace it (seawall member replace)"
                )));
            }
            None => {}
        }
        if voters.is_empty() {
            return Err(ApiError::client(format!("{name} is the only member")));
        }
        node.consensus.change_voters(voters, false).await.map_err(refused)?;
    }
    forget(node, id).await
}

/// Hands leadership over.
pub(crate) async fn transfer(node: &Arc<Node>, to: Option<&str>) -> Result<(), ApiError> {
    let to = match to {
        Some(name) => member_named(node, name)?,
        None => best_successor(node, false).ok_or_else(|| ApiError::client("no other voter is alive"))?,
    };
    node.consensus.transfer_leader(to).await.map_err(refused)
}

/// The live voter, other than this member, that has the most of the log. One with a full disk only where none is left, and
/// not at all where `with_room` is asked for.
pub(crate) fn best_successor(node: &Node, with_room: bool) -> Option<MemberId> {
    let progress = node.consensus.peers_progress();
    let views = node.liveness.views(node);
    let has_room = |id: &MemberId| views.get(id).is_none_or(|view| !view.low_on_disk);
    let voters = node.consensus.membership().voters;
    voters
        .into_keys()
        .filter(|id| *id != node.identity.id() && node.peerage.answers(node, *id))
        .filter(|id| !with_room || has_room(id))
        .max_by_key(|id| (has_room(id), progress.get(id).copied().unwrap_or(0)))
}

pub(crate) fn member_named(node: &Node, name: &str) -> Result<MemberId, ApiError> {
    let state = node.consensus.state();
    let found = state.state.members.iter().find(|(_, row)| row.name == name);
    found.map(|(id, _)| MemberId(*id)).ok_or_else(|| {
        let names: Vec<&str> = state.state.members.iter().map(|(_, row)| row.name.as_str()).collect();
        ApiError::new(
            ErrorCode::ResourceNotFound,
            format!("no member is called {name} (members: {})", names.join(", ")),
        )
    })
}

fn refused(error: ChangeError) -> ApiError {
    match error {
        ChangeError::NotLeader { .. } => ApiError::new(ErrorCode::NoLeader, error.to_string()),
        ChangeError::Refused(why) => ApiError::client(why),
        other => ApiError::new(ErrorCode::Server, other.to_string()),
    }
}
