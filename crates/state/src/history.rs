//! History as the state knows it: the open records, and the segments that members hold as files (hard part 10).

use std::sync::Arc;

use prost::Message;
use seawall_proto::internal::v1::{HistoryPlace, HistoryRow, HistorySegmentRow};

use crate::{DEFAULT_LIMITS, State};

/// Where a record is in history: the entry that retired it, and its number among those of that entry.
pub type HistoryKey = (u64, u32);

/// Bytes of records that wait for their segment. Beyond it the oldest are lost: most members cannot write them.
pub const HISTORY_OPEN_BYTES_MAX: u64 = 16 << 20;
/// A segment is sealed at this size unless the cluster's limits say otherwise.
const SEAL_BYTES: u64 = 1 << 20;
/// Sealed segments are this much in all unless the cluster's limits say otherwise.
const BYTES: u64 = 256 << 20;
/// What left the state is kept for this long unless the cluster's limits say otherwise.
const AGE_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// A place as a key.
pub fn history_key(place: Option<HistoryPlace>) -> HistoryKey {
    let place = place.unwrap_or_default();
    (place.index, place.ordinal)
}

/// A key as a place.
pub fn history_place((index, ordinal): HistoryKey) -> HistoryPlace {
    HistoryPlace { index, ordinal }
}

impl State {
    /// The oldest open records, once they are enough for a segment.
    pub fn history_to_seal(&self) -> Option<(HistoryKey, HistoryKey)> {
        let limit = self.history_limit(|limits| limits.history_seal_bytes, SEAL_BYTES);
        if self.index.history_open_bytes < limit {
            return None;
        }
        let (first, _) = self.history_open.first()?;
        let mut bytes = 0;
        let last = self.history_open.iter().find(|(_, row)| {
            bytes += row.encoded_len() as u64;
            bytes >= limit
        });
        last.map(|(last, _)| (*first, *last))
    }

    /// The end of the segments that are past their age or their number, if there are any.
    pub fn history_to_drop(&self, now_ms: i64) -> Option<HistoryKey> {
        let age_ms = self.history_limit(|limits| limits.history_age_ms, AGE_MS);
        let limit = self.history_limit(|limits| limits.history_bytes, BYTES);
        let oldest_ms = now_ms.saturating_sub_unsigned(age_ms);
        let mut surplus = self.index.history_bytes.saturating_sub(limit);
        let too_many = self.history_segments.iter().take_while(|(_, row)| {
            let goes = surplus > 0 || row.retired_at_ms < oldest_ms;
            surplus = surplus.saturating_sub(row.bytes);
            goes
        });
        too_many.last().map(|(_, row)| history_key(row.last))
    }

    /// The open records from `first` to `last`; `None` where these are not the ends of what is there.
    pub fn open_history(&self, first: HistoryKey, last: HistoryKey) -> Option<Vec<Arc<HistoryRow>>> {
        if first > last {
            return None;
        }
        let rows: Vec<Arc<HistoryRow>> = self.history_open.range(first..=last).map(|(_, row)| row.clone()).collect();
        let ends = [rows.first(), rows.last()].map(|row| row.map(|row| history_key(row.place)));
        (ends == [Some(first), Some(last)]).then_some(rows)
    }

    /// The end of history, where something was retired after this cluster time.
    pub fn history_end_since(&self, since_ms: i64) -> Option<HistoryKey> {
        let open = self.history_open.last().map(|(key, row)| (*key, row.retired_at_ms));
        let sealed = || self.history_segments.last().map(|(_, row)| (history_key(row.last), row.retired_at_ms));
        let ((index, ordinal), retired_at_ms) = open.or_else(sealed)?;
        (retired_at_ms >= since_ms).then_some((index, ordinal + 1))
    }

    /// Bytes of the open records.
    pub fn history_open_bytes(&self) -> u64 {
        self.index.history_open_bytes
    }

    /// Bytes of the files of all segments.
    pub fn history_bytes(&self) -> u64 {
        self.index.history_bytes
    }

    fn history_limit(&self, limit: fn(&seawall_proto::internal::v1::Limits) -> u64, otherwise: u64) -> u64 {
        match limit(self.meta.limits.as_ref().unwrap_or(&DEFAULT_LIMITS)) {
            0 => otherwise,
            limit => limit,
        }
    }

    pub(crate) fn put_history(&mut self, row: HistoryRow) {
        self.index.history_open_bytes += row.encoded_len() as u64;
        self.history_open.put(history_key(row.place), Arc::new(row));
    }

    pub(crate) fn remove_history(&mut self, key: &HistoryKey) {
        let Some(row) = self.history_open.remove(key) else { return };
        self.index.history_open_bytes -= row.encoded_len() as u64;
    }

    pub(crate) fn put_segment(&mut self, row: HistorySegmentRow) {
        self.index.history_bytes += row.bytes;
        self.history_segments.put(history_key(row.first), Arc::new(row));
    }

    pub(crate) fn remove_segment(&mut self, key: &HistoryKey) {
        let Some(row) = self.history_segments.remove(key) else { return };
        self.index.history_bytes -= row.bytes;
    }
}
