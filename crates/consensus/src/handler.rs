//! Answers the other members.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use openraft::{
    errors::{LinearizableReadError, RaftError},
    raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest, VoteRequest},
};
use prost::Message;
use seawall_env::{
    Env,
    net::{Caller, Handler, MessageReceiver, MessageSender, NetError},
};
use seawall_proto::internal::v1 as proto;

use crate::{
    codec,
    machine::{Decoder, Received, SnapshotData, encode_state, path_of, sync_now_and_then},
    network::{
        method,
        snapshot::{STALL_MAX, send_chunk},
    },
    raft::{LogId, Raft, Snapshot, SnapshotMeta, TypeConfig, Vote},
    reads,
};

/// Appends of one stream that Raft has and has not answered.
const PIPELINE_MAX: usize = 64;
/// Longest time that a member may ask this one to take for a read index.
const READ_INDEX_MAX: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct RaftHandler {
    env: Env,
    raft: Raft,
    snapshots: PathBuf,
    own: proto::RaftTo,
    /// One at a time: two would share a file.
    receiving: Arc<tokio::sync::Mutex<()>>,
}

impl RaftHandler {
    pub(crate) fn new(env: &Env, raft: Raft, snapshots: PathBuf, own: proto::RaftTo) -> Self {
        RaftHandler { env: env.clone(), raft, snapshots, own, receiving: Arc::default() }
    }

    /// Refuses what is meant for another member, cluster or epoch.
    fn check_to(&self, to: Option<&proto::RaftTo>) -> Result<(), NetError> {
        if to == Some(&self.own) {
            return Ok(());
        }
        let what = |to: &proto::RaftTo| format!("member {} of epoch {} of {}", to.member_id, to.epoch, cluster(to));
        let meant = to.map_or_else(|| "nobody by name".to_owned(), what);
        Err(NetError::Refused(format!("this is {}; the request is meant for {meant}", what(&self.own))))
    }

    async fn vote(&self, body: Bytes, is_pre_vote: bool) -> Result<Bytes, NetError> {
        let message: proto::RaftVoteRequest = decode(body)?;
        self.check_to(message.to.as_ref())?;
        let request = VoteRequest {
            vote: required_vote(message.vote)?,
            last_log_id: message.last_log_id.map(codec::log_id),
            leadership_transfer: message.leadership_transfer,
        };
        let answer = match is_pre_vote {
            true => self.raft.pre_vote(request).await,
            false => self.raft.vote(request).await,
        };
        let answer = answer.map_err(stopped)?;
        Ok(encode(proto::RaftVoteResponse {
            vote: Some(codec::vote_message(&answer.vote)),
            granted: answer.vote_granted,
            last_log_id: answer.last_log_id.as_ref().map(codec::log_id_message),
        }))
    }

    async fn transfer(&self, body: Bytes) -> Result<Bytes, NetError> {
        let message: proto::RaftTransferRequest = decode(body)?;
        self.check_to(message.to.as_ref())?;
        let from = required_vote(message.from_leader)?;
        let last = message.last_log_id.map(codec::log_id);
        let request = TransferLeaderRequest::new(from, message.to_member_id, last);
        let answer = self.raft.handle_transfer_leader(request).await.map_err(stopped)?;
        Ok(encode(transfer_message(answer.err())))
    }

