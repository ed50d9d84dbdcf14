//! `ServiceDeployment` and `ServiceRevision`.

use seawall_model::{DeploymentId, ServiceId, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{ServiceDeploymentRow, ServiceDeploymentStatus, ServiceRevisionRow, ServiceRow},
    timestamp_unless_zero,
    v1::{
        ContainerImage, Rollback, ServiceDeployment, ServiceDeploymentBrief, ServiceDeploymentCircuitBreaker,
        ServiceRevision, ServiceRevisionSummary,
    },
};
use seawall_state::{CircuitBreaker, State, is_finished};

use super::{cluster_name, count, service, unless_empty};

/// The ARN of a service's deployment.
pub fn arn(state: &State, service: &ServiceRow, id: &str) -> String {
    state.arns().service_deployment(cluster_name(state, service.cluster_id), &service.name, id)
}

/// The ARN of a service's revision.
pub fn revision_arn(state: &State, service: &ServiceRow, id: u64) -> String {
    state.arns().service_revision(cluster_name(state, service.cluster_id), &service.name, id)
}

/// The word of a service deployment's status.
pub fn status(status: ServiceDeploymentStatus) -> &'static str {
    use ServiceDeploymentStatus as Status;
    match status {
        Status::Unspecified | Status::Pending => "PENDING",
        Status::InProgress => "IN_PROGRESS",
        Status::Successful => "SUCCESSFUL",
        Status::StopRequested => "STOP_REQUESTED",
        Status::Stopped => "STOPPED",
        Status::RollbackRequested => "ROLLBACK_REQUESTED",
        Status::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
        Status::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
        Status::RollbackFailed => "ROLLBACK_FAILED",
    }
}

/// One entry of a list.
pub fn brief(state: &State, service: &ServiceRow, row: &ServiceDeploymentRow) -> ServiceDeploymentBrief {
    ServiceDeploymentBrief {
        service_deployment_arn: Some(arn(state, service, &row.id)),
        service_arn: Some(service::arn(state, service)),
        cluster_arn: Some(state.arns().cluster(cluster_name(state, service.cluster_id))),
        started_at: timestamp_unless_zero(row.started_at_ms),
        created_at: timestamp_unless_zero(row.created_at_ms),
        finished_at: timestamp_unless_zero(row.finished_at_ms),
        target_service_revision_arn: Some(revision_arn(state, service, row.target_revision_id)),
        status: Some(status(row.status()).into()),
        status_reason: unless_empty(&row.status_reason),
    }
}

/// The whole service deployment. A rolling one has no lifecycle stages.
pub fn render(state: &State, service: &ServiceRow, row: &ServiceDeploymentRow) -> ServiceDeployment {
    let sources = row.source_revision_ids.iter().map(|id| summary(state, service, *id));
    let rollback = (row.rollback_started_at_ms != 0).then(|| Rollback {
        reason: unless_empty(&row.rollback_reason),
        started_at: timestamp_unless_zero(row.rollback_started_at_ms),
        service_revision_arn: Some(revision_arn(state, service, row.rollback_revision_id)),
    });
    ServiceDeployment {
        service_deployment_arn: Some(arn(state, service, &row.id)),
        service_arn: Some(service::arn(state, service)),
        cluster_arn: Some(state.arns().cluster(cluster_name(state, service.cluster_id))),
        created_at: timestamp_unless_zero(row.created_at_ms),
        started_at: timestamp_unless_zero(row.started_at_ms),
        finished_at: timestamp_unless_zero(row.finished_at_ms),
        stopped_at: timestamp_unless_zero(row.stopped_at_ms),
        updated_at: timestamp_unless_zero(row.updated_at_ms),
        source_service_revisions: sources.collect(),
        target_service_revision: Some(summary(state, service, row.target_revision_id)),
        status: Some(status(row.status()).into()),
        status_reason: unless_empty(&row.status_reason),
        deployment_configuration: Some(service::with_defaults(row.configuration.as_ref())),
        rollback,
        deployment_circuit_breaker: Some(circuit_breaker(service, row)),
        ..ServiceDeployment::default()
    }
}

