//! Protection of tasks from scale-in and deployments.

use seawall_model::TaskId;
use seawall_proto::internal::v1::{ProtectTasks, TaskRow};

use super::{Apply, Outcome, done};
use crate::{index::is_live, task_id};

impl Apply<'_> {
    /// Tasks of services that are not known to have stopped; others are left as they are.
    pub(super) fn protect_tasks(&mut self, it: &ProtectTasks) -> Outcome {
        for id in it.tasks.iter().map(task_id).collect::<Vec<TaskId>>() {
            let Some(row) = self.state.tasks.get(&id) else { continue };
            if row.cluster_id != it.cluster_id || row.service_id == 0 || !is_live(row) {
                continue;
            }
            let row = TaskRow { protected_until_ms: it.protected_until_ms, ..TaskRow::clone(row) };
            self.put_task(row);
        }
        Ok(done(0))
    }
}
