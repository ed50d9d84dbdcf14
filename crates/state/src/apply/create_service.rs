//! A service begins.

use seawall_model::{ApiError, ClusterId, ErrorCode, ServiceId, is_ecs_name, limits::SERVICE_TASKS_MAX};
use seawall_proto::{
    internal::v1::{
        CreateService, DeploymentRow, Done, RolloutState, ServiceRow, ServiceStatusCode, TaskDefinitionStatus,
        principal, reply,
    },
    v1::CreateServiceRequest,
};

use super::{
    Apply, Outcome,
    refusal::{checked_tags, definition_inactive},
    service_deployments::check_id,
};
use crate::Change;

/// Services of one cluster, as ECS's quota has it.
const SERVICES_MAX: u32 = 5000;

impl Apply<'_> {
    /// The same request again gets the service that it made; another one of that name is refused.
    pub(super) fn create_service(&mut self, it: &CreateService) -> Outcome {
        let spec = it.spec.clone().unwrap_or_default();
        let cluster = ClusterId(self.active_cluster(it.cluster_id)?.id);
        let name = spec.service_name().to_owned();
        if !is_ecs_name(&name) {
            let message = format!("Invalid service name {name:?}: up to 255 letters, digits, hyphens and underscores.");
            return Err(ApiError::invalid(message).into());
        }
        if let Some(existing) = self.state.service_by_name(cluster, &name)
            && let Some(answer) = existing_answer(existing, &spec)?
        {
            return Ok(answer);
        }
        if self.definition(it.task_definition_id)?.status() != TaskDefinitionStatus::Active {
            return Err(definition_inactive().into());
        }
        let desired_count = checked_desired_count(spec.desired_count())?;
        let tags = checked_tags(&spec.tags)?;
        if it.deployment_id == 0 {
            return Err(ApiError::invalid("The deployment has no id.").into());
        }
        check_id(&it.service_deployment_id)?;
        let counts = self.state.cluster_counts(cluster);
        if counts.services_active + counts.services_draining >= SERVICES_MAX {
            let message = format!("The cluster has {SERVICES_MAX} services, which is the limit.");
            return Err(ApiError::new(ErrorCode::LimitExceeded, message).into());
        }
        let primary = new_deployment(it.deployment_id, it.task_definition_id, self.now_ms);
        let mut row = ServiceRow {
            cluster_id: cluster.0,
            name,
            status: ServiceStatusCode::Active.into(),
            desired_count,
            minimum_healthy_percent: it.minimum_healthy_percent,
            maximum_percent: it.maximum_percent,
            deployments: vec![primary],
            created_at_ms: self.now_ms,
            tags,
            spec: Some(spec),
            ..ServiceRow::default()
        };
        self.check_loss_policy(&row)?;
        let id = self.next_id();
        row.id = id;
        if !it.service_deployment_id.is_empty() {
            row.created_by = self.name_of_caller();
            self.begin_service_deployment(&mut row, &it.service_deployment_id, Vec::new());
            self.say_stored(&mut row, &it.stored_members);
        }
        self.put_service(row);
        Ok(reply::Kind::Done(Done { id, existed: false, deployment_id: it.deployment_id }))
    }

    fn name_of_caller(&self) -> String {
        match self.principal.kind() {
            principal::Kind::AccessKey => self.principal.name.clone(),
            _ => String::new(),
        }
    }

    /// Puts a service that this command touched.
    pub(super) fn put_service(&mut self, row: ServiceRow) {
        let id = ServiceId(row.id);
        self.state.put_service(ServiceRow { changed: self.index, ..row });
        self.changed(Change::Service(id));
    }
}

/// The answer where the name is taken; `None` where it is free again.
fn existing_answer(row: &ServiceRow, spec: &CreateServiceRequest) -> Result<Option<reply::Kind>, ApiError> {
    match row.status() {
        ServiceStatusCode::Inactive => Ok(None),
        ServiceStatusCode::Draining => Err(ApiError::invalid("Unable to Start a service that is still Draining.")),
        _ if row.spec.as_ref().is_some_and(|made| without_token(made) == without_token(spec)) => {
            let deployment_id = crate::primary_deployment(row).map_or(0, |(id, _)| id.0);
            Ok(Some(reply::Kind::Done(Done { id: row.id, existed: true, deployment_id })))
        }
        _ => Err(ApiError::invalid("Creation of service was not idempotent.")),
    }
}

/// What is asked for, whoever asks and however often.
fn without_token(spec: &CreateServiceRequest) -> CreateServiceRequest {
    CreateServiceRequest { client_token: None, expected_version: None, ..spec.clone() }
}

pub(super) fn checked_desired_count(count: i32) -> Result<u32, ApiError> {
    match u32::try_from(count) {
        Ok(count) if count <= SERVICE_TASKS_MAX => Ok(count),
        _ => Err(ApiError::invalid(format!("desiredCount must be 0 to {SERVICE_TASKS_MAX}."))),
    }
}

pub(super) fn new_deployment(id: u64, task_definition_id: u64, now_ms: i64) -> DeploymentRow {
    DeploymentRow {
        id,
        task_definition_id,
        primary: true,
        rollout_state: RolloutState::InProgress.into(),
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
        ..DeploymentRow::default()
    }
}
