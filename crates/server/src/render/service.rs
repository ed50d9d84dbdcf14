//! `Service`, its deployments and its events.

use seawall_model::{DeploymentId, ServiceId};
use seawall_proto::{
    internal::v1::{DeploymentRow, RolloutState, ServiceRow, ServiceStatusCode},
    timestamp_unless_zero,
    v1::{
        CreateServiceRequest, Deployment, DeploymentCircuitBreaker, DeploymentConfiguration, DeploymentController,
        Service,
    },
};
use seawall_state::State;

use super::{count, task::launch_type, version};

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
        pending_count: count(counts.pending),
        launch_type: Some(launch_type(spec.launch_type()).into()),
        task_definition: Some(match primary {
            Some(primary) => super::task_definition::arn_of(state, primary.task_definition_id),
            None => spec.task_definition().into(),
        }),
        deployment_configuration: Some(deployment_configuration(row, &spec)),
        deployments: row.deployments.iter().map(|d| deployment(state, row, &spec, d)).collect(),
        events: row.events.iter().rev().take(EVENTS_SHOWN).map(|e| super::event::render(&row.name, e)).collect(),
        created_at: timestamp_unless_zero(row.created_at_ms),
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
    let asked = spec.deployment_configuration.clone().unwrap_or_default();
    DeploymentConfiguration {
        deployment_circuit_breaker: Some(asked.deployment_circuit_breaker.unwrap_or(DeploymentCircuitBreaker {
            enable: Some(false),
            rollback: Some(false),
            ..Default::default()
        })),
        maximum_percent: count(row.maximum_percent),
        minimum_healthy_percent: count(row.minimum_healthy_percent),
        strategy: Some("ROLLING".into()),
        ..asked
    }
}

fn deployment(state: &State, service: &ServiceRow, spec: &CreateServiceRequest, row: &DeploymentRow) -> Deployment {
    let counts = state.deployment_counts(ServiceId(service.id), DeploymentId(row.id));
    let (rollout, reason) = rollout(row);
    Deployment {
        id: Some(format!("ecs-svc/{}", row.id)),
        status: Some(if row.primary { "PRIMARY" } else { "ACTIVE" }.into()),
        task_definition: Some(super::task_definition::arn_of(state, row.task_definition_id)),
        // An older deployment is to keep what it still has to keep up the minimum.
        desired_count: count(if row.primary { service.desired_count } else { counts.wanted }),
        pending_count: count(counts.pending),
        running_count: count(counts.running),
        failed_tasks: count(row.failed_tasks),
        created_at: timestamp_unless_zero(row.created_at_ms),
        updated_at: timestamp_unless_zero(row.updated_at_ms),
        launch_type: Some(launch_type(spec.launch_type()).into()),
        rollout_state: Some(rollout.into()),
        rollout_state_reason: Some(reason),
        service_connect_configuration: spec.service_connect_configuration.clone(),
        ..Default::default()
    }
}

/// The word of a deployment's rollout state, and ECS's sentence about it.
pub fn rollout(row: &DeploymentRow) -> (&'static str, String) {
    let id = row.id;
    match RolloutState::try_from(row.rollout_state).unwrap_or_default() {
        RolloutState::Unspecified | RolloutState::InProgress => {
            ("IN_PROGRESS", format!("ECS deployment ecs-svc/{id} in progress."))
        }
        RolloutState::Completed => ("COMPLETED", format!("ECS deployment ecs-svc/{id} completed.")),
        RolloutState::Failed => ("FAILED", "ECS deployment circuit breaker: tasks failed to start.".into()),
    }
}
