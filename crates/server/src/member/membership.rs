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
use seawall_state::State;
use tracing::info;

use super::{
    Room,
    form::{self, INVITE},
};
use crate::api::Node;

const WRITE: Duration = Duration::from_secs(10);
/// A learner that is behind by more would hold up every write as a voter.
const CAUGHT_UP_ENTRIES: u64 = 1024;
/// How long an operator waits for a new member to catch up.
const CATCH_UP: Duration = Duration::from_secs(20);
const CATCH_UP_LOOK: Duration = Duration::from_millis(100);
/// A voter that is silent for this long gives way to a spare: longer than a restart takes.
const DEAD: Duration = Duration::from_secs(10);
const INVITE_CALL: Duration = Duration::from_secs(5);

/// Why a server did not become a member.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAdmitted {
    /// It never will, as it is.
    #[error("{0}")]
    Refused(String),
    /// It may later.
    #[error("{0}")]
    NotYet(String),
}

/// Takes a member in as a learner; it gets a vote once it has caught up. A dead member of the same name makes room then.
pub(crate) async fn admit(node: &Arc<Node>, row: MemberRow) -> Result<MemberId, NotAdmitted> {
    if !is_ecs_name(&row.name) || !is_zone(&row.zone) {
        return Err(NotAdmitted::Refused(format!("name {:?} or zone {:?} is not valid", row.name, row.zone)));
    }
    let state = node.consensus.state();
    let namesakes = state.state.members.iter().filter(|(_, m)| m.name == row.name).map(|(_, m)| m);
    for old in namesakes {
        if form::probe(&node.env, &old.peer_address).await.is_ok_and(|p| p.me.is_some_and(|me| me.member_id == old.id))
        {
            return Err(NotAdmitted::Refused(format!(
                "a member called {} answers at {}; give this one another --name, or stop that one first",
                row.name, old.peer_address
            )));
        }
    }
    let address = PeerAddress(row.peer_address.clone());
    let id = put_member(node, MemberRow { id: 0, ..row.clone() }).await.map_err(NotAdmitted::NotYet)?;
    if let Err(error) = node.consensus.add_learner(id, address).await {
        // Its row would be taken for a member that is silent.
        submit(node, command::Kind::DropMember(DropMember { member_id: id.0 }))
            .await
            .map_err(|e| NotAdmitted::NotYet(e.message))?;
        return Err(NotAdmitted::NotYet(error.to_string()));
    }
    info!(name = %row.name, zone = %row.zone, %id, "admitted a member");
    Ok(id)
}

/// Whether a newer member has this one's name: this one was lost, and will not come back under its id.
fn is_replaced(state: &State, id: MemberId) -> bool {
    let Some(own) = state.members.get(&id.0).map(|row| row.name.clone()) else { return false };
    state.members.iter().any(|(other, row)| *other > id.0 && row.name == own)
}

/// Forgets members that were replaced and no longer vote.
async fn forget_replaced(node: &Arc<Node>) -> Result<(), String> {
    let state = node.consensus.state();
    let voters = node.consensus.membership().voters;
    let ids = state.state.members.iter().map(|(id, _)| MemberId(*id));
    for id in ids.filter(|id| !voters.contains_key(id) && is_replaced(&state.state, *id)) {
        forget(node, id).await.map_err(|e| e.message)?;
    }
    Ok(())
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
        other => Err(ApiError::new(ErrorCode::Server, format!("unexpected reply: {other:?}"))),
    }
}

/// What a leader does about members, now and then.
pub(crate) async fn tend(node: &Arc<Node>) -> Result<(), String> {
    make_room(node).await?;
    correct_addresses(node).await?;
    balance_voters(node).await?;
    forget_replaced(node).await
}

/// A leader whose disk is nearly full hands over to a member that has room.
async fn make_room(node: &Arc<Node>) -> Result<(), String> {
    if node.condition.room() == Room::Enough {
        return Ok(());
    }
    let views = node.liveness.views(node);
    let has_room = |id: &MemberId| views.get(id).is_some_and(|view| view.alive && !view.disk_low);
    let Some(to) = best_successor(node).filter(has_room) else { return Ok(()) };
    info!(%to, "the disk is nearly full: handing leadership over");
    node.consensus.transfer_leader(to).await.map_err(|e| e.to_string())
}

