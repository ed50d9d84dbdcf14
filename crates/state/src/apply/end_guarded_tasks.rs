//! Tasks whose guards have surely ended them.

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{EndGuardedTasks, StopCode, TaskRow, disconnect_instances};

use super::{Apply, Outcome, done, report_tasks::stop_row};

const REASON: &str = "Its instance did not answer, and its guard has ended it";

impl Apply<'_> {
    /// An agent that has connected again since has grants of its own, and tells what became of its tasks.
    pub(super) fn end_guarded_tasks(&mut self, it: &EndGuardedTasks) -> Outcome {
        for item in &it.items {
            if !self.is_lost(item) {
                continue;
            }
            let tasks = self.state.tasks_of_instance(InstanceId(item.instance_id));
            let guarded: Vec<TaskRow> =
                tasks.filter(|task| task.fencing_token != 0).map(|task| TaskRow::clone(task)).collect();
            for mut task in guarded {
                stop_row(&mut task, StopCode::InfrastructureHealth, REASON, self.now_ms);
                self.put_task(task);
            }
        }
        Ok(done(0))
    }

    fn is_lost(&self, item: &disconnect_instances::Item) -> bool {
        let row = self.state.instances.get(&InstanceId(item.instance_id));
        row.is_none_or(|row| row.session == item.session && !row.connected)
    }
}
