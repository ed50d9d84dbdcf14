//! The log as openraft sees it.

use std::{
    collections::VecDeque,
    fmt::Debug,
    io,
    ops::{Bound, Range, RangeBounds},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::{Stream, stream};
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage},
};
use seawall_env::{Env, TaskKind};
use tokio::sync::{mpsc, oneshot};

use super::{
    disk::{Change, Disk, Identity, Recovered},
    record,
    tail::{Tail, entry_bytes},
    writer::{Done, JOBS_WAITING_MAX, Job, Writer},
};
use crate::{
    StartError,
    raft::{Entry, LogId, TypeConfig, Vote},
};

/// Entries of one append message, or read at once for apply: far under a message's 4 MiB, even with one more entry.
const READ_BYTES: usize = 1 << 20;

/// What the store knows without asking the disk.
pub(super) struct Memory {
    vote: Option<Vote>,
    /// Noted by Raft; written with the next batch.
    committed: Option<LogId>,
    committed_on_disk: Option<LogId>,
    purged: Option<LogId>,
    /// Where the log begins, if it holds anything.
    first: u64,
    last: Option<LogId>,
    pub(super) tail: Tail,
    serial: u64,
    /// Of the writes since somebody last asked.
    pub(super) slowest_sync: Duration,
}

impl Memory {
    fn new(found: Recovered) -> Self {
        Memory {
            vote: found.vote,
            committed: found.committed,
            committed_on_disk: found.committed,
            purged: found.purged,
            first: found.first,
            last: found.last,
            tail: Tail::default(),
            serial: 0,
            slowest_sync: Duration::ZERO,
        }
    }

    /// The committed index, if it is news and the disk holds the log up to it: one that points past the log would make
    /// the next start fail.
    pub(super) fn committed_to_write(&mut self, last_on_disk: Option<u64>) -> Option<LogId> {
        let committed = self.committed.filter(|c| self.committed_on_disk.as_ref() != Some(c))?;
        if Some(committed.index) > last_on_disk {
            return None;
        }
        self.committed_on_disk = Some(committed);
        Some(committed)
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Indexes of `asked` that the log holds.
    fn held(&self, asked: Range<u64>) -> Range<u64> {
        let end = self.last.map_or(0, |l| l.index + 1);
        asked.start.max(self.first)..asked.end.min(end)
    }
}

/// The log of one member. Clones share it; each is also a reader.
#[derive(Clone)]
pub(crate) struct LogStore {
    env: Env,
    /// `None` once closed.
    disk: Arc<Mutex<Option<Arc<dyn Disk>>>>,
    memory: Arc<Mutex<Memory>>,
    jobs: mpsc::Sender<Job>,
}

impl LogStore {
    /// Recovers what `disk` holds and starts its writer.
    pub(crate) fn open(env: &Env, disk: Arc<dyn Disk>, identity: &Identity) -> Result<Self, StartError> {
        let found = disk.recover(identity)?;
        let last_on_disk = found.last.map(|l| l.index);
        let memory = Arc::new(Mutex::new(Memory::new(found)));
        let (jobs, waiting) = mpsc::channel(JOBS_WAITING_MAX);
        let writer = Writer::new(env.clone(), disk.clone(), memory.clone(), waiting, last_on_disk);
        match env.is_simulated() {
            true => drop(env.spawn(TaskKind::vital("log writer"), writer.run_as_task())),
            false => env.os_thread("log-writer", move || writer.run_on_thread()),
        }
        Ok(LogStore { env: env.clone(), disk: Arc::new(Mutex::new(Some(disk))), memory, jobs })
    }

    /// How long the slowest write with its sync took since this was last asked.
    pub(crate) fn take_slowest_sync(&self) -> Duration {
        std::mem::take(&mut self.memory.lock().expect("no panic while held").slowest_sync)
    }

    /// Writes what waits and lets go of the disk; every later call fails.
    pub(crate) async fn close(&self) {
        let disk = self.disk.lock().expect("no panic while held").take();
        drop(disk);
        let (caller, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(caller)).await.is_ok() {
            // An error means that the writer has ended already.
            let _ = closed.await;
        }
    }

