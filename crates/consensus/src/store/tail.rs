//! The end of the log in memory: what is not synced yet, and as much of the rest as fits, so that replication and apply
//! read from memory and sled serves only those who lag.

use std::{collections::BTreeMap, ops::Range};

use crate::raft::{Entry, EntryKind};

/// Synced entries stay in memory up to this size.
pub(super) const TAIL_BYTES: usize = 32 << 20;
/// What an entry takes beside its payload, roughly.
const ENTRY_OVERHEAD_BYTES: usize = 128;

struct Held {
    entry: Entry,
    bytes: usize,
    /// The write that puts it on disk.
    serial: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Tail {
    entries: BTreeMap<u64, Held>,
    bytes: usize,
    synced_serial: u64,
}

/// What an entry weighs in memory and in a message.
pub(super) fn entry_bytes(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        EntryKind::Normal(payload) => payload.0.len(),
        _ => 0,
    };
    payload + ENTRY_OVERHEAD_BYTES
}

impl Tail {
    /// Adds an entry that the write `serial` puts on disk.
    pub(super) fn push(&mut self, entry: Entry, serial: u64) {
        let bytes = entry_bytes(&entry);
        self.bytes += bytes;
        if let Some(old) = self.entries.insert(entry.log_id.index, Held { entry, bytes, serial }) {
            self.bytes -= old.bytes;
        }
    }

    /// The entries from the start of `range` that are here, until they make up `bytes_max`; at least one if the first
    /// is here.
    pub(super) fn read(&self, range: Range<u64>, bytes_max: usize) -> Vec<Entry> {
        let mut found = Vec::new();
        let mut bytes = 0;
        for (next, (index, held)) in (range.start..).zip(self.entries.range(range)) {
            if *index != next || bytes >= bytes_max {
                break;
            }
            bytes += held.bytes;
            found.push(held.entry.clone());
        }
        found
    }

    /// The first entry from `index` on that is here.
    pub(super) fn first_from(&self, index: u64) -> Option<u64> {
        self.entries.range(index..).next().map(|(index, _)| *index)
    }

    pub(super) fn truncate_from(&mut self, index: u64) {
        let gone = self.entries.split_off(&index);
        self.bytes -= gone.values().map(|h| h.bytes).sum::<usize>();
    }

    pub(super) fn purge_to(&mut self, index: u64) {
        let kept = self.entries.split_off(&(index + 1));
        let gone = std::mem::replace(&mut self.entries, kept);
        self.bytes -= gone.values().map(|h| h.bytes).sum::<usize>();
    }

    /// Everything up to the write `serial` is on disk: what is too much in memory may go.
    pub(super) fn synced(&mut self, serial: u64) {
        self.synced_serial = self.synced_serial.max(serial);
        while self.bytes > TAIL_BYTES {
            match self.entries.first_entry() {
                Some(first) if first.get().serial <= self.synced_serial => self.bytes -= first.remove().bytes,
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{LogId, Payload};
    use openraft::{entry::RaftEntry as _, vote::leader_id_std::CommittedLeaderId};

    fn entry(index: u64, bytes: usize) -> Entry {
        let id = LogId::new(CommittedLeaderId::new(1), index);
        Entry::new(id, EntryKind::Normal(Payload(vec![0; bytes].into())))
    }

    fn indexes(entries: Vec<Entry>) -> Vec<u64> {
        entries.iter().map(|e| e.log_id.index).collect()
    }

    #[test]
    fn only_synced_entries_leave_and_only_past_the_limit() {
        let mut tail = Tail::default();
        for index in 0..5 {
            tail.push(entry(index, TAIL_BYTES / 4), index);
        }
        tail.synced(0);
        assert_eq!(tail.first_from(0), Some(1), "entry 0 is synced and too much");
        tail.push(entry(5, TAIL_BYTES), 5);
        tail.synced(0);
        assert_eq!(tail.first_from(0), Some(1), "entry 1 is nowhere but here");
        tail.synced(5);
        assert_eq!(tail.first_from(0), None);
        assert_eq!(tail.bytes, 0);
    }

    #[test]
    fn reads_stop_at_the_limit_and_at_holes_but_give_at_least_one() {
        let mut tail = Tail::default();
        for index in [3, 4, 5, 7] {
            tail.push(entry(index, 1000), 1);
        }
        assert_eq!(indexes(tail.read(3..9, usize::MAX)), [3, 4, 5]);
        assert_eq!(indexes(tail.read(3..9, 1)), [3]);
        assert_eq!(indexes(tail.read(2..9, usize::MAX)), [0; 0]);
        tail.truncate_from(5);
        tail.purge_to(3);
        assert_eq!(indexes(tail.read(4..9, usize::MAX)), [4]);
    }
}
