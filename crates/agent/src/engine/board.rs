//! What the cluster was not told yet, and what is not on disk yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use seawall_model::TaskId;
use tokio::sync::{Notify, watch};

/// Changes that wait for an acknowledgement, by task: at most one report a task, however often it changes.
pub struct Board {
    unacked: Mutex<BTreeMap<TaskId, u64>>,
    changes: watch::Sender<u64>,
    unsaved: Mutex<BTreeSet<TaskId>>,
    save: Notify,
}

impl Board {
    /// Nothing waits.
    pub fn new() -> Self {
        Board {
            unacked: Mutex::default(),
            changes: watch::Sender::new(0),
            unsaved: Mutex::default(),
            save: Notify::new(),
        }
    }

    /// A task changed and must be reported.
    pub fn changed(&self, task: TaskId) {
        self.changes.send_modify(|count| {
            *count += 1;
            lock(&self.unacked).insert(task, *count);
        });
    }

    /// Changes whenever something must be reported.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Up to `limit` tasks, with the version of each, that were not `sent` in their newest version.
    pub fn unsent(&self, sent: &BTreeMap<TaskId, u64>, limit: usize) -> Vec<(TaskId, u64)> {
        let is_new = |task: &TaskId, version: u64| sent.get(task).is_none_or(|known| *known < version);
        let unacked = lock(&self.unacked);
        let new = unacked.iter().filter(|(task, version)| is_new(task, **version));
        new.take(limit).map(|(task, version)| (*task, *version)).collect()
    }

    /// The cluster has applied this version; true if nothing newer waits.
    pub fn acknowledged(&self, task: TaskId, version: u64) -> bool {
        let mut unacked = lock(&self.unacked);
        let settled = unacked.get(&task).is_none_or(|known| *known <= version);
        if settled {
            unacked.remove(&task);
        }
        settled
    }

    /// Whether a change of the task waits for its acknowledgement.
    pub fn waits(&self, task: TaskId) -> bool {
        lock(&self.unacked).contains_key(&task)
    }

    /// The task's file is out of date.
    pub fn save(&self, task: TaskId) {
        lock(&self.unsaved).insert(task);
        self.save.notify_one();
    }

    /// The tasks whose files are out of date, once there are some.
    pub async fn unsaved(&self) -> BTreeSet<TaskId> {
        loop {
            let taken = std::mem::take(&mut *lock(&self.unsaved));
            if !taken.is_empty() {
                return taken;
            }
            self.save.notified().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values: a panic while it was held leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_version_settles_a_task() {
        let board = Board::new();
        let task = TaskId::default();
        board.changed(task);
        let first = board.unsent(&BTreeMap::new(), 10)[0].1;
        board.changed(task);
        assert!(!board.acknowledged(task, first));
        assert!(board.waits(task));
        let sent = BTreeMap::from([(task, first)]);
        let second = board.unsent(&sent, 10)[0].1;
        assert!(board.acknowledged(task, second));
        assert!(board.unsent(&BTreeMap::new(), 10).is_empty());
    }
}