    /// Entries from the start of `asked`, until they make up `bytes_max`; all that there are at the start if fewer.
    pub(crate) async fn read(&self, asked: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let range = self.memory().held(asked);
        let mut found: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        while range.start + (found.len() as u64) < range.end && bytes < bytes_max {
            let next = range.start + found.len() as u64;
            let more = self.read_some(next..range.end, bytes_max - bytes).await?;
            if more.is_empty() {
                return Err(self.missing(next));
            }
            bytes += more.iter().map(entry_bytes).sum::<usize>();
            found.extend(more);
        }
        Ok(found)
    }

    async fn read_some(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (from_tail, on_disk_to) = {
            let memory = self.memory();
            let tail_from = memory.tail.first_from(range.start).unwrap_or(range.end);
            (memory.tail.read(range.clone(), bytes_max), tail_from.min(range.end))
        };
        if !from_tail.is_empty() {
            return Ok(from_tail);
        }
        let disk = self.disk.lock().expect("no panic while held").clone().ok_or_else(closed)?;
        self.env.thread("log-reader", move || read_disk(&*disk, range.start..on_disk_to, bytes_max)).await
    }

    /// A hole can only be one that a purge or truncation has just made, or damage: Raft tells them apart by its own log.
    fn missing(&self, index: u64) -> io::Error {
        io::Error::new(io::ErrorKind::NotFound, format!("log entry {index} is missing"))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("no panic while held")
    }

    async fn submit(&self, serial: u64, changes: Vec<Change>, done: Done) -> io::Result<()> {
        self.jobs.send(Job::Write { serial, changes, done }).await.map_err(|_| closed())
    }

    async fn submit_and_wait(&self, serial: u64, change: Change) -> io::Result<()> {
        let (caller, written) = oneshot::channel();
        self.submit(serial, vec![change], Done::Caller(caller)).await?;
        written.await.map_err(|_| closed())
    }
}

fn read_disk(disk: &dyn Disk, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
    let records = disk.read(range, bytes_max)?;
    records.into_iter().map(|(index, record)| record::decode(index, record)).collect()
}

fn closed() -> io::Error {
    io::Error::other("the log is closed")
}

fn indexes(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(index) => index + 1,
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(indexes(&range), usize::MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.memory().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start..end, READ_BYTES).await
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let range = indexes(&range);
        let start = (self.clone(), range.start, VecDeque::new());
        // In pieces: a member that catches up would otherwise hold the whole range in memory.
        stream::try_unfold(start, move |(store, next, mut ready)| async move {
            if ready.is_empty() && next < range.end {
                ready = VecDeque::from(store.read(next..range.end, READ_BYTES).await?);
            }
            Ok(ready.pop_front().map(|entry| (entry, (store, next + 1, ready))))
        })
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let memory = self.memory();
        Ok(LogState { last_purged_log_id: memory.purged, last_log_id: memory.last })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let serial = self.memory().next_serial();
        self.submit_and_wait(serial, Change::Vote(*vote)).await?;
        self.memory().vote = Some(*vote);
        Ok(())
    }

    /// Only noted: a sync of its own would cost a third of the throughput.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.memory().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.memory().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let append = |entry: &Entry| Change::Append { index: entry.log_id.index, record: record::encode(entry) };
        let changes = entries.iter().map(append).collect();
        let serial = {
            let mut memory = self.memory();
            let serial = memory.next_serial();
            if memory.last == memory.purged {
                memory.first = entries.first().map_or(memory.first, |e| e.log_id.index);
            }
            memory.last = entries.last().map(|e| e.log_id).or(memory.last);
            entries.into_iter().for_each(|entry| memory.tail.push(entry, serial));
            serial
        };
        self.submit(serial, changes, Done::Raft(callback)).await
    }

    /// Waits: a snapshot may follow that must not become durable beside the entries it replaces.
    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let from = last_log_id.map_or(0, |id| id.index + 1);
        let serial = {
            let mut memory = self.memory();
            memory.tail.truncate_from(from);
            // Nothing lies after the end: there is nothing to cut off then.
            memory.last = memory.last.min(last_log_id).max(memory.purged);
            memory.next_serial()
        };
        self.submit_and_wait(serial, Change::TruncateFrom(from)).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        let serial = {
            let mut memory = self.memory();
            memory.tail.purge_to(log_id.index);
            memory.purged = Some(log_id).max(memory.purged);
            memory.first = memory.first.max(log_id.index + 1);
            memory.last = memory.last.max(Some(log_id));
            memory.next_serial()
        };
        self.submit(serial, vec![Change::Purge(log_id)], Done::Nobody).await
    }
}
