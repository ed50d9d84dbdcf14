//! The one writer: takes all that waits, puts it on disk as one synced batch, then answers in order. Group commit comes
//! from that alone: while one batch syncs, the next one gathers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use openraft::storage::IOFlushed;
use seawall_env::Env;
use tokio::sync::{mpsc, oneshot};

use super::{
    disk::{Change, Disk},
    log::Memory,
};
use crate::raft::TypeConfig;

/// Writes that wait for the writer.
pub(super) const JOBS_WAITING_MAX: usize = 4096;
/// A batch takes no more jobs once it holds this much.
const BATCH_BYTES: usize = 8 << 20;
/// What a sync takes in the simulation, at least.
const SIMULATED_SYNC: Duration = Duration::from_micros(200);

/// Who waits for a write.
pub(super) enum Done {
    Nobody,
    Raft(IOFlushed<TypeConfig>),
    Caller(oneshot::Sender<()>),
}

impl Done {
    fn tell(self) {
        match self {
            Done::Nobody => {}
            Done::Raft(callback) => callback.io_completed(Ok(())),
            // A caller that gave up has no use for the answer.
            Done::Caller(caller) => drop(caller.send(())),
        }
    }
}

/// What the store asks of the writer.
pub(super) enum Job {
    Write {
        serial: u64,
        changes: Vec<Change>,
        done: Done,
    },
    /// The last one: what came before is written, the disk is let go.
    Close(oneshot::Sender<()>),
}

/// See the module.
pub(super) struct Writer {
    env: Env,
    disk: Arc<dyn Disk>,
    memory: Arc<Mutex<Memory>>,
    jobs: mpsc::Receiver<Job>,
    /// Index of the last entry on disk.
    last_on_disk: Option<u64>,
    /// What was purged is not all removed yet.
    untidy: bool,
    closing: Option<oneshot::Sender<()>>,
}

impl Writer {
    pub(super) fn new(
        env: Env,
        disk: Arc<dyn Disk>,
        memory: Arc<Mutex<Memory>>,
        jobs: mpsc::Receiver<Job>,
        last_on_disk: Option<u64>,
    ) -> Self {
        Writer { env, disk, memory, jobs, last_on_disk, untidy: true, closing: None }
    }

    /// Until the store is closed or dropped, on a thread of its own.
    pub(super) fn run_on_thread(mut self) {
        while let Some(first) = self.wait_blocking() {
            self.write_all_that_waits(first);
            if self.closing.is_some() {
                break;
            }
        }
        self.end();
    }

    /// The same as a task, for the simulation: a crash loses what is not synced, as on a machine.
    pub(super) async fn run_as_task(mut self) {
        while let Some(first) = self.jobs.recv().await {
            self.env.sleep(self.env.jitter(SIMULATED_SYNC)).await;
            self.write_all_that_waits(first);
            if self.closing.is_some() {
                break;
            }
        }
        self.end();
    }

    fn wait_blocking(&mut self) -> Option<Job> {
        while self.untidy {
            match self.jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => self.tidy(),
            }
        }
        self.jobs.blocking_recv()
    }

    fn write_all_that_waits(&mut self, first: Job) {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(job) = next {
            self.take(&mut batch, job);
            next = match batch.bytes < BATCH_BYTES && self.closing.is_none() {
                true => self.jobs.try_recv().ok(),
                false => None,
            };
        }
        self.write(batch);
    }

    fn take(&mut self, batch: &mut Batch, job: Job) {
        match job {
            Job::Close(caller) => self.closing = Some(caller),
            Job::Write { serial, changes, done } => {
                batch.serial = serial;
                batch.bytes += changes.iter().map(change_bytes).sum::<usize>();
                batch.changes.extend(changes);
                batch.done.push(done);
            }
        }
    }

    fn write(&mut self, mut batch: Batch) {
        for change in &batch.changes {
            match change {
                Change::Append { index, .. } => self.last_on_disk = Some(*index),
                Change::TruncateFrom(index) => self.last_on_disk = self.last_on_disk.min(index.checked_sub(1)),
                Change::Purge(id) => {
                    self.last_on_disk = self.last_on_disk.max(Some(id.index));
                    self.untidy = true;
                }
                Change::Vote(_) | Change::Committed(_) => {}
            }
        }
        let committed = self.memory().committed_to_write(self.last_on_disk);
        batch.changes.extend(committed.map(Change::Committed));
        let began = self.env.now();
        if !batch.changes.is_empty()
            && let Err(e) = self.disk.write(batch.changes)
        {
            self.fatal("writing the log", &e);
        }
        let took = self.env.now() - began;
        let mut memory = self.memory();
        memory.slowest_sync = memory.slowest_sync.max(took);
        memory.tail.synced(batch.serial);
        drop(memory);
        batch.done.into_iter().for_each(Done::tell);
    }

    fn tidy(&mut self) {
        match self.disk.tidy() {
            Ok(more) => self.untidy = more,
            Err(e) => self.fatal("removing purged entries", &e),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().expect("no panic while held")
    }

    /// After a failed write or sync nobody knows what is on the disk, and going on would acknowledge what may be lost.
    fn fatal(&self, what: &str, error: &std::io::Error) -> ! {
        self.env.abort(&format!("{what} failed, and what is on disk is unknown now ({error})"))
    }

    /// The committed index of an idle log rides in no batch: it is written here.
    fn end(mut self) {
        self.write(Batch::default());
        let closing = self.closing.take();
        drop(self);
        if let Some(caller) = closing {
            // A caller that gave up waiting has its answer.
            let _ = caller.send(());
        }
    }
}

/// What is written together.
#[derive(Default)]
struct Batch {
    serial: u64,
    bytes: usize,
    changes: Vec<Change>,
    done: Vec<Done>,
}

fn change_bytes(change: &Change) -> usize {
    match change {
        Change::Append { record, .. } => record.len(),
        _ => 0,
    }
}
