//! A disk in memory: what a simulated machine keeps over a restart.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use super::{
    disk::{Change, Disk, Identity, Recovered, check_identity},
    record,
};
use crate::{
    StartError,
    raft::{LogId, Vote},
};

/// A log in memory that outlives a simulated restart: clones share it.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<MemoryDisk>);

impl MemoryStore {
    pub(crate) fn disk(&self) -> Arc<MemoryDisk> {
        self.0.clone()
    }

    /// Changes one byte of an entry, as a failing disk does. False where there is no such entry.
    pub fn damage_entry(&self, index: u64) -> bool {
        let mut held = self.0.held();
        let Some(record) = held.records.get_mut(&index) else {
            return false;
        };
        let mut bytes = record.to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        *record = bytes.into();
        true
    }
}

#[derive(Default)]
pub(crate) struct MemoryDisk(Mutex<Held>);

#[derive(Default)]
struct Held {
    identity: Option<Identity>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    records: BTreeMap<u64, Bytes>,
}

impl MemoryDisk {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().expect("no panic while held")
    }
}

impl Held {
    fn change(&mut self, change: Change) {
        match change {
            Change::Vote(vote) => self.vote = Some(vote),
            Change::Committed(committed) => self.committed = Some(committed),
            Change::Append { index, record } => {
                self.records.insert(index, record);
            }
            Change::TruncateFrom(index) => {
                self.records.split_off(&index);
            }
            Change::Purge(id) => {
                self.records = self.records.split_off(&(id.index + 1));
                self.purged = Some(id);
            }
        }
    }
}

impl Disk for MemoryDisk {
    fn recover(&self, identity: &Identity) -> Result<Recovered, StartError> {
        let mut held = self.held();
        if let Some(mark) = check_identity(held.identity.clone(), identity, Path::new("memory"))? {
            held.identity = Some(mark);
        }
        let last = match held.records.last_key_value() {
            Some((index, record)) => {
                Some(record::decode(*index, record.clone()).map_err(|e| StartError::Corrupt(e.to_string()))?.log_id)
            }
            None => held.purged,
        };
        let after_purged = held.purged.map_or(0, |p| p.index + 1);
        let first = held.records.first_key_value().map_or(after_purged, |(index, _)| *index);
        Ok(Recovered { vote: held.vote, committed: held.committed, purged: held.purged, first, last })
    }

    fn write(&self, changes: Vec<Change>) -> io::Result<()> {
        let mut held = self.held();
        changes.into_iter().for_each(|c| held.change(c));
        Ok(())
    }

    fn read(&self, indexes: Range<u64>, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        let held = self.held();
        let mut found = Vec::new();
        let mut bytes = 0;
        for index in indexes {
            let Some(record) = held.records.get(&index) else { break };
            bytes += record.len();
            found.push((index, record.clone()));
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(found)
    }

    fn tidy(&self) -> io::Result<bool> {
        Ok(false)
    }
}
