//! Instances that keep failing tasks: what is counted of them, and taking them out of use for a while.

use seawall_model::{ApiError, ClusterId, DeploymentId, InstanceId, ServiceId};
use seawall_proto::internal::v1::{CordonInstance, InstanceRow, StopCode, TaskRow, TaskStatus};

use super::{Apply, Outcome, done, refusal::cut};
use crate::Change;

/// The cluster version that brought it.
const SINCE_VERSION: u32 = 2;
const REASON_BYTES_MAX: usize = 512;

impl Apply<'_> {
    pub(super) fn cordon_instance(&mut self, it: &CordonInstance) -> Outcome {
        let id = InstanceId(it.instance_id);
        let row = self.state.instances.get(&id).ok_or_else(|| ApiError::invalid("There is no such instance."))?;
        let mut row = InstanceRow::clone(row);
        row.cordoned_until_ms = it.until_ms;
        row.cordon_reason = cut(&it.reason, REASON_BYTES_MAX).to_owned();
        row.failures_in_row = 0;
        row.cordons = row.cordons.saturating_add(u32::from(it.until_ms != 0));
        row.changed = self.index;
        self.state.put_instance(row);
        self.changed(Change::Instance(id));
        Ok(done(0))
    }

    /// Counts what a task's change says of its instance.
    pub(super) fn judge_instance(&mut self, before: &TaskRow, after: &TaskRow) {
        if self.state.meta.cluster_version < SINCE_VERSION {
            return;
        }
        let Some(row) = self.state.instances.get(&InstanceId(after.instance_id)) else { return };
        let ran = after.last_status() == TaskStatus::Running && before.last_status() != TaskStatus::Running;
        if ran && (row.failures_in_row, row.cordons) != (0, 0) && row.cordoned_until_ms == 0 {
            self.state.put_instance(InstanceRow { failures_in_row: 0, cordons: 0, ..InstanceRow::clone(row) });
        } else if never_ran(after) && self.runs_elsewhere(after) {
            let failures_in_row = row.failures_in_row.saturating_add(1);
            self.state.put_instance(InstanceRow { failures_in_row, ..InstanceRow::clone(row) });
        }
    }

    /// Tasks of the same deployment or group run: that this one did not is no fault of its definition.
    fn runs_elsewhere(&self, task: &TaskRow) -> bool {
        let running = match task.service_id {
            0 => self.state.group_counts(ClusterId(task.cluster_id), &task.group).running,
            id => self.state.deployment_counts(ServiceId(id), DeploymentId(task.deployment_id)).running,
        };
        running > 0
    }
}

fn never_ran(task: &TaskRow) -> bool {
    task.last_status() == TaskStatus::Stopped
        && task.stop_code() == StopCode::TaskFailedToStart
        && task.started_at_ms == 0
}
