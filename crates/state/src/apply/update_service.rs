//! A service changes.

use seawall_model::{ApiError, DeploymentId, ServiceId};
use seawall_proto::internal::v1::{
    DeploymentRow, Done, ServiceRow, ServiceStatusCode, TaskDefinitionStatus, UpdateService, reply,
};

use super::{
    Apply, Outcome,
    create_service::{checked_desired_count, new_deployment},
    refusal::{definition_inactive, service_not_active, service_not_found},
    service_deployments::{afresh, check_id},
};
use crate::revision;

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
        self.check_loss_policy(&row)?;
        check_id(&it.service_deployment_id)?;
        afresh(&mut row);
        let deployment_id = match self.asked_for(&row, it)? {
            Some(definition) => self.deploy(&mut row, it, definition),
            None => 0,
        };
        if let Some(spec) = &it.spec {
            row.spec = Some(spec.clone());
        }
        if deployment_id != 0 && !it.service_deployment_id.is_empty() {
            let sources = row.deployments.iter().filter(|d| !d.primary).map(|d| d.id).collect();
            self.begin_service_deployment(&mut row, &it.service_deployment_id, sources);
        }
        self.say_stored(&mut row, &it.stored_members);
        let id = row.id;
        self.put_service(row);
        Ok(reply::Kind::Done(Done { id, existed: false, deployment_id }))
    }

    /// The task definition of the deployment that the update asks for; `None` where it asks for none.
    fn asked_for(&self, row: &ServiceRow, it: &UpdateService) -> Result<Option<u64>, ApiError> {
        let now = row.deployments.iter().find(|d| d.primary).map_or(0, |d| d.task_definition_id);
        let wanted = if it.task_definition_id == 0 { now } else { it.task_definition_id };
        if wanted != now && self.definition(wanted)?.status() != TaskDefinitionStatus::Active {
            return Err(definition_inactive());
        }
        if wanted == now && !it.force_new_deployment && !changes_revision(row, it) {
            return Ok(None);
        }
        if it.deployment_id == 0 || self.is_known(row, it.deployment_id) {
            return Err(ApiError::invalid("The deployment has no id of its own."));
        }
        Ok(Some(wanted))
    }

    fn is_known(&self, row: &ServiceRow, deployment_id: u64) -> bool {
        row.deployments.iter().any(|d| d.id == deployment_id)
            || self.state.service_revisions.get(&(ServiceId(row.id), deployment_id)).is_some()
    }

    /// Makes a new deployment the primary; its id. Older ones without a task leave.
    fn deploy(&mut self, row: &mut ServiceRow, it: &UpdateService, definition: u64) -> u64 {
        if !it.service_deployment_id.is_empty() {
            self.complete_revisions(row);
            self.supersede(row, &it.service_deployment_id);
        }
        let service = ServiceId(row.id);
        let has_tasks = |d: &DeploymentRow| self.state.deployment_counts(service, DeploymentId(d.id)).live > 0;
        row.deployments.retain(has_tasks);
        for deployment in row.deployments.iter_mut().filter(|d| d.primary) {
            deployment.primary = false;
            deployment.updated_at_ms = self.now_ms;
        }
        row.deployments.insert(0, new_deployment(it.deployment_id, definition, self.now_ms));
        it.deployment_id
    }
}

/// Whether a member changes that a revision holds. Earlier versions did not look at those.
fn changes_revision(row: &ServiceRow, it: &UpdateService) -> bool {
    let (Some(old), Some(new)) = (&row.spec, &it.spec) else { return false };
    !it.service_deployment_id.is_empty() && revision::asks_for_a_deployment(old, new)
}
