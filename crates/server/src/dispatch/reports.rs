//! Reports of this member's agents, many in one command.

use std::{sync::Arc, time::Duration};

use prost::Message;
use seawall_model::{ApiError, ErrorCode, limits::COMMAND_BYTES_MAX};
use seawall_proto::internal::v1::{Command, ReportTasks, command, report_tasks};
use tokio::sync::mpsc;
use tracing::{debug, error};

use super::Live;
use crate::api::Node;

/// Reports that come within this time of the first travel with it.
const GATHER: Duration = Duration::from_millis(2);
/// Reports in one command are this large at most, with one more on top: well under what the log takes.
const COMMAND_BYTES: usize = COMMAND_BYTES_MAX / 4;
/// The largest that an agent may send.
pub(super) const REPORT_BYTES_MAX: usize = COMMAND_BYTES_MAX / 2;
const TRY: Duration = Duration::from_secs(10);

/// One report of one agent.
pub(crate) struct Waiting {
    pub(crate) live: Arc<Live>,
    pub(crate) item: report_tasks::Item,
}

/// Sends what waits, one command after the other, and acknowledges what was applied.
pub(crate) async fn batch(node: Arc<Node>, mut waiting: mpsc::Receiver<Waiting>) {
    while let Some(first) = waiting.recv().await {
        let mut batch = vec![first];
        let mut bytes = batch[0].item.encoded_len();
        let until = node.env.now() + GATHER;
        while bytes < COMMAND_BYTES {
            let left = until - node.env.now();
            let Ok(Some(next)) = node.env.timeout(left, waiting.recv()).await else { break };
            bytes += next.item.encoded_len();
            batch.push(next);
        }
        if send(&node, &batch).await.is_ok() {
            continue;
        }
        // One of them is to blame; the others must not wait for it.
        for waiting in batch {
            if let Err(error) = send(&node, std::slice::from_ref(&waiting)).await {
                error!(instance = %waiting.live.instance, %error, "a report is refused; the agent is sent away with it");
                waiting.live.supersede();
            }
        }
    }
}

/// Until they are applied, refused, or their sessions have ended.
async fn send(node: &Arc<Node>, batch: &[Waiting]) -> Result<(), ApiError> {
    loop {
        // A report whose session ended is sent again by its agent, under the next session.
        let items: Vec<_> = batch.iter().filter(|w| is_open(node, &w.live)).map(|w| w.item.clone()).collect();
        if items.is_empty() {
            return Ok(());
        }
        let command = Command { kind: Some(command::Kind::ReportTasks(ReportTasks { items })), ..Default::default() };
        match node.submit(command, node.env.now() + TRY).await {
            Ok(_) => break,
            Err(error) if error.code == ErrorCode::NoLeader => debug!(%error, "reports wait for a leader"),
            Err(error) => return Err(error),
        }
    }
    for waiting in batch {
        waiting.live.ack(waiting.item.sequence);
    }
    Ok(())
}

fn is_open(node: &Node, live: &Arc<Live>) -> bool {
    node.sessions.get(live.instance).is_some_and(|now| Arc::ptr_eq(&now, live))
}
