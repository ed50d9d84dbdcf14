//! Spot capacity that goes: the instance drains, and its tasks are told until when they have.

use seawall_model::{ApiError, InstanceId, limits::RECLAIM_NOTICE_MS_MAX};
use seawall_proto::internal::v1::{InstanceRow, InstanceStatus, ReclaimInstance, TaskRow};

use super::{Apply, Outcome, done, refusal::instance_not_found};
use crate::{Change, FARGATE_SPOT};

const REASON: &str = "Its spot capacity is reclaimed";

impl Apply<'_> {
    pub(super) fn reclaim_instance(&mut self, it: &ReclaimInstance) -> Outcome {
        let id = InstanceId(it.instance_id);
        let row = self.state.instances.get(&id).ok_or_else(instance_not_found)?;
        check(row, it.notice_ms)?;
        let reclaim_at_ms = self.now_ms.saturating_add(it.notice_ms as i64);
        self.state.put_instance(InstanceRow {
            status: InstanceStatus::Draining.into(),
            status_reason: REASON.to_owned(),
            reclaim_at_ms,
            changed: self.index,
            ..InstanceRow::clone(row)
        });
        self.changed(Change::Instance(id));
        self.tell_tasks(id, reclaim_at_ms);
        Ok(done(id.0))
    }

    /// Tells the tasks of an instance when its capacity goes; 0: it stays after all.
    pub(super) fn tell_tasks(&mut self, instance: InstanceId, reclaim_at_ms: i64) {
        let others = self.state.tasks_of_instance(instance).filter(|task| task.reclaim_at_ms != reclaim_at_ms);
        let tasks: Vec<TaskRow> = others.map(|task| TaskRow { reclaim_at_ms, ..TaskRow::clone(task) }).collect();
        tasks.into_iter().for_each(|task| self.put_task(task));
    }
}

/// Only tasks for FARGATE_SPOT agreed to be interrupted; other instances are drained.
fn check(row: &InstanceRow, notice_ms: u64) -> Result<(), ApiError> {
    let name = &row.ec2_instance_id;
    if row.capacity_provider != FARGATE_SPOT {
        return Err(ApiError::invalid(format!(
            "The container instance {name} is not of {FARGATE_SPOT}: only spot capacity is reclaimed. Drain it instead."
        )));
    }
    if !matches!(row.status(), InstanceStatus::Active | InstanceStatus::Draining) {
        let status = row.status().as_str_name().trim_start_matches("INSTANCE_STATUS_");
        return Err(ApiError::invalid(format!("The container instance {name} is {status}.")));
    }
    if notice_ms > RECLAIM_NOTICE_MS_MAX {
        let (given, most) = (notice_ms.div_ceil(1000), RECLAIM_NOTICE_MS_MAX / 1000);
        return Err(ApiError::invalid(format!("The notice is {given} s; it must be 0 to {most} s.")));
    }
    Ok(())
}
