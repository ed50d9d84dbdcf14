//! What each member does by itself: the leader seals and drops, everyone holds the files that are listed.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use prost::Message;
use seawall_consensus::AppliedState;
use seawall_env::net::Lane;
use seawall_model::MemberId;
use seawall_proto::internal::v1::{
    Command, DropHistory, HistorySegmentRow, Principal, SealHistory, StoreHistoryRequest, StoreHistoryResponse,
    command, principal,
};
use seawall_state::{HistoryKey, State, TableHash, history_place};
use tracing::{debug, warn};

use super::{
    fetch::{self, Absent},
    listed, others,
    store::store,
};
use crate::{
    api::Node,
    member::{Room, peers},
};

const TICK: Duration = Duration::from_secs(1);
/// Longest wait for a member to write a segment.
const STORE: Duration = Duration::from_secs(2);
/// What those that are slower than most get before the others go on.
const GRACE: Duration = Duration::from_millis(100);
const SUBMIT: Duration = Duration::from_secs(5);
/// After a file could not be got.
const RETRY: Duration = Duration::from_secs(5);

/// Runs for as long as the member lives.
pub(crate) async fn keep(node: Arc<Node>) {
    let (mut held, mut said) = (TableHash::default(), String::new());
    loop {
        if node.consensus.leadership().is_leader {
            lead(&node).await;
        }
        let applied = node.consensus.state();
        let now = applied.state.history_segments.hash();
        let mut pause = TICK;
        if node.history.lacks.swap(false, Ordering::Relaxed) || now != held {
            match hold(&node, &applied).await {
                Ok(()) => {
                    held = now;
                    said.clear();
                }
                Err(why) => {
                    if why != said {
                        warn!(%why, "this member lacks history, and asks others for it when it is read");
                    }
                    said = why;
                    node.history.note_lack();
                    pause = RETRY;
                }
            }
        }
        node.env.sleep(pause).await;
    }
}

async fn lead(node: &Arc<Node>) {
    let began = node.env.now();
    let failed = seal_all(node).await.and(drop_old(node).await).err();
    if let Some(why) = &failed {
        warn!(%why, "history could not be sealed");
    }
    node.liveness.status("history", node.env.wall_ms(), node.env.now() - began, failed);
}

/// Seals segments for as long as there are records for one.
async fn seal_all(node: &Arc<Node>) -> Result<(), String> {
    loop {
        let applied = node.consensus.state();
        let Some(range) = applied.state.history_to_seal() else { return Ok(()) };
        let segment = store_everywhere(node, range, applied.index).await?;
        debug!(records = segment.records, bytes = segment.bytes, "sealing history");
        submit(node, command::Kind::SealHistory(SealHistory { segment: Some(segment) })).await?;
    }
}

async fn drop_old(node: &Arc<Node>) -> Result<(), String> {
    let state = node.consensus.state();
    let Some(last) = state.state.history_to_drop(node.cluster_time_ms()) else { return Ok(()) };
    submit(node, command::Kind::DropHistory(DropHistory { last: Some(history_place(last)) })).await
}

async fn submit(node: &Arc<Node>, kind: command::Kind) -> Result<(), String> {
    let command = Command {
        principal: Some(Principal { kind: principal::Kind::Controller.into(), ..Default::default() }),
        kind: Some(kind),
        ..Default::default()
    };
    let deadline = node.env.now() + SUBMIT;
    node.proposer.command(command, deadline).await.map(drop).map_err(|error| error.to_string())
}

/// Has every member write these records; what most voters have on disk.
async fn store_everywhere(
    node: &Arc<Node>,
    range: (HistoryKey, HistoryKey),
    index: u64,
) -> Result<HistorySegmentRow, String> {
    let voters = node.consensus.membership().voters;
    let own = node.identity.id();
    let mut stores: FuturesUnordered<_> = others(node)
        .into_iter()
        .map(|(member, address)| ask(node, member, Some(address), range, index))
        .chain([ask(node, own, None, range, index)])
        .collect();
    let mut written: BTreeMap<Vec<u8>, (usize, HistorySegmentRow)> = BTreeMap::new();
    let mut failed = Vec::new();
    while let Some((member, result)) = stores.next().await {
        let segment = match result {
            Ok(segment) => segment,
            Err(why) => {
                failed.push(format!("{member}: {why}"));
                continue;
            }
        };
        let (count, _) = written.entry(segment.encode_to_vec()).or_insert_with(|| (0, segment.clone()));
        *count += usize::from(voters.contains_key(&member));
        if *count > voters.len() / 2 {
            // Who is not done by then fetches the file.
            let _ = node.env.timeout(GRACE, stores.for_each(|_| std::future::ready(()))).await;
            return Ok(segment);
        }
    }
    if written.len() > 1 {
        failed.push("members wrote different bytes".into());
    }
    Err(format!("most members must have it on disk first: {}", failed.join("; ")))
}

/// One member's answer; this one's own without an address.
async fn ask(
    node: &Arc<Node>,
    member: MemberId,
    address: Option<String>,
    range: (HistoryKey, HistoryKey),
    index: u64,
) -> (MemberId, Result<HistorySegmentRow, String>) {
    let Some(address) = address else {
        return (member, store(node, range, index, node.env.now() + STORE).await);
    };
    let request = StoreHistoryRequest {
        first: Some(history_place(range.0)),
        last: Some(history_place(range.1)),
        index,
        timeout_ms: STORE.as_millis() as u32,
    };
    let body = request.encode_to_vec().into();
    let answer = node.env.net().call(&address, Lane::Main, peers::STORE_HISTORY, body, STORE).await;
    let answer = answer.map_err(|error| error.to_string());
    let answer = answer.and_then(|body| StoreHistoryResponse::decode(body).map_err(|error| error.to_string()));
    (member, answer.and_then(|answer| answer.segment.ok_or(answer.error)))
}

/// Removes files that are listed no longer, and fetches those that are and lack here.
async fn hold(node: &Arc<Node>, applied: &AppliedState) -> Result<(), String> {
    let files = node.history.files.clone();
    let (segments, open_from) = (listed(&applied.state), open_from(&applied.state, applied.index));
    let look = move || {
        files.tidy(&segments, open_from)?;
        files.lacking(&segments)
    };
    let lacking = node.env.thread("history", look).await.map_err(|error| error.to_string())?;
    let mut absent = None;
    for row in lacking {
        if node.condition.room() == Room::Critical {
            return Err("the disk is nearly full".into());
        }
        absent = fetch::obtain(node, &row).await.err().or(absent);
    }
    match absent {
        None => Ok(()),
        Some(Absent::Unreachable) => Err("segments are on members that do not answer".into()),
        Some(Absent::Lost) => Err("segments are on no member any more".into()),
    }
}

/// Records that may become a segment begin here. What retires after `index` is not in this state yet.
fn open_from(state: &State, index: u64) -> HistoryKey {
    state.history_open.first().map_or((index + 1, 0), |(key, _)| *key)
}
