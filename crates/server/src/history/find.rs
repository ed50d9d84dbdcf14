//! Records by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use prost::Message;
use seawall_env::{Instant, net::Lane};
use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::{FindHistoryRequest, FindHistoryResponse, HistoryRow, HistorySegmentRow};
use seawall_state::{State, history_key};
use tracing::warn;

use super::{Lookup, files::Files, listed, others};
use crate::{api::Node, member::peers};

const CALL: Duration = Duration::from_secs(5);

/// Records by what found them.
pub(crate) type Found = BTreeMap<Lookup, Arc<HistoryRow>>;

/// The newest record of each lookup that is in history at this state.
///
/// # Errors
/// Segments that matter are on members that do not answer.
pub(crate) async fn find(
    node: &Arc<Node>,
    state: &State,
    lookups: BTreeSet<Lookup>,
    deadline: Instant,
) -> Result<Found, ApiError> {
    let mut found = find_open(state, &lookups);
    let left: Vec<Lookup> = lookups.into_iter().filter(|lookup| !found.contains_key(lookup)).collect();
    let segments = listed(state);
    if left.is_empty() || segments.is_empty() {
        return Ok(found);
    }
    let (files, asked) = (node.history.files.clone(), left.clone());
    let (rows, missing) = node.env.thread("history", move || search(&files, segments, &asked)).await;
    rows.into_iter().for_each(|row| newest(&mut found, row));
    if !missing.is_empty() {
        node.history.note_lack();
        ask_others(node, &left, missing, deadline, &mut found).await?;
    }
    Ok(found)
}

/// The same among the open records alone. They are few, and newer than all others.
pub(crate) fn find_open(state: &State, lookups: &BTreeSet<Lookup>) -> Found {
    let rows = state.history_open.iter().map(|(_, row)| row);
    let named = rows.filter_map(|row| Some((Lookup::of(row).filter(|lookup| lookups.contains(lookup))?, row.clone())));
    named.collect()
}

/// Looks from the newest segment on until all is found; with those that could not be looked into on the way.
fn search(
    files: &Files,
    segments: Vec<Arc<HistorySegmentRow>>,
    lookups: &[Lookup],
) -> (Vec<HistoryRow>, Vec<Arc<HistorySegmentRow>>) {
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    let mut left = lookups.to_vec();
    for segment in segments.into_iter().rev() {
        if left.is_empty() {
            break;
        }
        match files.find(&segment, &left) {
            None => missing.push(segment),
            Some(found) => {
                left.retain(|lookup| found.iter().all(|row| Lookup::of(row).as_ref() != Some(lookup)));
                rows.extend(found);
            }
        }
    }
    (rows, missing)
}

fn newest(found: &mut Found, row: HistoryRow) {
    let Some(lookup) = Lookup::of(&row) else { return };
    let is_newer = |old: &Arc<HistoryRow>| history_key(old.place) < history_key(row.place);
    if found.get(&lookup).is_none_or(is_newer) {
        found.insert(lookup, Arc::new(row));
    }
}

/// Has other members look into segments that this one lacks.
async fn ask_others(
    node: &Arc<Node>,
    lookups: &[Lookup],
    mut missing: Vec<Arc<HistorySegmentRow>>,
    deadline: Instant,
    found: &mut Found,
) -> Result<(), ApiError> {
    let mut silent = Vec::new();
    for (member, address) in others(node) {
        let request = FindHistoryRequest {
            segments: missing.iter().map(|segment| HistorySegmentRow::clone(segment)).collect(),
            lookups: lookups.iter().map(Lookup::message).collect(),
        };
        let body = request.encode_to_vec().into();
        let limit = (deadline - node.env.now()).min(CALL);
        let answer = node.env.net().call(&address, Lane::Main, peers::FIND_HISTORY, body, limit).await.ok();
        let Some(answer) = answer.and_then(|body| FindHistoryResponse::decode(body).ok()) else {
            silent.push(member.to_string());
            continue;
        };
        answer.records.into_iter().for_each(|row| newest(found, row));
        let lacks: BTreeSet<_> = answer.missing.into_iter().map(|place| history_key(Some(place))).collect();
        missing.retain(|segment| lacks.contains(&history_key(segment.first)));
        if missing.is_empty() {
            return Ok(());
        }
    }
    if silent.is_empty() {
        warn!(segments = missing.len(), "no member has these segments of history any more");
        return Ok(());
    }
    Err(unreachable(&silent.join(", ")))
}

/// What a reader is told whose answer may be on members that do not answer.
pub(super) fn unreachable(members: &str) -> ApiError {
    let why = format!(
        "this member lacks a part of history, and so do those that answer; it may be on {members}. next: seawall status"
    );
    ApiError::new(ErrorCode::Server, why)
}

/// Answers a member that lacks segments.
pub(crate) async fn serve_find(node: &Arc<Node>, ask: FindHistoryRequest) -> FindHistoryResponse {
    let files = node.history.files.clone();
    let lookups: Vec<Lookup> = ask.lookups.into_iter().map(Lookup::of_message).collect();
    let mut segments: Vec<Arc<HistorySegmentRow>> = ask.segments.into_iter().map(Arc::new).collect();
    segments.sort_by_key(|segment| history_key(segment.first));
    let (records, missing) = node.env.thread("history", move || search(&files, segments, &lookups)).await;
    FindHistoryResponse { records, missing: missing.iter().filter_map(|segment| segment.first).collect() }
}
