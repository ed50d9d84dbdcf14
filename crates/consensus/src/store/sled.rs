//! sled 0.34.7 as a disk. Its known holes are closed here:
//!
//! - `flush` is no fsync on Linux: a file handle of our own on sled's file is synced after each flush.
//! - Killed while it wrote a snapshot of its page table, it does not open again: leftovers are removed first. The
//!   rename that completes one is atomic, so the one before is whole.
//! - Values over a quarter of a segment spill to files that are never synced: segments are 8 MiB and no value is over
//!   64 KiB, larger entries are cut into parts.
//! - Several trees are not written atomically: there is one, and one batch a write.
//!
//! Keys: `identity`, `vote`, `committed`, `purged`, and `log:` with index and part, both big-endian.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::{Bytes, BytesMut};
use prost::Message;
use rustix::fs::{Mode, OFlags};
use seawall_env::Env;
use seawall_proto::internal::v1 as proto;

use super::{
    disk::{Change, Disk, Identity, Recovered, check_identity},
    record,
};
use crate::{
    StartError, codec,
    raft::{LogId, Vote},
};

const IDENTITY: &[u8] = b"identity";
const VOTE: &[u8] = b"vote";
const COMMITTED: &[u8] = b"committed";
const PURGED: &[u8] = b"purged";
const LOG: &[u8] = b"log:";
const LOG_END: &[u8] = b"log;";

/// Largest value given to sled.
const PART_BYTES: usize = 64 << 10;
/// Fixed when the folder is made: with less, 64 KiB values spill to files that sled never syncs.
const SEGMENT_BYTES: usize = 8 << 20;
/// sled's default is 1 GiB; the log's reader has the tail in memory.
const CACHE_BYTES: u64 = 64 << 20;
/// sled collects its garbage in the thread that flushes.
const FLUSH_EVERY_MS: u64 = 500;
/// Purged keys removed at once, so that no write waits long behind them.
const TIDY_KEYS: usize = 512;

/// See the module.
pub(crate) struct SledDisk {
    db: ::sled::Db,
    folder: PathBuf,
    /// Our own handle on sled's file, for real syncs.
    file: OwnedFd,
    /// Entries before this one are to be removed.
    first: AtomicU64,
}