    async fn read_index(&self, body: Bytes) -> Result<Bytes, NetError> {
        let message: proto::ReadIndexRequest = decode(body)?;
        self.check_to(message.to.as_ref())?;
        let timeout = Duration::from_millis(message.timeout_ms.into()).min(READ_INDEX_MAX);
        let answer = match reads::leader_read_index(&self.raft, timeout).await {
            Ok(index) => proto::ReadIndexResponse { index, ..Default::default() },
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => proto::ReadIndexResponse {
                not_leader: true,
                leader_id: forward.leader_id.unwrap_or_default(),
                ..Default::default()
            },
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                return Err(NetError::Timeout(timeout));
            }
            Err(RaftError::Fatal(fatal)) => return Err(stopped(fatal)),
        };
        Ok(encode(answer))
    }

    async fn append(&self, mut incoming: MessageReceiver, outgoing: MessageSender) -> Result<(), NetError> {
        let mut answers: FuturesOrdered<BoxFuture<'_, Result<Bytes, NetError>>> = FuturesOrdered::new();
        loop {
            let has_room = answers.len() < PIPELINE_MAX;
            tokio::select! {
                biased;
                Some(answer) = answers.next() => {
                    if outgoing.send(answer?).await.is_err() {
                        return Ok(());
                    }
                }
                message = incoming.recv(), if has_room => {
                    let Some(message) = message else { return Ok(()) };
                    let mut answer = self.append_one(message)?;
                    // The first poll hands the request to Raft: requests keep their order, answers may wait.
                    answers.push_back(match answer.as_mut().now_or_never() {
                        Some(ready) => Box::pin(std::future::ready(ready)),
                        None => answer,
                    });
                }
            }
        }
    }

    fn append_one(&self, message: Bytes) -> Result<BoxFuture<'_, Result<Bytes, NetError>>, NetError> {
        let message: proto::RaftAppendRequest = decode(message)?;
        self.check_to(message.to.as_ref())?;
        let session = message.session;
        let entries: Result<Vec<_>, _> = message.entries.into_iter().map(codec::entry).collect();
        let request: AppendEntriesRequest<TypeConfig> = AppendEntriesRequest {
            vote: required_vote(message.vote)?,
            prev_log_id: message.previous.map(codec::log_id),
            entries: entries.map_err(|e| NetError::Broken(e.to_string()))?,
            leader_commit: message.leader_commit.map(codec::log_id),
        };
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|e| e.log_id).or(previous);
        let raft = &self.raft;
        Ok(Box::pin(async move {
            let answer = raft.append_entries(request).await.map_err(stopped)?;
            let kind = append_answer(answer, previous, last);
            Ok(encode(proto::RaftAppendResponse { session, kind: Some(kind) }))
        }))
    }

    async fn snapshot(&self, mut incoming: MessageReceiver, outgoing: MessageSender) -> Result<(), NetError> {
        let _alone = self.receiving.try_lock().map_err(|_| NetError::Broken("another snapshot is coming in".into()))?;
        let first = self.next_chunk(&mut incoming).await?;
        let header = first.header.clone().ok_or_else(|| NetError::Broken("a snapshot without a header".into()))?;
        self.check_to(header.to.as_ref())?;
        let vote = required_vote(header.vote)?;
        let meta = header.meta.map(codec::snapshot_meta).transpose().map_err(|e| NetError::Broken(e.to_string()))?;
        let meta = meta.ok_or_else(|| NetError::Broken("a snapshot without its place in the log".into()))?;
        let received = self.receive(&meta, first, &mut incoming, &outgoing).await?;
        let bytes = received.bytes;
        let data = SnapshotData::Received(Box::new(Mutex::new(received)));
        let answer = self.raft.install_full_snapshot(vote, Snapshot { meta, snapshot: data }).await.map_err(stopped)?;
        send_progress(&outgoing, bytes, Some(answer.vote)).await
    }

    async fn receive(
        &self,
        meta: &SnapshotMeta,
        first: proto::RaftSnapshotChunk,
        incoming: &mut MessageReceiver,
        outgoing: &MessageSender,
    ) -> Result<Received, NetError> {
        let path = path_of(&self.snapshots, meta);
        let fs = self.env.fs();
        fs.create_dir_all(&self.snapshots).map_err(broken)?;
        let mut writer = fs.create(&path).map_err(broken)?;
        let mut decoder = Decoder::default();
        let (mut bytes, mut synced) = (0, 0);
        let mut chunk = first;
        loop {
            let (data, last) = (chunk.data, chunk.last);
            bytes += data.len() as u64;
            let step = move || {
                decoder.push(&data)?;
                writer.write(&data)?;
                sync_now_and_then(&mut *writer, bytes, &mut synced)?;
                Ok::<_, std::io::Error>((decoder, writer, synced))
            };
            (decoder, writer, synced) = self.env.thread("snapshot", step).await.map_err(broken)?;
            if last {
                break;
            }
            send_progress(outgoing, bytes, None).await?;
            chunk = self.next_chunk(incoming).await?;
        }
        let (found, state) = self.env.thread("snapshot", move || decoder.finish()).await.map_err(broken)?;
        match found == *meta {
            true => Ok(Received { writer, state, path, bytes }),
            false => Err(NetError::Broken("the snapshot's file is not the one announced".into())),
        }
    }

    async fn next_chunk(&self, incoming: &mut MessageReceiver) -> Result<proto::RaftSnapshotChunk, NetError> {
        let message = self.env.timeout(STALL_MAX, incoming.recv()).await.map_err(|_| NetError::Timeout(STALL_MAX))?;
        decode(message.ok_or_else(|| NetError::Broken("the snapshot's sender has gone".into()))?)
    }

    /// This member's state as it is, for one that was found to differ.
    async fn state(&self, mut incoming: MessageReceiver, outgoing: MessageSender) -> Result<(), NetError> {
        let request = self.env.timeout(STALL_MAX, incoming.recv()).await.map_err(|_| NetError::Timeout(STALL_MAX))?;
        let request: proto::RaftStateRequest = decode(request.unwrap_or_default())?;
        self.check_to(request.to.as_ref())?;
        let parts = self.raft.with_state_machine(|machine| {
            let parts = machine.snapshot_parts();
            Box::pin(async move { parts })
        });
        let (meta, state) = parts.await.map_err(stopped)?;
        let encode_all = move || {
            let mut sections = Vec::new();
            let taken = encode_state(&meta, &state, |section| {
                sections.push(section);
                Ok::<_, std::convert::Infallible>(())
            });
            taken.map(|()| sections)
        };
        let Ok(sections) = self.env.thread("snapshot", encode_all).await;
        for data in sections {
            send_chunk(&outgoing, proto::RaftSnapshotChunk { data, ..Default::default() }).await?;
        }
        send_chunk(&outgoing, proto::RaftSnapshotChunk { last: true, ..Default::default() }).await
    }
}

