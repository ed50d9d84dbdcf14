//! Streams a snapshot file to a member that lags behind the log, and a state to one that was found to differ.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::{
    RPCTypes,
    errors::{NetworkError, RPCError},
    raft::SnapshotResponse,
};
use prost::Message;
use seawall_env::{
    Env,
    fs::FileReader,
    net::{MessageSender, NetError},
};
use seawall_proto::internal::v1 as proto;

use super::{RaftRpcError, Route, method};
use crate::{
    codec,
    machine::SnapshotData,
    raft::{Snapshot, TypeConfig, Vote},
};

/// Bytes of one message, well under a message's 4 MiB.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// Longest time in which no byte moves before the transfer is given up and begun anew.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(10);
/// Longest time that installing may take once all bytes are there.
const INSTALL_MAX: Duration = Duration::from_secs(60);
/// Longest wait for the stream to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends `snapshot`, and waits until it is installed there or refused.
pub(super) async fn send(
    route: &Route,
    vote: Vote,
    snapshot: Snapshot,
) -> Result<SnapshotResponse<TypeConfig>, RaftRpcError> {
    let SnapshotData::File(file) = snapshot.snapshot else {
        let error = NetworkError::from_string("a snapshot that is still being received cannot be sent");
        return Err(RPCError::Network(error));
    };
    let env = &route.env;
    let open = env.net().open(&route.address, route.lane, method::SNAPSHOT);
    let (outgoing, mut incoming) = env
        .timeout(OPEN_TIMEOUT, open)
        .await
        .map_err(|_| route.timeout(RPCTypes::InstallSnapshot, OPEN_TIMEOUT))?
        .map_err(|e| route.error(RPCTypes::InstallSnapshot, e))?;
    let header = proto::raft_snapshot_chunk::Header {
        vote: Some(codec::vote_message(&vote)),
        meta: Some(codec::snapshot_meta_message(&snapshot.meta)),
        bytes: file.bytes,
        to: Some(route.to.clone()),
    };
    let mut sending = Box::pin(send_file(env, file.reader, header, &outgoing));
    let mut all_sent = false;
    loop {
        let limit = if all_sent { INSTALL_MAX } else { STALL_MAX };
        // Each answer and the end of sending start the wait anew: what is checked is that something moves.
        tokio::select! {
            biased;
            answer = env.timeout(limit, incoming.recv()) => {
                let answer = answer.map_err(|_| route.timeout(RPCTypes::InstallSnapshot, limit))?;
                if let Some(vote) = installed(route, answer)? {
                    return Ok(SnapshotResponse::new(vote));
                }
            }
            sent = &mut sending, if !all_sent => {
                sent.map_err(|e| route.error(RPCTypes::InstallSnapshot, e))?;
                all_sent = true;
            }
        }
    }
}

/// The other side's vote, once it has installed or refused.
fn installed(route: &Route, answer: Option<Bytes>) -> Result<Option<Vote>, RaftRpcError> {
    let bytes = answer.ok_or_else(|| route.error(RPCTypes::InstallSnapshot, NetError::Broken("snapshot".into())))?;
    let progress = proto::RaftSnapshotProgress::decode(bytes).map_err(|e| route.malformed(e))?;
    Ok(progress.vote.map(codec::vote))
}

async fn send_file(
    env: &Env,
    reader: Arc<dyn FileReader>,
    header: proto::raft_snapshot_chunk::Header,
    outgoing: &MessageSender,
) -> Result<(), NetError> {
    let total = header.bytes;
    let mut header = Some(header);
    let mut offset = 0;
    loop {
        let reader = reader.clone();
        let data = env.thread("snapshot", move || reader.read_at(offset, CHUNK_BYTES)).await;
        let data = Bytes::from(data.map_err(|e| NetError::Broken(format!("reading the snapshot: {e}")))?);
        offset += data.len() as u64;
        let last = offset >= total || data.is_empty();
        let chunk = proto::RaftSnapshotChunk { header: header.take(), data, last };
        send_chunk(outgoing, chunk).await?;
        if last {
            return Ok(());
        }
    }
}

pub(crate) async fn send_chunk(outgoing: &MessageSender, chunk: proto::RaftSnapshotChunk) -> Result<(), NetError> {
    let bytes = Bytes::from(chunk.encode_to_vec());
    outgoing.send(bytes).await.map_err(|_| NetError::Broken("the other side closed the snapshot stream".into()))
}
