//! Records one after the other, the newest first.

use std::sync::Arc;

use seawall_env::Instant;
use seawall_model::{ApiError, ClusterId, ServiceId};
use seawall_proto::internal::v1::{HistoryKind, HistoryRow};
use seawall_state::{HistoryKey, State, history_key};
use tracing::warn;

use super::{
    fetch::{self, Absent},
    find::unreachable,
    listed, segment,
};
use crate::api::Node;

/// Segments that one page reads: what is rare among them may leave it empty, with a place to go on at.
const SEGMENTS_A_PAGE: usize = 16;

/// Which records, and from where on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct PageOf {
    pub(crate) kind: HistoryKind,
    pub(crate) cluster: ClusterId,
    /// Of every service, or of none, where absent.
    pub(crate) service: Option<ServiceId>,
    /// What retired before this cluster time is left out.
    pub(crate) since_ms: i64,
    /// Records before this place.
    pub(crate) before: HistoryKey,
    pub(crate) limit: usize,
}

/// Some records, newest first, and where to go on; `None` where there are no more.
#[derive(Clone, Default, Debug)]
pub(crate) struct Paged {
    pub(crate) rows: Vec<Arc<HistoryRow>>,
    pub(crate) next: Option<HistoryKey>,
}

impl PageOf {
    /// The page from the open records, and whether it is full.
    pub(crate) fn open(&self, state: &State) -> (Paged, bool) {
        let mut paged = Paged::default();
        let rows: Vec<Arc<HistoryRow>> = state.history_open.iter().map(|(_, row)| row.clone()).collect();
        let is_full = self.fill(&mut paged, rows.into_iter());
        (paged, is_full)
    }

    fn takes(&self, row: &HistoryRow) -> bool {
        row.kind() == self.kind
            && row.cluster_id == self.cluster.0
            && self.service.is_none_or(|service| row.service_id == service.0)
            && row.retired_at_ms >= self.since_ms
            && history_key(row.place) < self.before
    }

    /// Takes of `rows`, oldest first, what fits; true once the page is full.
    fn fill(&self, paged: &mut Paged, rows: impl DoubleEndedIterator<Item = Arc<HistoryRow>>) -> bool {
        for row in rows.rev().filter(|row| self.takes(row)) {
            if paged.rows.len() == self.limit {
                paged.next = paged.rows.last().map(|last| history_key(last.place));
                return true;
            }
            paged.rows.push(row);
        }
        false
    }
}

/// The next records of history at this state.
///
/// # Errors
/// A segment is on members that do not answer.
pub(crate) async fn page(node: &Arc<Node>, state: &State, ask: &PageOf, deadline: Instant) -> Result<Paged, ApiError> {
    let (mut paged, is_full) = ask.open(state);
    if is_full {
        return Ok(paged);
    }
    let mut read = 0;
    for row in listed(state).into_iter().rev() {
        if history_key(row.first) >= ask.before {
            continue;
        }
        if row.retired_at_ms < ask.since_ms {
            return Ok(paged);
        }
        if read == SEGMENTS_A_PAGE || node.env.now() >= deadline {
            let (index, ordinal) = history_key(row.last);
            paged.next = Some((index, ordinal + 1));
            return Ok(paged);
        }
        read += 1;
        let bytes = match fetch::obtain(node, &row).await {
            Ok(bytes) => bytes,
            Err(Absent::Unreachable) => return Err(unreachable("members that do not answer")),
            Err(Absent::Lost) => {
                warn!("no member has this segment of history any more");
                continue;
            }
        };
        let rows = node.env.thread("history", move || segment::decode(&bytes)).await;
        match rows {
            Ok(rows) => {
                if ask.fill(&mut paged, rows.into_iter().map(Arc::new)) {
                    return Ok(paged);
                }
            }
            // Its bytes are those that were sealed: another version wrote them.
            Err(why) => warn!(%why, "a segment of history cannot be read"),
        }
    }
    Ok(paged)
}
