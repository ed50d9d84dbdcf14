//! A member writes the records that the leader names to a file, and says what it has on disk then.

use std::{sync::Arc, time::Duration};

use seawall_env::Instant;
use seawall_proto::internal::v1::{HistorySegmentRow, StoreHistoryRequest, StoreHistoryResponse};
use seawall_state::{HistoryKey, history_key};

use super::segment;
use crate::{api::Node, member::Room};

/// Writes the open records from `first` to `last`, once the state here has reached `index`.
pub(super) async fn store(
    node: &Arc<Node>,
    (first, last): (HistoryKey, HistoryKey),
    index: u64,
    deadline: Instant,
) -> Result<HistorySegmentRow, String> {
    if node.condition.room() == Room::Critical {
        return Err("the disk is nearly full".into());
    }
    let reached = node.consensus.wait_applied(index, deadline).await;
    reached.map_err(|_| format!("this member has not applied entry {index} yet"))?;
    let rows = node.consensus.state().state.open_history(first, last);
    let rows = rows.ok_or_else(|| "other records are open here".to_owned())?;
    let files = node.history.files.clone();
    let write = move || {
        let bytes = segment::encode(&rows);
        let segment = segment::describe(&rows, &bytes);
        files.write(&segment, &bytes).map(|()| segment)
    };
    node.env.thread("history", write).await.map_err(|error| format!("history cannot be written: {error}"))
}

/// Answers the leader.
pub(crate) async fn serve_store(node: &Arc<Node>, ask: StoreHistoryRequest) -> StoreHistoryResponse {
    let deadline = node.env.now() + Duration::from_millis(ask.timeout_ms.into());
    let range = (history_key(ask.first), history_key(ask.last));
    match store(node, range, ask.index, deadline).await {
        Ok(segment) => StoreHistoryResponse { segment: Some(segment), error: String::new() },
        Err(error) => StoreHistoryResponse { segment: None, error },
    }
}
