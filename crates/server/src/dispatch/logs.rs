//! A task's logs, from whichever member holds its agent's stream.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use seawall_env::{
    TaskKind,
    net::{Lane, MessageReceiver, MessageSender},
};
use seawall_model::{ApiError, ErrorCode, InstanceId, MemberId, limits::LOG_CHUNKS_AHEAD};
use seawall_proto::internal::v1::{LogCancel, LogChunk, LogCredit, LogRequest, PeerLogRequest, member_message};
use tokio::sync::mpsc;

use super::{Live, lock};
use crate::{api::Node, member::peers};

#[cfg(test)]
mod tests;

/// Chunks on their way to a reader that is slow.
const CHUNKS_WAITING: usize = 16;
/// The agent is told after so many that more may come.
const CHUNKS_A_CREDIT: u32 = 16;

/// What the agent is asked.
pub(super) enum Order {
    Start(LogRequest),
    Credit(LogCredit),
    Cancel(u64),
}

impl Order {
    pub(super) fn into_message(self) -> member_message::Kind {
        match self {
            Order::Start(request) => member_message::Kind::LogRequest(request),
            Order::Credit(credit) => member_message::Kind::LogCredit(credit),
            Order::Cancel(request_id) => member_message::Kind::LogCancel(LogCancel { request_id }),
        }
    }
}

/// Hands a chunk to whoever reads it. An agent sends no more than the reader gave it credit for, so there is room.
pub(super) fn deliver(live: &Arc<Live>, chunk: LogChunk) {
    let id = chunk.request_id;
    let end = chunk.end;
    let reader = lock(&live.logs).get(&id).cloned();
    let Some(reader) = reader else { return };
    let gone = reader.try_send(chunk).is_err();
    if gone || end {
        lock(&live.logs).remove(&id);
    }
    if gone && !end {
        // A full queue of orders means that the session is ending anyway.
        let _ = live.log_orders.try_send(Order::Cancel(id));
    }
}

/// The agent's stream is over: so is every reading through it.
pub(super) fn end_all(live: &Live) {
    let readers = std::mem::take(&mut *lock(&live.logs));
    let error = "the agent's stream ended; its tasks' logs can be read again once it is back";
    for reader in readers.into_values() {
        // A reader that is behind ends all the same, with what it has: its sender is dropped here.
        let _ = reader.try_send(LogChunk { end: true, error: error.into(), ..Default::default() });
    }
}

/// Reads the logs of a task on `instance`, whose stream `member` holds. Ends with a chunk that says so, or when the
/// stream breaks.
pub(crate) async fn read(
    node: &Arc<Node>,
    instance: InstanceId,
    member: MemberId,
    request: LogRequest,
) -> Result<mpsc::Receiver<LogChunk>, ApiError> {
    if let Some(live) = node.sessions.get(instance) {
        return Ok(read_here(node, &live, request));
    }
    let unreachable =
        |why: &str| ApiError::new(ErrorCode::Server, format!("the instance's agent cannot be reached: {why}"));
    if member == node.identity.id() {
        return Err(unreachable("it is not connected; its tasks' logs can be read again once it is"));
    }
    let address = node.peer_address(member).ok_or_else(|| unreachable("no member holds its stream"))?;
    let (out, mut incoming) =
        node.env.net().open(&address, Lane::Main, peers::LOGS).await.map_err(|e| unreachable(&e.to_string()))?;
    let ask = PeerLogRequest { instance_id: instance.0, request: Some(request) };
    out.send(ask.encode_to_vec().into()).await.map_err(|_| unreachable("the link to its member broke"))?;
    let (chunks, reader) = mpsc::channel(CHUNKS_WAITING);
    node.env.spawn(TaskKind::request("peer logs"), async move {
        // Held so that the other side knows that somebody still reads.
        let _out = out;
        while let Some(bytes) = incoming.recv().await {
            let Ok(chunk) = LogChunk::decode(bytes) else { return };
            if chunks.send(chunk).await.is_err() {
                return;
            }
        }
    });
    Ok(reader)
}

fn read_here(node: &Arc<Node>, live: &Arc<Live>, mut request: LogRequest) -> mpsc::Receiver<LogChunk> {
    request.request_id = node.sessions.next_log_request();
    let (chunks, mut from_agent) = mpsc::channel(LOG_CHUNKS_AHEAD);
    let (out, reader) = mpsc::channel(CHUNKS_WAITING);
    let id = request.request_id;
    lock(&live.logs).insert(id, chunks);
    let live = live.clone();
    if node.sessions.get(live.instance).is_none_or(|now| !Arc::ptr_eq(&now, &live)) {
        // It ended while the reader was put in.
        end_all(&live);
    }
    node.env.spawn(TaskKind::request("logs"), async move {
        if live.log_orders.send(Order::Start(request)).await.is_err() {
            return;
        }
        let mut taken = 0;
        loop {
            let chunk = tokio::select! {
                biased;
                () = out.closed() => break,
                chunk = from_agent.recv() => chunk,
            };
            let Some(chunk) = chunk else { return };
            let end = chunk.end;
            if out.send(chunk).await.is_err() {
                break;
            }
            if end {
                return;
            }
            taken += 1;
            if taken == CHUNKS_A_CREDIT {
                taken = 0;
                let credit = LogCredit { request_id: id, chunks: CHUNKS_A_CREDIT };
                if live.log_orders.send(Order::Credit(credit)).await.is_err() {
                    return;
                }
            }
        }
        lock(&live.logs).remove(&id);
        let _ = live.log_orders.send(Order::Cancel(id)).await;
    });
    reader
}

/// Serves another member's reader.
pub(crate) async fn serve_peer(
    node: &Arc<Node>,
    ask: PeerLogRequest,
    mut incoming: MessageReceiver,
    outgoing: MessageSender,
) {
    let request = ask.request.unwrap_or_default();
    let Some(live) = node.sessions.get(InstanceId(ask.instance_id)) else {
        let error = "the instance's agent is connected to no member".to_owned();
        let chunk = LogChunk { end: true, error, ..Default::default() };
        // The reader may have gone meanwhile.
        let _ = outgoing.send(Bytes::from(chunk.encode_to_vec())).await;
        return;
    };
    let mut chunks = read_here(node, &live, request);
    loop {
        let chunk = tokio::select! {
            biased;
            message = incoming.recv() => match message {
                None => return,
                Some(_) => continue,
            },
            chunk = chunks.recv() => chunk,
        };
        let Some(chunk) = chunk else { return };
        let end = chunk.end;
        if outgoing.send(chunk.encode_to_vec().into()).await.is_err() || end {
            return;
        }
    }
}