/// A revision with the tasks that it has now.
fn summary(state: &State, service: &ServiceRow, id: u64) -> ServiceRevisionSummary {
    let counts = state.deployment_counts(ServiceId(service.id), DeploymentId(id));
    ServiceRevisionSummary {
        arn: Some(revision_arn(state, service, id)),
        requested_task_count: count(service::requested(state, service, id)),
        running_task_count: count(counts.running),
        pending_task_count: count(counts.pending),
        ..ServiceRevisionSummary::default()
    }
}

fn circuit_breaker(service: &ServiceRow, row: &ServiceDeploymentRow) -> ServiceDeploymentCircuitBreaker {
    let Some(breaker) = CircuitBreaker::of_configuration(row.configuration.as_ref()) else {
        return ServiceDeploymentCircuitBreaker {
            status: Some("DISABLED".into()),
            failure_count: Some(0),
            threshold: Some(0),
        };
    };
    // Until it has ended, or goes back, its figures stand in the service.
    let watched = service.deployments.iter().find(|d| d.service_deployment_id == row.id);
    let watched = watched.filter(|_| !is_finished(row.status()) && row.rollback_started_at_ms == 0);
    let (failures, threshold) = match watched {
        Some(deployment) => (deployment.breaker_failures, breaker.threshold(service.desired_count)),
        None => (row.failures, row.threshold),
    };
    let status = match (row.breaker_tripped, is_finished(row.status())) {
        (true, _) => "TRIGGERED",
        (false, true) => "MONITORING_COMPLETE",
        (false, false) => "MONITORING",
    };
    ServiceDeploymentCircuitBreaker {
        status: Some(status.into()),
        failure_count: count(failures),
        threshold: count(threshold),
    }
}

/// The whole revision.
pub fn revision(state: &State, service: &ServiceRow, row: &ServiceRevisionRow) -> ServiceRevision {
    let spec = row.spec.clone().unwrap_or_default();
    let network = spec.network_configuration.clone();
    ServiceRevision {
        service_revision_arn: Some(revision_arn(state, service, row.id)),
        service_arn: Some(service::arn(state, service)),
        cluster_arn: Some(state.arns().cluster(cluster_name(state, service.cluster_id))),
        // As text: the definition itself may be gone by now.
        task_definition: spec.task_definition.clone(),
        launch_type: service::launch_type_of(&spec),
        platform_version: service::platform_version(&spec),
        platform_family: service::platform_family(&spec),
        capacity_provider_strategy: spec.capacity_provider_strategy,
        load_balancers: spec.load_balancers,
        service_registries: spec.service_registries,
        network_configuration: network.filter(|network| network.awsvpc_configuration.is_some()),
        container_images: images(state, row),
        service_connect_configuration: spec.service_connect_configuration,
        volume_configurations: spec.volume_configurations,
        vpc_lattice_configurations: spec.vpc_lattice_configurations,
        gateway_connectors: spec.gateway_connectors,
        monitoring: spec.monitoring,
        guard_duty_enabled: Some(false),
        created_at: timestamp_unless_zero(row.created_at_ms),
        ..ServiceRevision::default()
    }
}

/// The images of its containers, with the digests that its tasks report.
fn images(state: &State, row: &ServiceRevisionRow) -> Vec<ContainerImage> {
    let definition = state.task_definitions.get(&TaskDefinitionId(row.task_definition_id));
    let containers = definition.and_then(|row| row.definition.as_ref()).map_or(&[][..], |d| &d.container_definitions);
    let mut tasks = state.live_tasks_of_service(ServiceId(row.service_id)).filter(|t| t.deployment_id == row.id);
    let reported = tasks.find(|t| !t.containers.is_empty()).map_or(&[][..], |task| &task.containers);
    let image = |(place, container): (usize, &seawall_proto::v1::ContainerDefinition)| ContainerImage {
        container_name: container.name.clone(),
        image: container.image.clone(),
        image_digest: reported.get(place).and_then(|row| unless_empty(&row.image_digest)),
    };
    containers.iter().enumerate().map(image).collect()
}
