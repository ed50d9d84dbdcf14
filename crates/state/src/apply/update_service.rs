//! A service changes.

use seawall_model::{ApiError, DeploymentId, ServiceId};
use seawall_proto::internal::v1::{
    DeploymentRow, Done, ServiceRow, ServiceStatusCode, TaskDefinitionStatus, UpdateService, reply,
};

use super::{
    Apply, Outcome,
    create_service::{checked_desired_count, new_deployment},
    refusal::{definition_inactive, service_not_active, service_not_found},
};

impl Apply<'_> {
    /// Another task definition, or force, starts a deployment. What kept the service from starting tasks is tried afresh.
    pub(super) fn update_service(&mut self, it: &UpdateService) -> Outcome {
        let old = self.state.services.get(&ServiceId(it.service_id)).ok_or_else(service_not_found)?;
        if old.status() != ServiceStatusCode::Active {
            return Err(service_not_active().into());
        }
        let mut row = ServiceRow::clone(old);
        if let Some(count) = it.desired_count {
            row.desired_count = checked_desired_count(i32::try_from(count).unwrap_or(i32::MAX))?;
        }
        row.minimum_healthy_percent = it.minimum_healthy_percent.unwrap_or(row.minimum_healthy_percent);
        row.maximum_percent = it.maximum_percent.unwrap_or(row.maximum_percent);
        if let Some(spec) = &it.spec {
            row.spec = Some(spec.clone());
        }
        row.backoff = None;
        row.steady = false;
        row.unplaced_reason.clear();
        let deployment_id = self.deploy(&mut row, it)?;
        let id = row.id;
        self.put_service(row);
        Ok(reply::Kind::Done(Done { id, existed: false, deployment_id }))
    }

    /// Starts a deployment if one is asked for; its id or 0. Older ones without a task leave.
    fn deploy(&self, row: &mut ServiceRow, it: &UpdateService) -> Result<u64, ApiError> {
        let now = row.deployments.iter().find(|d| d.primary).map_or(0, |d| d.task_definition_id);
        let wanted = if it.task_definition_id == 0 { now } else { it.task_definition_id };
        if wanted != now && self.definition(wanted)?.status() != TaskDefinitionStatus::Active {
            return Err(definition_inactive());
        }
        if wanted == now && !it.force_new_deployment {
            return Ok(0);
        }
        if it.deployment_id == 0 || row.deployments.iter().any(|d| d.id == it.deployment_id) {
            return Err(ApiError::invalid("The deployment has no id of its own."));
        }
        let service = ServiceId(row.id);
        let has_tasks = |d: &DeploymentRow| self.state.deployment_counts(service, DeploymentId(d.id)).live > 0;
        row.deployments.retain(has_tasks);
        for deployment in row.deployments.iter_mut().filter(|d| d.primary) {
            deployment.primary = false;
            deployment.updated_at_ms = self.now_ms;
        }
        row.deployments.insert(0, new_deployment(it.deployment_id, wanted, self.now_ms));
        Ok(it.deployment_id)
    }
}
