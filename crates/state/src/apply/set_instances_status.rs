//! Draining instances, and taking them back.

use seawall_model::{ApiError, InstanceId};
use seawall_proto::internal::v1::{InstanceRow, InstanceStatus, SetInstancesStatus};

use super::{Apply, Outcome, done};
use crate::Change;

impl Apply<'_> {
    pub(super) fn set_instances_status(&mut self, it: &SetInstancesStatus) -> Outcome {
        if !matches!(it.status(), InstanceStatus::Active | InstanceStatus::Draining) {
            return Err(ApiError::invalid("Container instance status should be one of [ACTIVE,DRAINING].").into());
        }
        let mut rows: Vec<InstanceRow> = Vec::with_capacity(it.instance_ids.len());
        for id in &it.instance_ids {
            let row = self.instance_in(it.cluster_id, *id)?;
            if !matches!(row.status(), InstanceStatus::Active | InstanceStatus::Draining) {
                let message =
                    format!("The container instance {} is {}.", row.ec2_instance_id, row.status().as_str_name());
                return Err(ApiError::invalid(message).into());
            }
            // Activating one says that it is well, and stays.
            let is_well = it.status() == InstanceStatus::Active && (row.cordoned_until_ms, row.reclaim_at_ms) != (0, 0);
            if row.status() != it.status() || is_well {
                rows.push(row.clone());
            }
        }
        for row in rows {
            let id = InstanceId(row.id);
            let reclaim_at_ms = if it.status() == InstanceStatus::Active { 0 } else { row.reclaim_at_ms };
            self.state.put_instance(InstanceRow {
                reclaim_at_ms,
                status: it.status,
                status_reason: it.reason.clone(),
                cordoned_until_ms: 0,
                failures_in_row: 0,
                changed: self.index,
                ..row
            });
            self.changed(Change::Instance(id));
            self.tell_tasks(id, reclaim_at_ms);
        }
        Ok(done(0))
    }
}
