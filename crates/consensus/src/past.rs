//! What was: the state after an earlier entry, built anew from the newest snapshot and the log, and the commands of entries.
//!
//! How far back that goes is said by the two: a snapshot takes the place of the one before, and of the log up to a few entries
//! behind it. The member goes on meanwhile; what is built is a copy.

use std::{io, ops::Range, time::Duration};

use prost::Message;
use seawall_proto::internal::v1::{Command, EntryPayload};
use seawall_state::State;

use crate::{
    PastError, PastState,
    consensus::Inner,
    machine::{SnapshotFile, read_snapshot},
    raft::{Entry, EntryKind},
};

/// Log that is read and applied at once.
const PIECE_BYTES: usize = 1 << 20;
/// Between two pieces: entries that clients wait for come first.
const PAUSE: Duration = Duration::from_millis(5);

/// The state right after the entry at `index`.
pub(crate) async fn state_at(inner: &Inner, index: u64) -> Result<PastState, PastError> {
    let applied = inner.published.state().index;
    if index > applied {
        return Err(PastError::NotYet { index, applied });
    }
    let (checkpoint_index, mut state) = checkpoint(inner, index).await?;
    let mut next = checkpoint_index.map_or(0, |at| at + 1);
    while next <= index {
        let entries = read(inner, next..index + 1).await?;
        next += entries.len() as u64;
        let apply = move || entries.into_iter().try_fold(state, apply_entry);
        state = inner.env.thread("past", apply).await?;
        inner.env.sleep(PAUSE).await;
    }
    Ok(PastState { state, checkpoint_index: checkpoint_index.unwrap_or(0) })
}

/// The commands of each entry of `range`, with its index.
pub(crate) async fn commands(inner: &Inner, range: Range<u64>) -> Result<Vec<(u64, Vec<Command>)>, PastError> {
    let mut found = Vec::new();
    let mut next = range.start;
    while next < range.end {
        let entries = read(inner, next..range.end).await?;
        next += entries.len() as u64;
        for entry in entries {
            found.push((entry.log_id.index, commands_of(entry)?));
        }
    }
    Ok(found)
}

/// The newest snapshot, if it is not too new; without any, the state before the first entry.
async fn checkpoint(inner: &Inner, index: u64) -> Result<(Option<u64>, State), PastError> {
    let Some(file) = inner.published.snapshot() else { return Ok((None, State::new())) };
    match index_of(&file) {
        Some(at) if at > index => Err(PastError::Gone { index, first: at }),
        at => {
            let state = inner.env.thread("past", move || read_snapshot(&file)).await?;
            Ok((at, state))
        }
    }
}

fn index_of(file: &SnapshotFile) -> Option<u64> {
    file.meta.last_log_id.map(|id| id.index)
}

/// Some entries from the start of `range`: at least one.
async fn read(inner: &Inner, range: Range<u64>) -> Result<Vec<Entry>, PastError> {
    let start = range.start;
    let entries = inner.log.read(range, PIECE_BYTES).await?;
    match entries.first().map(|entry| entry.log_id.index) {
        Some(first) if first == start => Ok(entries),
        first => Err(PastError::Gone { index: start, first: first.unwrap_or(start + 1) }),
    }
}

fn apply_entry(mut state: State, entry: Entry) -> Result<State, PastError> {
    let index = entry.log_id.index;
    for command in commands_of(entry)? {
        state.apply(index, &command);
    }
    Ok(state)
}

fn commands_of(entry: Entry) -> Result<Vec<Command>, PastError> {
    match entry.payload {
        EntryKind::Normal(payload) => Ok(EntryPayload::decode(payload.0)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            .commands),
        EntryKind::Blank | EntryKind::Membership(_) => Ok(Vec::new()),
    }
}
