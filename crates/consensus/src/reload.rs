//! Takes a peer's state in place of this member's own, after the two were found to differ.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use seawall_env::net::{Lane, NetError};
use seawall_model::MemberId;
use seawall_proto::internal::v1 as proto;

use crate::{
    ChangeError, PeerAddress,
    consensus::Inner,
    machine::Decoder,
    network::{method, snapshot::STALL_MAX},
    raft::SnapshotMeta,
};

/// Longest wait for the stream to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn install_state_from(
    inner: &Inner,
    peer: MemberId,
    address: &PeerAddress,
) -> Result<(), ChangeError> {
    let (meta, state) = fetch(inner, peer, address).await?;
    let replaced = inner.raft.with_state_machine(|machine| {
        Box::pin(async move { machine.replace_state(meta, state).await.map_err(|e| e.to_string()) })
    });
    replaced.await.map_err(|_| ChangeError::Stopped)?.map_err(ChangeError::Refused)
}

async fn fetch(
    inner: &Inner,
    peer: MemberId,
    address: &PeerAddress,
) -> Result<(SnapshotMeta, seawall_state::State), ChangeError> {
    let env = &inner.env;
    let unreachable = |e: NetError| ChangeError::Refused(e.to_string());
    let silent = |limit: Duration| ChangeError::Deadline(format!("no state from {address} within {limit:?}"));
    let open = env.net().open(&address.0, Lane::Snapshot, method::STATE);
    let opened = env.timeout(OPEN_TIMEOUT, open).await.map_err(|_| silent(OPEN_TIMEOUT))?;
    let (outgoing, mut incoming) = opened.map_err(unreachable)?;
    let request = proto::RaftStateRequest { to: Some(inner.cluster.member(peer.0)) };
    // The peer closing at once shows below, as a state that is cut off.
    let _ = outgoing.send(Bytes::from(request.encode_to_vec())).await;
    let damaged = |e: &dyn std::fmt::Display| ChangeError::Refused(format!("the state from {address}: {e}"));
    let mut decoder = Decoder::default();
    loop {
        let message = env.timeout(STALL_MAX, incoming.recv()).await.map_err(|_| silent(STALL_MAX))?;
        let message = message.ok_or_else(|| damaged(&"it is cut off"))?;
        let chunk = proto::RaftSnapshotChunk::decode(message).map_err(|e| damaged(&e))?;
        decoder.push(&chunk.data).map_err(|e| damaged(&e))?;
        if chunk.last {
            return env.thread("reload", move || decoder.finish()).await.map_err(|e| damaged(&e));
        }
    }
}
