//! Tasks that should stop. Their agents stop them and say when they have.

use seawall_model::{ServiceId, TaskId};
use seawall_proto::internal::v1::{ServiceRow, StopCode, StopTasks, TaskRow, TaskStatus};

use super::{
    Apply, Outcome, Rejection, done,
    refusal::{cut, task_not_found},
    report_tasks::stop_row,
};
use crate::task_id;

const REASON_BYTES_MAX: usize = 1024;
const STOPPED_BY_USER: &str = "Task stopped by user";

impl Apply<'_> {
    pub(super) fn stop_tasks(&mut self, it: &StopTasks) -> Outcome {
        let ids: Vec<TaskId> = it.tasks.iter().map(task_id).collect();
        if it.service_id == 0 {
            if ids.iter().any(|id| self.state.tasks.get(id).is_none()) {
                return Err(task_not_found().into());
            }
        } else {
            self.check_stopping_service(it)?;
        }
        for id in ids {
            self.stop_task(id, it);
        }
        Ok(done(0))
    }

    fn check_stopping_service(&self, it: &StopTasks) -> Result<(), Rejection> {
        let id = ServiceId(it.service_id);
        let stale = |what: &str| Rejection::Stale(format!("service {id} {what}"));
        let row: &ServiceRow = self.state.services.get(&id).ok_or_else(|| stale("is gone"))?;
        if it.service_version != 0 && it.service_version != row.changed {
            return Err(stale("has changed"));
        }
        if it.wanted_before != 0 && self.state.service_counts(id).wanted < it.wanted_before - 1 {
            return Err(stale("has fewer tasks than the planner saw"));
        }
        Ok(())
    }

    fn stop_task(&mut self, id: TaskId, it: &StopTasks) {
        let Some(old) = self.state.tasks.get(&id) else { return };
        let anothers = it.service_id != 0 && old.service_id != it.service_id;
        if anothers || old.last_status() == TaskStatus::Stopped {
            return;
        }
        let mut row = TaskRow::clone(old);
        let reason = match it.code() {
            StopCode::UserInitiated if it.reason.is_empty() => STOPPED_BY_USER,
            _ => cut(&it.reason, REASON_BYTES_MAX),
        };
        row.desired_running = false;
        if row.stop_code() == StopCode::Unspecified {
            row.stop_code = it.code;
            row.stopped_reason = reason.to_owned();
        }
        if row.stopping_at_ms == 0 {
            row.stopping_at_ms = self.now_ms;
            row.preempted_by = it.preempted_by;
        }
        if it.code() == StopCode::UserInitiated {
            row.tags.clear();
        }
        let is_gone = self.state.instances.get(&seawall_model::InstanceId(row.instance_id)).is_none();
        // What has a fencing token is only over when its guard has surely ended it.
        if is_gone && row.fencing_token == 0 {
            stop_row(&mut row, it.code(), reason, self.now_ms);
        }
        if row != **old {
            self.put_task(row);
        }
    }
}