impl SledDisk {
    /// Opens the log in `folder`, or makes one. Blocks.
    pub(crate) fn open(env: &Env, folder: &Path) -> Result<Self, StartError> {
        env.fs().create_dir_all(folder)?;
        remove_leftovers(env, folder)?;
        let db = ::sled::Config::new()
            .path(folder)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .open()
            .map_err(|e| open_error(folder, e))?;
        let file = rustix::fs::open(folder.join("db"), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(io::Error::from)?;
        sync_folder(folder)?;
        if let Some(parent) = folder.parent() {
            sync_folder(parent)?;
        }
        Ok(SledDisk { db, folder: folder.to_owned(), file, first: AtomicU64::new(0) })
    }

    fn put(&self, staged: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> io::Result<()> {
        let mut batch = ::sled::Batch::default();
        for (key, value) in staged {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        Ok(rustix::fs::fdatasync(&self.file)?)
    }

    fn stage(&self, staged: &mut BTreeMap<Vec<u8>, Option<Vec<u8>>>, change: Change) -> io::Result<()> {
        match change {
            Change::Vote(vote) => put(staged, VOTE, sealed(&codec::vote_message(&vote))),
            Change::Committed(id) => put(staged, COMMITTED, sealed(&codec::log_id_message(&id))),
            Change::Append { index, record } => {
                for (part, bytes) in (0..).zip(record.chunks(PART_BYTES)) {
                    put(staged, &part_key(index, part), bytes.to_vec());
                }
            }
            Change::TruncateFrom(index) => {
                for (_, value) in staged.range_mut(part_key(index, 0)..LOG_END.to_vec()) {
                    *value = None;
                }
                for key in self.db.range(part_key(index, 0)..LOG_END.to_vec()).keys() {
                    staged.insert(key?.to_vec(), None);
                }
            }
            Change::Purge(id) => {
                put(staged, PURGED, sealed(&codec::log_id_message(&id)));
                self.first.fetch_max(id.index + 1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn value<M: Message + Default>(&self, key: &[u8]) -> Result<Option<M>, StartError> {
        let Some(value) = self.db.get(key).map_err(io::Error::from)? else {
            return Ok(None);
        };
        let name = String::from_utf8_lossy(key).into_owned();
        let damaged = || StartError::Corrupt(format!("the {name} in {}", self.folder.display()));
        let (checksum, bytes) = value.split_first_chunk().ok_or_else(damaged)?;
        if crc32c::crc32c(bytes) != u32::from_be_bytes(*checksum) {
            return Err(damaged());
        }
        M::decode(bytes).map(Some).map_err(|_| damaged())
    }

    fn identity(&self) -> Result<Option<Identity>, StartError> {
        let Some(value) = self.db.get(IDENTITY).map_err(io::Error::from)? else {
            return Ok(None);
        };
        let damaged = || StartError::Corrupt(format!("the identity in {}", self.folder.display()));
        let (member_id, cluster_id) = value.split_first_chunk().ok_or_else(damaged)?;
        let member_id = u64::from_be_bytes(*member_id);
        Ok(Some(Identity { member_id, cluster_id: cluster_id.to_vec(), had_log: true }))
    }

    fn last_entry(&self) -> Result<Option<LogId>, StartError> {
        let Some(last) = self.db.range(LOG..LOG_END).keys().next_back() else {
            return Ok(None);
        };
        let key = last.map_err(io::Error::from)?;
        let index = key_index(&key).ok_or_else(|| StartError::Corrupt("a key of the log".into()))?;
        let found = self.read(index..index + 1, usize::MAX)?;
        let record = found.into_iter().next().map(|(_, record)| record).unwrap_or_default();
        record::decode(index, record).map(|e| Some(e.log_id)).map_err(|e| StartError::Corrupt(e.to_string()))
    }
}

impl Disk for SledDisk {
    fn recover(&self, identity: &Identity) -> Result<Recovered, StartError> {
        if let Some(mark) = check_identity(self.identity()?, identity, &self.folder)? {
            let mut value = mark.member_id.to_be_bytes().to_vec();
            value.extend(mark.cluster_id);
            self.put(BTreeMap::from([(IDENTITY.to_vec(), Some(value))]))?;
        }
        let vote: Option<Vote> = self.value::<proto::RaftVote>(VOTE)?.map(codec::vote);
        let committed = self.value::<proto::RaftLogId>(COMMITTED)?.map(codec::log_id);
        let purged = self.value::<proto::RaftLogId>(PURGED)?.map(codec::log_id);
        let last = self.last_entry()?.max(purged);
        let after_purged = purged.map_or(0, |p| p.index + 1);
        self.first.store(after_purged, Ordering::Relaxed);
        let first = match self.db.range(part_key(after_purged, 0)..LOG_END.to_vec()).keys().next() {
            Some(key) => key_index(&key.map_err(io::Error::from)?).unwrap_or(after_purged),
            None => after_purged,
        };
        Ok(Recovered { vote, committed, purged, first, last })
    }

    fn write(&self, changes: Vec<Change>) -> io::Result<()> {
        let mut staged = BTreeMap::new();
        for change in changes {
            self.stage(&mut staged, change)?;
        }
        self.put(staged)
    }

    fn read(&self, indexes: Range<u64>, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        let mut found: Vec<(u64, BytesMut)> = Vec::new();
        let mut bytes = 0;
        for item in self.db.range(part_key(indexes.start, 0)..part_key(indexes.end, 0)) {
            let (key, part) = item?;
            let index = key_index(&key).ok_or_else(|| io::Error::other("a key of the log is damaged"))?;
            let expected = indexes.start + found.len() as u64;
            match found.last_mut() {
                Some((last, record)) if *last == index => record.extend_from_slice(&part),
                _ if index != expected || bytes >= bytes_max => break,
                _ => found.push((index, BytesMut::from(&part[..]))),
            }
            bytes += part.len();
        }
        Ok(found.into_iter().map(|(index, record)| (index, record.freeze())).collect())
    }

    fn tidy(&self) -> io::Result<bool> {
        let first = self.first.load(Ordering::Relaxed);
        let mut batch = ::sled::Batch::default();
        let mut count = 0;
        for key in self.db.range(LOG.to_vec()..part_key(first, 0)).keys().take(TIDY_KEYS) {
            batch.remove(key?);
            count += 1;
        }
        // Not flushed: what is removed twice is no loss.
        self.db.apply_batch(batch)?;
        Ok(count == TIDY_KEYS)
    }
}

fn put(staged: &mut BTreeMap<Vec<u8>, Option<Vec<u8>>>, key: &[u8], value: Vec<u8>) {
    staged.insert(key.to_vec(), Some(value));
}

/// A message with its checksum in front.
fn sealed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let mut value = crc32c::crc32c(&bytes).to_be_bytes().to_vec();
    value.extend(bytes);
    value
}

fn part_key(index: u64, part: u32) -> Vec<u8> {
    [LOG, &index.to_be_bytes(), &part.to_be_bytes()].concat()
}

fn key_index(key: &[u8]) -> Option<u64> {
    let digits = key.strip_prefix(LOG)?.first_chunk()?;
    Some(u64::from_be_bytes(*digits))
}

fn remove_leftovers(env: &Env, folder: &Path) -> io::Result<()> {
    for name in env.fs().list(folder)? {
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::info!("removing {name}, left by a kill while sled wrote it");
            env.fs().remove(&folder.join(name))?;
        }
    }
    Ok(())
}

fn open_error(folder: &Path, error: ::sled::Error) -> StartError {
    match error {
        ::sled::Error::Corruption { .. } => StartError::Corrupt(format!("{}: {error}", folder.display())),
        other => StartError::Io(other.into()),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    let handle = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::fs::fsync(&handle)?)
}
