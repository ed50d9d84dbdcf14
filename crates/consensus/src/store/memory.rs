//! A disk in memory: what a simulated machine keeps over a restart. It takes room on the machine's file system, and fails
//! with it.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use seawall_env::fs::Fs;

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
pub struct MemoryStore(Arc<Mutex<Held>>);

impl MemoryStore {
    /// The disk, on a file system and in a folder of it.
    pub(crate) fn disk(&self, fs: Arc<dyn Fs>, folder: PathBuf) -> Arc<MemoryDisk> {
        Arc::new(MemoryDisk { held: self.0.clone(), fs, folder })
    }

    /// Changes one byte of an entry, as a failing disk does. False where there is no such entry.
    pub fn damage_entry(&self, index: u64) -> bool {
        let mut held = lock(&self.0);
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

/// See the module.
pub(crate) struct MemoryDisk {
    held: Arc<Mutex<Held>>,
    fs: Arc<dyn Fs>,
    folder: PathBuf,
}

#[derive(Default)]
struct Held {
    identity: Option<Identity>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    records: BTreeMap<u64, Bytes>,
    /// Of the records.
    bytes: u64,
}

impl MemoryDisk {
    fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    /// Fails where the machine's disk does.
    fn check(&self) -> io::Result<()> {
        self.fs.list(&self.folder).map(drop)
    }

    /// Fails where `more` bytes do not fit any more.
    fn check_room(&self, more: u64) -> io::Result<()> {
        let free_bytes = self.fs.space(&self.folder)?.free_bytes;
        match self.held().bytes.saturating_add(more) <= free_bytes {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().expect("no panic while held")
}

impl Held {
    fn free(&mut self, records: impl IntoIterator<Item = Bytes>) {
        self.bytes -= records.into_iter().map(|record| record.len() as u64).sum::<u64>();
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Vote(vote) => self.vote = Some(vote),
            Change::Committed(committed) => self.committed = Some(committed),
            Change::Append { index, record } => {
                self.bytes += record.len() as u64;
                let replaced = self.records.insert(index, record);
                self.free(replaced);
            }
            Change::TruncateFrom(index) => {
                let cut = self.records.split_off(&index);
                self.free(cut.into_values());
            }
            Change::Purge(id) => {
                let kept = self.records.split_off(&(id.index + 1));
                let purged = std::mem::replace(&mut self.records, kept);
                self.free(purged.into_values());
                self.purged = Some(id);
            }
        }
    }
}

fn bytes_of(change: &Change) -> u64 {
    match change {
        Change::Append { record, .. } => record.len() as u64,
        _ => 0,
    }
}

impl Disk for MemoryDisk {
    fn recover(&self, identity: &Identity) -> Result<Recovered, StartError> {
        self.check()?;
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
        self.check()?;
        self.check_room(changes.iter().map(bytes_of).sum())?;
        let mut held = self.held();
        changes.into_iter().for_each(|c| held.change(c));
        Ok(())
    }

    fn read(&self, indexes: Range<u64>, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        self.check()?;
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