/// Members announce their addresses in state; Raft dials those of the membership.
async fn correct_addresses(node: &Arc<Node>) -> Result<(), String> {
    let members = node.consensus.membership();
    let state = node.consensus.state();
    for (id, dialled) in members.voters.iter().chain(&members.learners) {
        let announced = state.state.members.get(&id.0).map(|row| row.peer_address.clone()).unwrap_or_default();
        if !announced.is_empty() && announced != dialled.0 {
            info!(%id, from = %dialled, to = announced, "a member is reached elsewhere");
            node.consensus.set_address(*id, PeerAddress(announced)).await.map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

/// Promotes and removes voters so that 1, 3 or 5 live members vote and no zone of three holds a majority.
async fn balance_voters(node: &Arc<Node>) -> Result<(), String> {
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
                live: view.is_some_and(|v| v.is_heard_within(node, DEAD)) && !is_replaced(&state.state, *id),
                caught_up: voter || view.is_some_and(|v| v.applied_index + CAUGHT_UP_ENTRIES >= state.index),
            }
        })
        .collect();
    let Some(plan) = voters::plan(&all) else { return Ok(()) };
    info!(plan = %plan.text, "changing the voters");
    node.consensus.change_voters(plan.voters, true).await.map_err(|e| e.to_string())
}

/// Invites a server that waits on an empty folder.
pub(crate) async fn add(node: &Arc<Node>, peer_address: &str) -> Result<MemberId, ApiError> {
    if peer_address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(ApiError::invalid(format!(
            "{peer_address:?} is no address: give HOST:PORT, the server's --peer-listen"
        )));
    }
    let answer = form::probe(&node.env, peer_address)
        .await
        .map_err(|e| ApiError::invalid(format!("no server answers at {peer_address}: {e}")))?;
    if !answer.empty {
        return Err(ApiError::invalid(format!("the server at {peer_address} belongs to a cluster already")));
    }
    let me = answer.me.unwrap_or_default();
    let row = MemberRow { name: me.name, zone: me.zone, peer_address: peer_address.into(), ..Default::default() };
    let id = admit(node, row).await.map_err(|e| ApiError::client(e.to_string()))?;
    let invitation = JoinResponse {
        cluster_id: node.identity.cluster_bytes().into(),
        member_id: id.0,
        epoch: node.identity.epoch,
        ..Default::default()
    };
    let body = invitation.encode_to_vec().into();
    node.env.net().call(peer_address, Lane::Main, INVITE, body, INVITE_CALL).await.map_err(|e| {
        let why = format!("the server at {peer_address} was admitted but did not take the invitation: {e}");
        ApiError::new(ErrorCode::Server, why)
    })?;
    Ok(id)
}

/// Gives a member's place to a server that waits on an empty folder: once that has caught up, in one change.
pub(crate) async fn replace(node: &Arc<Node>, name: &str, peer_address: &str) -> Result<MemberId, ApiError> {
    let old = member_named(node, name)?;
    let new = add(node, peer_address).await?;
    if !wait_caught_up(node, new).await {
        return Err(ApiError::new(
            ErrorCode::Server,
            format!(
                "member {new} has joined and still catches up; when `seawall member ls` shows it as a voter: seawall member rm {name}"
            ),
        ));
    }
    let mut voters: BTreeSet<MemberId> = node.consensus.membership().voters.into_keys().collect();
    if voters.remove(&old) {
        voters.insert(new);
        node.consensus.change_voters(voters, false).await.map_err(refused)?;
    }
    forget(node, old).await?;
    Ok(new)
}

async fn wait_caught_up(node: &Arc<Node>, id: MemberId) -> bool {
    let until = node.env.now() + CATCH_UP;
    while node.env.now() < until {
        let applied = node.liveness.views(node).get(&id).map_or(0, |view| view.applied_index);
        if applied + CAUGHT_UP_ENTRIES >= node.consensus.state().index && applied > 0 {
            return true;
        }
        node.env.sleep(CATCH_UP_LOOK).await;
    }
    false
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
        None => best_successor(node).ok_or_else(|| ApiError::client("no other voter is alive"))?,
    };
    node.consensus.transfer_leader(to).await.map_err(refused)
}

/// The live voter, other than this member, that has the most of the log; one with a full disk only where no other is left.
pub(crate) fn best_successor(node: &Node) -> Option<MemberId> {
    let progress = node.consensus.peers_progress();
    let views = node.liveness.views(node);
    let has_room = |id: &MemberId| views.get(id).is_none_or(|view| !view.disk_low);
    let voters = node.consensus.membership().voters;
    voters
        .into_keys()
        .filter(|id| *id != node.identity.id() && node.peerage.answers(node, *id))
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
