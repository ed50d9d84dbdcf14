//! What members ask of each other beside Raft.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message;
use seawall_env::{
    BoxFuture,
    net::{Caller, Handler, MessageReceiver, MessageSender, NetError},
};
use seawall_model::MemberId;
use seawall_proto::internal::v1::{
    ForwardRequest, ForwardResponse, JoinRequest, JoinResponse, PeerIdentity, PeerLogRequest, ProbeRequest,
    ProbeResponse, RelayRequest, SubmitRequest, SubmitResponse,
};

use seawall_state::refusal_of;

use super::{
    commands,
    form::{INVITE, JOIN, PROBE},
    membership::NotAdmitted,
};
use crate::{
    api::{Node, WriteError},
    dispatch, history, leader,
};

pub(crate) const FORWARD: &str = "/seawall.internal.v1.Peer/Forward";
pub(crate) const RELAY: &str = "/seawall.internal.v1.Peer/Relay";
pub(crate) const SUBMIT: &str = "/seawall.internal.v1.Peer/Submit";
pub(crate) const STORE_HISTORY: &str = "/seawall.internal.v1.Peer/StoreHistory";
pub(crate) const FETCH_HISTORY: &str = "/seawall.internal.v1.Peer/FetchHistory";
pub(crate) const FIND_HISTORY: &str = "/seawall.internal.v1.Peer/FindHistory";
pub(crate) const LOGS: &str = "/seawall.internal.v1.Peer/Logs";
const PREFIX: &str = "/seawall.internal.v1.Peer/";

/// Answers peers once this member has an identity: Raft's methods go to consensus.
pub(crate) struct Peers {
    pub(crate) node: Arc<Node>,
    pub(crate) raft: Arc<dyn Handler>,
}

impl Handler for Peers {
    fn handles(&self, method: &str) -> bool {
        method.starts_with(PREFIX) || self.raft.handles(method)
    }

    fn is_stream(&self, method: &str) -> bool {
        method == LOGS || self.raft.is_stream(method)
    }

