//! What the machine hands out: the applied state, the entries as they come, hash points and the newest snapshot.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use seawall_state::State;
use tokio::sync::{broadcast, watch};

use super::SnapshotFile;
use crate::{AppliedEntry, AppliedReceiver, AppliedState, HashPoint, SnapshotCounts};

/// Entries that a slow reader may be behind before it is told that it missed some.
const ENTRIES_WAITING: usize = 1024;
/// Hash points kept, newest last.
const HASH_POINTS: usize = 16;

/// See the module.
pub(crate) struct Published {
    state: ArcSwap<AppliedState>,
    index: watch::Sender<u64>,
    entries: broadcast::Sender<Arc<AppliedEntry>>,
    hashes: Mutex<VecDeque<HashPoint>>,
    /// Payload bytes applied since the last snapshot.
    log_bytes: AtomicU64,
    snapshot: Mutex<Option<SnapshotFile>>,
    /// Snapshots taken, and how long the last one took.
    taken: Mutex<(u64, Duration)>,
}

impl Published {
    pub(super) fn new() -> Self {
        Published {
            state: ArcSwap::from_pointee(AppliedState { index: 0, term: 0, state: State::new() }),
            index: watch::channel(0).0,
            entries: broadcast::channel(ENTRIES_WAITING).0,
            hashes: Mutex::default(),
            log_bytes: AtomicU64::new(0),
            snapshot: Mutex::default(),
            taken: Mutex::default(),
        }
    }

    pub(super) fn publish(&self, state: AppliedState, entries: Vec<AppliedEntry>) {
        let index = state.index;
        self.state.store(Arc::new(state));
        for entry in entries {
            // Nobody listening is no fault.
            let _ = self.entries.send(Arc::new(entry));
        }
        self.index.send_replace(index);
    }

    pub(crate) fn state(&self) -> Arc<AppliedState> {
        self.state.load_full()
    }

    pub(crate) fn entries(&self) -> AppliedReceiver {
        self.entries.subscribe()
    }

    pub(crate) fn index(&self) -> watch::Receiver<u64> {
        self.index.subscribe()
    }

    pub(super) fn add_hash_point(&self, index: u64, hash: u128) {
        let mut hashes = self.hashes.lock().expect("no panic while held");
        // After a reload the same indexes come again.
        hashes.retain(|p| p.index < index);
        if hashes.len() == HASH_POINTS {
            hashes.pop_front();
        }
        hashes.push_back(HashPoint { index, hash });
    }

    /// Kept points, and the state as it is: two members at rest stand at the same index.
    pub(crate) fn hash_points(&self) -> Vec<HashPoint> {
        let now = self.state();
        let hashes = self.hashes.lock().expect("no panic while held");
        let kept = hashes.iter().filter(|p| p.index < now.index).copied();
        kept.chain([HashPoint { index: now.index, hash: now.state.hash() }]).collect()
    }

    pub(super) fn count_log_bytes(&self, bytes: u64) {
        self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn discount_log_bytes(&self, bytes: u64) {
        let discount = |now: u64| Some(now.saturating_sub(bytes));
        // The closure never refuses.
        let _ = self.log_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, discount);
    }

    pub(super) fn reset_log_bytes(&self) {
        self.log_bytes.store(0, Ordering::Relaxed);
    }

    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_snapshot(&self, file: SnapshotFile) {
        *self.snapshot.lock().expect("no panic while held") = Some(file);
    }

    pub(crate) fn snapshot(&self) -> Option<SnapshotFile> {
        self.snapshot.lock().expect("no panic while held").clone()
    }

    /// One more was taken.
    pub(super) fn count_snapshot(&self, took: Duration) {
        let mut taken = self.taken.lock().expect("no panic while held");
        *taken = (taken.0 + 1, took);
    }

    pub(crate) fn snapshots(&self) -> SnapshotCounts {
        let (taken, last_took) = *self.taken.lock().expect("no panic while held");
        SnapshotCounts { taken, last_took, newest_bytes: self.snapshot().map_or(0, |file| file.bytes) }
    }
}
