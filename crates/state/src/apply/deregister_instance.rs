//! An instance leaves its cluster.

use seawall_model::{ApiError, InstanceId};
use seawall_proto::internal::v1::{DeregisterInstance, StopCode, TaskRow};

use super::{Apply, Outcome, Rejection, done, refusal::instance_not_found, report_tasks::stop_row};
use crate::Change;

impl Apply<'_> {
    /// Its tasks count as stopped from here on, so that services replace them. Their containers may go on without anyone
    /// managing them, until the agent connects again and is told by name to stop them. Those with a fencing token count only once
    /// their guard has surely ended them.
    pub(super) fn deregister_instance(&mut self, it: &DeregisterInstance) -> Outcome {
        let id = InstanceId(it.instance_id);
        let row = self.state.instances.get(&id).cloned().ok_or_else(instance_not_found)?;
        if it.forgotten && row.connected {
            return Err(Rejection::Stale(format!("instance {id} is connected again")));
        }
        if !it.force && self.state.instance_counts(id).live > 0 {
            return Err(ApiError::invalid("Found running tasks on the instance.").into());
        }
        let (code, reason) = if it.forgotten {
            (StopCode::InfrastructureHealth, format!("Host EC2 (instance {}) stopped/terminated.", row.ec2_instance_id))
        } else {
            (StopCode::UserInitiated, "Container instance deregistration forced by user".to_owned())
        };
        let tasks: Vec<TaskRow> = self.state.tasks_of_instance(id).map(|task| TaskRow::clone(task)).collect();
        for mut task in tasks {
            if task.fencing_token == 0 {
                stop_row(&mut task, code, &reason, self.now_ms);
            } else {
                leave(&mut task, code, &reason, self.now_ms);
            }
            self.put_task(task);
        }
        self.state.remove_instance(id);
        self.changed(Change::Instance(id));
        Ok(done(id.0))
    }
}

/// A task that is to stop, and of which nobody will hear any more.
fn leave(row: &mut TaskRow, code: StopCode, reason: &str, now_ms: i64) {
    if row.stop_code() == StopCode::Unspecified {
        row.set_stop_code(code);
        row.stopped_reason = reason.to_owned();
    }
    row.desired_running = false;
    for at_ms in [&mut row.stopping_at_ms, &mut row.unreachable_since_ms] {
        if *at_ms == 0 {
            *at_ms = now_ms.max(1);
        }
    }
}