    fn call(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, NetError>> {
        if self.raft.handles(&method) {
            return self.raft.clone().call(caller, method, body);
        }
        let node = self.node.clone();
        Box::pin(async move {
            match method.as_str() {
                PROBE => Ok(encode(&probe(&node, &decode(body)?))),
                JOIN => Ok(encode(&join(&node, decode(body)?).await)),
                FORWARD => Ok(encode(&forward(&node, decode(body)?).await?)),
                RELAY => Ok(encode(&leader::answer_relay(&node, decode::<RelayRequest>(body)?).await)),
                SUBMIT => Ok(encode(&submit(&node, decode(body)?).await?)),
                STORE_HISTORY => Ok(encode(&history::serve_store(&node, decode(body)?).await)),
                FETCH_HISTORY => Ok(encode(&history::serve_fetch(&node, decode(body)?).await)),
                FIND_HISTORY => Ok(encode(&history::serve_find(&node, decode(body)?).await)),
                INVITE => Err(NetError::Refused("this member has a cluster already".into())),
                _ => Err(NetError::Refused(format!("{method}: unknown; is this peer of another version?"))),
            }
        })
    }

    fn open(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> BoxFuture<'static, Result<(), NetError>> {
        if self.raft.handles(&method) {
            return self.raft.clone().open(caller, method, incoming, outgoing);
        }
        let node = self.node.clone();
        Box::pin(async move {
            let mut incoming = incoming;
            let Some(first) = incoming.recv().await else { return Ok(()) };
            let request: PeerLogRequest = decode(first)?;
            dispatch::logs::serve_peer(&node, request, incoming, outgoing).await;
            Ok(())
        })
    }
}

fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

fn decode<M: Message + Default>(body: Bytes) -> Result<M, NetError> {
    M::decode(body).map_err(|e| NetError::Broken(format!("a message of a peer does not decode: {e}")))
}

fn probe(node: &Node, request: &ProbeRequest) -> ProbeResponse {
    let leadership = node.consensus.leadership();
    let leader = leadership.leader.unwrap_or_default();
    ProbeResponse {
        me: Some(node.identity_message()),
        empty: false,
        leader_id: leader.0,
        leader_address: node.peer_address(leader).unwrap_or_default(),
        member: Some(node.own_member()),
        removed: request.from.as_ref().is_some_and(|from| was_removed(node, from)),
    }
}

/// Whether the cluster gave out this id and has no such member any more. Ids are drawn in the entry that adds the row, so
/// one that this member has not heard of yet is higher than all that it knows.
fn was_removed(node: &Node, from: &PeerIdentity) -> bool {
    let state = node.consensus.state();
    let members = node.consensus.membership();
    let id = MemberId(from.member_id);
    from.cluster_id == node.identity.cluster_bytes()
        && from.member_id < state.state.meta.next_id
        && state.state.members.get(&from.member_id).is_none()
        && !members.voters.contains_key(&id)
        && !members.learners.contains_key(&id)
}

async fn join(node: &Arc<Node>, request: JoinRequest) -> JoinResponse {
    let leadership = node.consensus.leadership();
    if !leadership.is_leader {
        let leader_address = leadership.leader.and_then(|id| node.peer_address(id)).unwrap_or_default();
        return JoinResponse { leader_address, ..Default::default() };
    }
    match super::membership::admit(node, request.member.unwrap_or_default()).await {
        Ok(member_id) => JoinResponse {
            cluster_id: node.identity.cluster_bytes().into(),
            member_id: member_id.0,
            epoch: node.identity.epoch,
            ..Default::default()
        },
        Err(NotAdmitted::Refused(error)) => JoinResponse { error, ..Default::default() },
        Err(NotAdmitted::NotYet(error)) => JoinResponse { error, try_again: true, ..Default::default() },
    }
}

async fn forward(node: &Arc<Node>, request: ForwardRequest) -> Result<ForwardResponse, NetError> {
    let deadline = node.env.now() + Duration::from_millis(request.timeout_ms.into());
    let result = if !node.consensus.leadership().is_leader {
        Err(WriteError::NotLeader)
    } else if commands::OPERATIONS.contains(&request.operation.as_str()) {
        commands::run(node, &request.operation, request.body).await.map_err(WriteError::Refused)
    } else {
        node.proposer.operation(request, deadline).await
    };
    let applied_index = node.consensus.state().index;
    let answer = ForwardResponse { applied_index, ..Default::default() };
    match result {
        Ok(body) => Ok(ForwardResponse { body, ..answer }),
        Err(WriteError::Refused(error)) => Ok(ForwardResponse { error: Some(refusal_of(error)), ..answer }),
        Err(WriteError::NotLeader) => Ok(ForwardResponse { not_leader: true, leader_id: leader_id(node), ..answer }),
        Err(WriteError::Unknown) => Err(unknown()),
    }
}

async fn submit(node: &Arc<Node>, request: SubmitRequest) -> Result<SubmitResponse, NetError> {
    let deadline = node.env.now() + Duration::from_millis(request.timeout_ms.into());
    let answer = SubmitResponse::default();
    match node.proposer.command(request.command.unwrap_or_default(), deadline).await {
        Ok((index, reply)) => Ok(SubmitResponse { reply: Some(reply), index, ..answer }),
        Err(WriteError::Refused(error)) => Ok(SubmitResponse { refusal: Some(refusal_of(error)), ..answer }),
        Err(WriteError::NotLeader) => Ok(SubmitResponse { not_leader: true, leader_id: leader_id(node), ..answer }),
        Err(WriteError::Unknown) => Err(unknown()),
    }
}

fn leader_id(node: &Node) -> u64 {
    node.consensus.leadership().leader.unwrap_or_default().0
}

/// Anything but an answer tells the asker that the write may have happened.
fn unknown() -> NetError {
    NetError::Broken("the outcome of the write is not known yet".into())
}
