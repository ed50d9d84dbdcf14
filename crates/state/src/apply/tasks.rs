//! Putting tasks, and retiring the stopped ones.

use std::collections::BTreeMap;

use seawall_model::{ClusterId, TaskId};
use seawall_proto::internal::v1::TaskRow;

use super::Apply;
use crate::{Change, index::is_live, task_id_of};

/// A command retires twice what it stopped and this many more, so that the surplus shrinks and the work stays in proportion.
const RETIRED_A_COMMAND: usize = 16;

/// Tasks that a command stopped, by cluster.
#[derive(Default)]
pub(super) struct StoppedCounts(BTreeMap<ClusterId, usize>);

impl Apply<'_> {
    /// Puts a task that this command touched.
    pub(super) fn put_task(&mut self, row: TaskRow) {
        let id = task_id_of(&row);
        let has_stopped = !is_live(&row) && self.state.tasks.get(&id).is_none_or(|old| is_live(old));
        if has_stopped {
            *self.stopped.0.entry(ClusterId(row.cluster_id)).or_default() += 1;
        }
        let of_job = (has_stopped && row.job_id != 0).then(|| row.clone());
        self.state.put_task(TaskRow { changed: self.index, ..row });
        self.changed(Change::Task(id));
        if let Some(task) = of_job {
            self.count_for_job(&task);
        }
    }

    /// Hands stopped tasks beyond the limit to history.
    pub(super) fn retire_surplus(&mut self) {
        let kept = self.limits().stopped_tasks_kept as usize;
        for (cluster, stopped) in std::mem::take(&mut self.stopped.0) {
            let surplus = (self.state.cluster_counts(cluster).stopped() as usize).saturating_sub(kept);
            self.retire(cluster, surplus.min(2 * stopped + RETIRED_A_COMMAND));
        }
    }

    /// Retires up to `count` of a cluster's stopped tasks, the first stopped first.
    pub(super) fn retire(&mut self, cluster: ClusterId, count: usize) {
        let range = (cluster, 0, TaskId::default())..=(cluster, u64::MAX, seawall_model::Id128(u128::MAX));
        let oldest = self.state.index.stopped_by_cluster.range(range).take(count);
        let ids: Vec<TaskId> = oldest.map(|(_, _, id)| *id).collect();
        for id in ids {
            if let Some(row) = self.state.remove_task(id) {
                self.keep_task(&row);
                self.state.remove_decision_without_tasks(id);
                self.changed(Change::TaskRetired(row));
            }
        }
    }
}