impl Handler for RaftHandler {
    fn handles(&self, method: &str) -> bool {
        method::CALLS.contains(&method) || self.is_stream(method)
    }

    fn is_stream(&self, method: &str) -> bool {
        method::STREAMS.contains(&method)
    }

    fn call(
        self: Arc<Self>,
        _: Caller,
        method: String,
        body: Bytes,
    ) -> seawall_env::BoxFuture<'static, Result<Bytes, NetError>> {
        let env = self.env.clone();
        Box::pin(env.scope(async move {
            match method.as_str() {
                method::VOTE => self.vote(body, false).await,
                method::PRE_VOTE => self.vote(body, true).await,
                method::TRANSFER => self.transfer(body).await,
                method::READ_INDEX => self.read_index(body).await,
                _ => Err(NetError::Refused(format!("{method} takes a stream, or is unknown"))),
            }
        }))
    }

    fn open(
        self: Arc<Self>,
        _: Caller,
        method: String,
        incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> seawall_env::BoxFuture<'static, Result<(), NetError>> {
        let env = self.env.clone();
        Box::pin(env.scope(async move {
            match method.as_str() {
                method::APPEND => self.append(incoming, outgoing).await,
                method::SNAPSHOT => self.snapshot(incoming, outgoing).await,
                method::STATE => self.state(incoming, outgoing).await,
                _ => Err(NetError::Refused(format!("{method} takes one message, or is unknown"))),
            }
        }))
    }
}

fn cluster(to: &proto::RaftTo) -> String {
    let digits: String = to.cluster_id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("cluster {digits}")
}

fn append_answer(
    answer: AppendEntriesResponse<TypeConfig>,
    previous: Option<LogId>,
    last: Option<LogId>,
) -> proto::raft_append_response::Kind {
    use proto::raft_append_response::{Kind, Matched};
    let matched = |id: Option<LogId>| Kind::Matched(Matched { id: id.as_ref().map(codec::log_id_message) });
    match answer {
        AppendEntriesResponse::Success => matched(last),
        AppendEntriesResponse::PartialSuccess(id) => matched(id),
        AppendEntriesResponse::HigherVote(vote) => Kind::HigherVote(codec::vote_message(&vote)),
        // Without an entry before it nothing can conflict, and openraft never says so.
        AppendEntriesResponse::Conflict => match previous {
            Some(id) => Kind::Conflict(codec::log_id_message(&id)),
            None => matched(None),
        },
    }
}

fn transfer_message(refused: Option<TransferLeaderError<TypeConfig>>) -> proto::RaftTransferResponse {
    use proto::raft_transfer_response::{LogNotFlushed, VoteChanged};
    let mut message = proto::RaftTransferResponse::default();
    match refused {
        None => {}
        Some(TransferLeaderError::VoteChanged { expected, actual }) => {
            let vote = |v: &Vote| Some(codec::vote_message(v));
            message.vote_changed = Some(VoteChanged { expected: vote(&expected), actual: vote(&actual) });
        }
        Some(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            let id = |id: Option<LogId>| id.as_ref().map(codec::log_id_message);
            message.log_not_flushed = Some(LogNotFlushed { expected: id(expected), actual: id(actual) });
        }
    }
    message
}

async fn send_progress(outgoing: &MessageSender, bytes: u64, vote: Option<Vote>) -> Result<(), NetError> {
    let message = proto::RaftSnapshotProgress { bytes, vote: vote.as_ref().map(codec::vote_message) };
    outgoing.send(encode(message)).await.map_err(|_| NetError::Broken("the snapshot's sender has gone".into()))
}

fn decode<M: Message + Default>(bytes: Bytes) -> Result<M, NetError> {
    M::decode(bytes).map_err(|e| NetError::Broken(e.to_string()))
}

fn encode(message: impl Message) -> Bytes {
    message.encode_to_vec().into()
}

fn required_vote(vote: Option<proto::RaftVote>) -> Result<Vote, NetError> {
    codec::required_vote(vote).map_err(|e| NetError::Broken(e.to_string()))
}

fn broken(error: impl std::fmt::Display) -> NetError {
    NetError::Broken(error.to_string())
}

fn stopped(error: impl Into<RaftError<TypeConfig>>) -> NetError {
    let error: RaftError<TypeConfig> = error.into();
    NetError::Broken(format!("this member has stopped: {error}"))
}
