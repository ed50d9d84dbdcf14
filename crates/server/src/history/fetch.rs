//! A member that lacks a segment's file gets it from one that has it.

use std::{sync::Arc, time::Duration};

use prost::Message;
use seawall_env::net::Lane;
use seawall_proto::internal::v1::{FetchHistoryRequest, FetchHistoryResponse, HistorySegmentRow};
use tracing::{info, warn};

use super::{others, segment};
use crate::{
    api::Node,
    member::{Room, peers},
};

/// Bytes of one answer, well under a message's 4 MiB.
const PIECE_BYTES: usize = 1 << 20;
const CALL: Duration = Duration::from_secs(5);

/// Why nobody gives a segment's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// Some members do not answer; they may have it.
    Unreachable,
    /// Every member answers, and none has it.
    Lost,
}

/// The bytes of a segment's file: from here, or from a peer and kept here.
pub(super) async fn obtain(node: &Arc<Node>, row: &Arc<HistorySegmentRow>) -> Result<Vec<u8>, Absent> {
    let (files, wanted) = (node.history.files.clone(), row.clone());
    if let Some(bytes) = node.env.thread("history", move || files.read(&wanted)).await {
        return Ok(bytes);
    }
    node.history.note_lack();
    let bytes = fetch(node, row).await?;
    if node.condition.room() == Room::Critical {
        return Ok(bytes);
    }
    let (files, wanted) = (node.history.files.clone(), row.clone());
    let write = move || {
        if let Err(error) = files.write(&wanted, &bytes) {
            warn!(%error, "a segment of history cannot be kept here");
        }
        bytes
    };
    Ok(node.env.thread("history", write).await)
}

/// The bytes from whichever peer has them.
async fn fetch(node: &Arc<Node>, row: &HistorySegmentRow) -> Result<Vec<u8>, Absent> {
    let mut absent = Absent::Lost;
    for (member, address) in others(node) {
        match fetch_from(node, &address, row).await {
            Ok(Some(bytes)) if segment::is_whole(row, &bytes) => {
                info!(%member, bytes = row.bytes, "fetched a segment of history");
                return Ok(bytes);
            }
            Ok(Some(_)) => warn!(%member, "a segment of history came in damaged"),
            Ok(None) => {}
            Err(()) => absent = Absent::Unreachable,
        }
    }
    Err(absent)
}

/// `None`: it lacks the file too.
async fn fetch_from(node: &Node, address: &str, row: &HistorySegmentRow) -> Result<Option<Vec<u8>>, ()> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < row.bytes {
        let ask = FetchHistoryRequest { segment: Some(row.clone()), offset: bytes.len() as u64 };
        let body = ask.encode_to_vec().into();
        // Beside what the leader and clients wait for.
        let answer = node.env.net().call(address, Lane::Snapshot, peers::FETCH_HISTORY, body, CALL).await;
        let answer = FetchHistoryResponse::decode(answer.map_err(drop)?).map_err(drop)?;
        if answer.missing || answer.data.is_empty() {
            return Ok(None);
        }
        bytes.extend(answer.data);
    }
    Ok(Some(bytes))
}

/// Answers a member that lacks a file.
pub(crate) async fn serve_fetch(node: &Arc<Node>, ask: FetchHistoryRequest) -> FetchHistoryResponse {
    let files = node.history.files.clone();
    let row = ask.segment.unwrap_or_default();
    let piece = node.env.thread("history", move || files.piece(&row, ask.offset, PIECE_BYTES)).await;
    match piece {
        Some(data) => FetchHistoryResponse { data: data.into(), missing: false },
        None => FetchHistoryResponse { missing: true, ..FetchHistoryResponse::default() },
    }
}
