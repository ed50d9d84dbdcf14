//! Raft's messages to other members, over [`seawall_env::net::Net`].
//!
//! Appends, heartbeats (with votes) and snapshots travel on lanes of their own, so that a long append or a snapshot
//! never delays the sign of life that keeps an election away.

mod append;
pub(crate) mod snapshot;

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, future::BoxFuture, stream::BoxStream};
use openraft::{
    OptionalSend, RPCTypes, RaftNetworkFactory,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::{Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption},
    raft::{
        AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderError, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use prost::Message;
use seawall_env::{
    Env,
    net::{Lane, NetError},
};
use seawall_proto::internal::v1 as proto;

use self::append::AppendLink;
use crate::{
    Config, PeerAddress, codec,
    machine::SnapshotData,
    raft::{Snapshot, TypeConfig, Vote},
};

/// Paths of Raft's methods.
pub(crate) mod method {
    pub(crate) const VOTE: &str = "/seawall.internal.v1.Raft/Vote";
    pub(crate) const PRE_VOTE: &str = "/seawall.internal.v1.Raft/PreVote";
    pub(crate) const APPEND: &str = "/seawall.internal.v1.Raft/Append";
    pub(crate) const SNAPSHOT: &str = "/seawall.internal.v1.Raft/Snapshot";
    pub(crate) const TRANSFER: &str = "/seawall.internal.v1.Raft/Transfer";
    pub(crate) const READ_INDEX: &str = "/seawall.internal.v1.Raft/ReadIndex";
    pub(crate) const STATE: &str = "/seawall.internal.v1.Raft/State";
    /// Those of one message there and one back.
    pub(crate) const CALLS: [&str; 4] = [VOTE, PRE_VOTE, TRANSFER, READ_INDEX];
    /// Those that are streams.
    pub(crate) const STREAMS: [&str; 3] = [APPEND, SNAPSHOT, STATE];
}

type RaftRpcError = RPCError<TypeConfig>;

/// Which cluster's members are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    id: Bytes,
    epoch: u64,
}

impl Cluster {
    pub(crate) fn of(config: &Config) -> Self {
        Cluster { id: config.cluster_id.clone().into(), epoch: config.epoch }
    }

    /// As requests name one of them.
    pub(crate) fn member(&self, member_id: u64) -> proto::RaftTo {
        proto::RaftTo { member_id, cluster_id: self.id.clone(), epoch: self.epoch }
    }
}

/// Makes the links to other members.
pub(crate) struct Links {
    env: Env,
    member_id: u64,
    cluster: Cluster,
}

impl Links {
    pub(crate) fn new(env: &Env, member_id: u64, cluster: Cluster) -> Self {
        Links { env: env.clone(), member_id, cluster }
    }

    fn peer(&self, target: u64, address: &PeerAddress, lane: Lane) -> Peer {
        let route = Route {
            env: self.env.clone(),
            member_id: self.member_id,
            target,
            to: self.cluster.member(target),
            address: address.0.clone(),
            lane,
        };
        Peer { append: AppendLink::new(route.clone()), route }
    }
}

impl RaftNetworkFactory<TypeConfig> for Links {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &PeerAddress) -> Peer {
        self.peer(target, node, Lane::Main)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &PeerAddress) -> Peer {
        self.peer(target, node, Lane::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &PeerAddress) -> Peer {
        self.peer(target, node, Lane::Snapshot)
    }
}

/// From this member to another, on one lane.
#[derive(Clone)]
pub(super) struct Route {
    env: Env,
    member_id: u64,
    target: u64,
    /// As requests name it.
    to: proto::RaftTo,
    address: String,
    lane: Lane,
}

impl Route {
    async fn call<M: Message + Default>(
        &self,
        lane: Lane,
        method: &'static str,
        kind: RPCTypes,
        message: impl Message,
        timeout: Duration,
    ) -> Result<M, RaftRpcError> {
        let body = Bytes::from(message.encode_to_vec());
        let answer = self.env.net().call(&self.address, lane, method, body, timeout).await;
        let answer = answer.map_err(|e| self.error(kind, e))?;
        M::decode(answer).map_err(|e| self.malformed(e))
    }

    fn error(&self, kind: RPCTypes, error: NetError) -> RaftRpcError {
        match error {
            NetError::Timeout(timeout) => self.timeout(kind, timeout),
            NetError::Broken(_) => RPCError::Network(NetworkError::new(&error)),
            NetError::Unreachable { .. } | NetError::Refused(_) => RPCError::Unreachable(Unreachable::new(&error)),
        }
    }

    fn timeout(&self, action: RPCTypes, timeout: Duration) -> RaftRpcError {
        RPCError::Timeout(Timeout { action, id: self.member_id, target: self.target, timeout })
    }

    fn malformed(&self, error: impl std::error::Error + 'static) -> RaftRpcError {
        RPCError::Network(NetworkError::new(&error))
    }
}

/// The link to one member.
pub(crate) struct Peer {
    route: Route,
    append: AppendLink,
}

impl NetBackoff<TypeConfig> for Peer {
    /// As configured.
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

impl NetStreamAppend<TypeConfig> for Peer {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RaftRpcError>>, RaftRpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(self.append.session(input))
    }
}

impl Peer {
    async fn ask_vote(
        &self,
        method: &'static str,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RaftRpcError> {
        let message = proto::RaftVoteRequest {
            vote: Some(codec::vote_message(&request.vote)),
            last_log_id: request.last_log_id.as_ref().map(codec::log_id_message),
            leadership_transfer: request.leadership_transfer,
            to: Some(self.route.to.clone()),
        };
        let timeout = option.soft_ttl();
        let answer: proto::RaftVoteResponse =
            self.route.call(Lane::Heartbeat, method, RPCTypes::Vote, message, timeout).await?;
        let vote = codec::required_vote(answer.vote).map_err(|e| self.route.malformed(e))?;
        Ok(VoteResponse::new(vote, answer.last_log_id.map(codec::log_id), answer.granted))
    }
}

impl NetVote<TypeConfig> for Peer {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RaftRpcError> {
        self.ask_vote(method::VOTE, request, option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RaftRpcError> {
        self.ask_vote(method::PRE_VOTE, request, option).await
    }
}

impl NetSnapshot<TypeConfig> for Peer {
    type SnapshotData = SnapshotData;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let mut cancel = Box::pin(cancel);
        tokio::select! {
            biased;
            closed = &mut cancel => Err(StreamingError::Closed(closed)),
            sent = snapshot::send(&self.route, vote, snapshot) => sent.map_err(StreamingError::from),
        }
    }
}

impl NetTransferLeader<TypeConfig> for Peer {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RaftRpcError> {
        let message = proto::RaftTransferRequest {
            from_leader: Some(codec::vote_message(request.from_leader())),
            to_member_id: *request.to_node_id(),
            last_log_id: request.last_log_id().map(codec::log_id_message),
            to: Some(self.route.to.clone()),
        };
        let timeout = option.soft_ttl();
        let answer: proto::RaftTransferResponse =
            self.route.call(Lane::Heartbeat, method::TRANSFER, RPCTypes::TransferLeader, message, timeout).await?;
        if let Some(changed) = answer.vote_changed {
            let vote = |v| codec::required_vote(v).map_err(|e| self.route.malformed(e));
            let (expected, actual) = (vote(changed.expected)?, vote(changed.actual)?);
            return Ok(Err(TransferLeaderError::VoteChanged { expected, actual }));
        }
        Ok(match answer.log_not_flushed {
            None => Ok(()),
            Some(behind) => Err(TransferLeaderError::LogNotFlushed {
                expected: behind.expected.map(codec::log_id),
                actual: behind.actual.map(codec::log_id),
            }),
        })
    }
}
