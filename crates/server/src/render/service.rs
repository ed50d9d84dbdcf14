//! `Service`, its deployments and its events.

use seawall_model::{DeploymentId, ServiceId};
use seawall_proto::{
    internal::v1::{DeploymentFailure, DeploymentReturn, DeploymentRow, RolloutState, ServiceRow, ServiceStatusCode},
    timestamp_unless_zero,
    v1::{
        CreateServiceRequest, Deployment, DeploymentCircuitBreaker, DeploymentConfiguration, DeploymentController,
        Service, ServiceCurrentRevisionSummary,
    },
};
use seawall_scheduler::waiting_of_service;
use seawall_state::State;

use super::{count, service_deployment, task::launch_type, unless_empty, version};
use crate::validate::task_definition::fargate::FARGATE;

/// ECS shows this many events.
const EVENTS_SHOWN: usize = 100;

/// The ARN of a service.
pub fn arn(state: &State, row: &ServiceRow) -> String {
    state.arns().service(super::cluster_name(state, row.cluster_id), &row.name)
}

/// The service, with tags if they are asked for.
pub fn render(state: &State, row: &ServiceRow, tags: bool) -> Service {
    render_in(state, super::cluster_name(state, row.cluster_id), row, tags)
}

/// The service in a cluster of this name, which may be gone.
pub(super) fn render_in(state: &State, cluster: &str, row: &ServiceRow, tags: bool) -> Service {
    let spec = row.spec.clone().unwrap_or_default();
    let counts = state.service_counts(ServiceId(row.id));
    let primary = row.deployments.iter().find(|d| d.primary).or(row.deployments.first());
    Service {
        service_arn: Some(state.arns().service(cluster, &row.name)),
        service_name: Some(row.name.clone()),
        cluster_arn: Some(state.arns().cluster(cluster)),
        status: Some(status(row.status).into()),
        desired_count: count(row.desired_count),
        running_count: count(counts.running),
        pending_count: count(counts.pending + waiting_of_service(state, row)),
        launch_type: launch_type_of(&spec),
        platform_version: platform_version(&spec),
        platform_family: platform_family(&spec),
        task_definition: Some(match primary {
            Some(primary) => super::task_definition::arn_of(state, primary.task_definition_id),
            None => spec.task_definition().into(),
        }),
        deployment_configuration: Some(deployment_configuration(row, &spec)),
        deployments: row.deployments.iter().map(|d| deployment(state, row, &spec, d)).collect(),
        events: row.events.iter().rev().take(EVENTS_SHOWN).map(|e| super::event::render(&row.name, e)).collect(),
        created_at: timestamp_unless_zero(row.created_at_ms),
        created_by: unless_empty(&row.created_by).map(|name| state.arns().user(&name)),
        current_service_deployment: primary
            .and_then(|primary| unless_empty(&primary.service_deployment_id))
            .map(|id| service_deployment::arn(state, row, &id)),
        current_service_revisions: current_revisions(state, row),
        capacity_provider_strategy: spec.capacity_provider_strategy,
        // Clients take an object without its one member for a fault.
        network_configuration: spec.network_configuration.filter(|network| network.awsvpc_configuration.is_some()),
        scheduling_strategy: Some(spec.scheduling_strategy.unwrap_or_else(|| "REPLICA".into())),
        deployment_controller: Some(
            spec.deployment_controller.unwrap_or_else(|| DeploymentController { r#type: Some("ECS".into()) }),
        ),
        tags: if tags { row.tags.clone() } else { Vec::new() },
        load_balancers: spec.load_balancers,
        service_registries: spec.service_registries,
        role_arn: spec.role,
        placement_constraints: spec.placement_constraints,
        placement_strategy: spec.placement_strategy,
        health_check_grace_period_seconds: spec.health_check_grace_period_seconds,
        enable_ecs_managed_tags: Some(spec.enable_ecs_managed_tags.unwrap_or(false)),
        propagate_tags: Some(spec.propagate_tags.unwrap_or_else(|| "NONE".into())),
        enable_execute_command: Some(false),
        availability_zone_rebalancing: spec.availability_zone_rebalancing,
        version: version(row.changed),
        ..Default::default()
    }
}

/// The word of a service's status.
pub fn status(status: i32) -> &'static str {
    match ServiceStatusCode::try_from(status).unwrap_or_default() {
        ServiceStatusCode::Unspecified | ServiceStatusCode::Active => "ACTIVE",
        ServiceStatusCode::Draining => "DRAINING",
        ServiceStatusCode::Inactive => "INACTIVE",
    }
}

fn deployment_configuration(row: &ServiceRow, spec: &CreateServiceRequest) -> DeploymentConfiguration {
    DeploymentConfiguration {
        maximum_percent: count(row.maximum_percent),
        minimum_healthy_percent: count(row.minimum_healthy_percent),
        ..with_defaults(spec.deployment_configuration.as_ref())
    }
}

/// A deployment configuration with ECS's defaults.
pub fn with_defaults(asked: Option<&DeploymentConfiguration>) -> DeploymentConfiguration {
    let asked = asked.cloned().unwrap_or_default();
    let off = || DeploymentCircuitBreaker { enable: Some(false), rollback: Some(false), ..Default::default() };
    DeploymentConfiguration {
        deployment_circuit_breaker: Some(asked.deployment_circuit_breaker.unwrap_or_else(off)),
        strategy: Some("ROLLING".into()),
        bake_time_in_minutes: Some(asked.bake_time_in_minutes.unwrap_or(0)),
        ..asked
    }
}

/// Where a service's tasks run, as asked for; absent where capacity providers say it.
pub fn launch_type_of(spec: &CreateServiceRequest) -> Option<String> {
    spec.capacity_provider_strategy.is_empty().then(|| launch_type(spec.launch_type()).into())
}

/// As asked for; FARGATE has one in any case.
pub fn platform_version(spec: &CreateServiceRequest) -> Option<String> {
    let default = (spec.launch_type() == FARGATE).then(|| "LATEST".to_owned());
    spec.platform_version.clone().filter(|text| !text.is_empty()).or(default)
}

/// What FARGATE's tasks run on.
pub fn platform_family(spec: &CreateServiceRequest) -> Option<String> {
    (spec.launch_type() == FARGATE).then(|| "Linux".into())
}

/// Tasks that a deployment is to have. An older one is to keep what it still has to keep up the minimum.
pub fn requested(state: &State, service: &ServiceRow, deployment: u64) -> u32 {
    match service.deployments.iter().any(|d| d.primary && d.id == deployment) {
        true => service.desired_count,
        false => state.deployment_counts(ServiceId(service.id), DeploymentId(deployment)).wanted,
    }
}

/// Of deployments that have a revision: those of older versions may have none.
fn current_revisions(state: &State, service: &ServiceRow) -> Vec<ServiceCurrentRevisionSummary> {
    let id = ServiceId(service.id);
    let with_revision = service.deployments.iter().filter(|d| state.service_revisions.get(&(id, d.id)).is_some());
    let summary = |d: &DeploymentRow| {
        let counts = state.deployment_counts(id, DeploymentId(d.id));
        ServiceCurrentRevisionSummary {
            arn: Some(service_deployment::revision_arn(state, service, d.id)),
            requested_task_count: count(requested(state, service, d.id)),
            running_task_count: count(counts.running),
            pending_task_count: count(counts.pending),
        }
    };
    with_revision.map(summary).collect()
}

fn deployment(state: &State, service: &ServiceRow, spec: &CreateServiceRequest, row: &DeploymentRow) -> Deployment {
    let id = ServiceId(service.id);
    let counts = state.deployment_counts(id, DeploymentId(row.id));
    let (rollout, reason) = rollout(row);
    let revision = state.service_revisions.get(&(id, row.id));
    let spec = revision.and_then(|revision| revision.spec.as_ref()).unwrap_or(spec);
    Deployment {
        id: Some(format!("ecs-svc/{}", row.id)),
        status: Some(if row.primary { "PRIMARY" } else { "ACTIVE" }.into()),
        task_definition: Some(super::task_definition::arn_of(state, row.task_definition_id)),
        desired_count: count(requested(state, service, row.id)),
        pending_count: count(counts.pending + if row.primary { waiting_of_service(state, service) } else { 0 }),
        running_count: count(counts.running),
        failed_tasks: count(row.failed_tasks),
        created_at: timestamp_unless_zero(row.created_at_ms),
        updated_at: timestamp_unless_zero(row.updated_at_ms),
        launch_type: launch_type_of(spec),
        platform_version: platform_version(spec),
        platform_family: platform_family(spec),
        capacity_provider_strategy: spec.capacity_provider_strategy.clone(),
        network_configuration: spec
            .network_configuration
            .clone()
            .filter(|network| network.awsvpc_configuration.is_some()),
        volume_configurations: spec.volume_configurations.clone(),
        vpc_lattice_configurations: spec.vpc_lattice_configurations.clone(),
        rollout_state: Some(rollout.into()),
        rollout_state_reason: Some(reason),
        service_connect_configuration: spec.service_connect_configuration.clone(),
        ..Default::default()
    }
}

/// The word of a deployment's rollout state, and ECS's sentence about it.
pub fn rollout(row: &DeploymentRow) -> (&'static str, String) {
    let id = row.id;
    match (row.rollout_state(), row.returned(), row.failure()) {
        (RolloutState::Unspecified | RolloutState::InProgress, returned, _) => {
            let reason = match returned {
                DeploymentReturn::None => format!("ECS deployment ecs-svc/{id} in progress."),
                DeploymentReturn::CircuitBreaker => {
                    format!("ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/{id}.")
                }
                DeploymentReturn::Stopped => {
                    format!("ECS deployment stopped by request: rolling back to deploymentId ecs-svc/{id}.")
                }
            };
            ("IN_PROGRESS", reason)
        }
        (RolloutState::Completed, ..) => ("COMPLETED", format!("ECS deployment ecs-svc/{id} completed.")),
        (RolloutState::Failed, _, DeploymentFailure::Stopped) => {
            ("FAILED", format!("ECS deployment ecs-svc/{id} stopped by request."))
        }
        (RolloutState::Failed, ..) => ("FAILED", "ECS deployment circuit breaker: tasks failed to start.".into()),
    }
}
