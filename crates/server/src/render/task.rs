//! `Task` and its containers.

use seawall_model::{ArnScope, InstanceId, TaskDefinitionId, TaskId};
use seawall_proto::{
    internal::v1::{ContainerRow, PortBinding, StopCode, TaskRow, TaskStatus},
    timestamp_unless_zero,
    v1::{Attribute, Container, ContainerDefinition, ContainerOverride, NetworkBinding, Task, TaskOverride},
};
use seawall_scheduler::is_fargate;
use seawall_state::{ARCHITECTURE_ATTRIBUTE, FENCING_TOKEN_ATTRIBUTE, State, task_id};

mod interface;

use super::{count, health, unless_empty, version};
use crate::validate::task_definition::{AWSVPC, fargate::FARGATE};

/// When the spot capacity goes that a task stands on, in seconds since 1970: ECS has no member for it.
const RECLAIM_ATTRIBUTE: &str = "seawall.reclaim-at";

/// What other rows say of a task.
pub(super) struct Around<'a> {
    pub(super) arns: ArnScope,
    /// Its cluster's name.
    pub(super) cluster: &'a str,
    pub(super) definition_arn: String,
    pub(super) containers: &'a [ContainerDefinition],
    /// Its networkMode is awsvpc, as far as that is known still.
    pub(super) awsvpc: bool,
    pub(super) instance: Option<Stands<'a>>,
}

/// Where a task stands, or stood.
pub(super) struct Stands<'a> {
    /// `None` where ECS knows of no instance: in FARGATE's pools.
    pub(super) arn: Option<String>,
    pub(super) zone: &'a str,
    /// Empty where it is not known.
    pub(super) architecture: &'a str,
}

/// The id of a row.
pub fn id(row: &TaskRow) -> TaskId {
    row.id.as_ref().map(task_id).unwrap_or_default()
}

/// The ARN of a task.
pub fn arn(state: &State, row: &TaskRow) -> String {
    state.arns().task(super::cluster_name(state, row.cluster_id), id(row))
}

/// The task, with tags if they are asked for. Also renders rows that left the state a moment ago.
pub fn render(state: &State, row: &TaskRow, tags: bool) -> Task {
    let definition = state.task_definitions.get(&TaskDefinitionId(row.task_definition_id));
    let definition = definition.and_then(|row| row.definition.as_ref());
    let instance = state.instances.get(&InstanceId(row.instance_id));
    let around = Around {
        arns: state.arns(),
        cluster: super::cluster_name(state, row.cluster_id),
        definition_arn: super::task_definition::arn_of(state, row.task_definition_id),
        containers: definition.map_or(&[][..], |d| &d.container_definitions),
        awsvpc: definition.is_some_and(|d| d.network_mode() == AWSVPC),
        instance: instance.map(|i| Stands {
            arn: (!is_fargate(&i.capacity_provider)).then(|| super::instance::arn(state, i)),
            zone: &i.zone,
            architecture: i.attributes.iter().find(|a| a.name == ARCHITECTURE_ATTRIBUTE).map_or("", |a| &a.value),
        }),
    };
    render_with(&around, row, tags)
}

/// When it began to stop: by cluster time, while it stopped by the agent's clock, which may be behind.
fn stopping_at_ms(row: &TaskRow) -> i64 {
    if row.stopped_at_ms == 0 { row.stopping_at_ms } else { row.stopping_at_ms.min(row.stopped_at_ms) }
}

/// The task, from its row and what stood around it.
pub(super) fn render_with(around: &Around<'_>, row: &TaskRow, tags: bool) -> Task {
    let Around { arns, cluster, definition_arn, containers, awsvpc, instance } = around;
    let (connectivity, connectivity_at) = connectivity(row);
    let stands = row.instance_id != 0;
    Task {
        attributes: attributes(instance.as_ref(), row),
        capacity_provider_name: unless_empty(&row.capacity_provider),
        availability_zone: instance.as_ref().map(|i| i.zone.into()),
        cluster_arn: Some(arns.cluster(cluster)),
        // One that never stood anywhere was never connected.
        connectivity: stands.then(|| connectivity.into()),
        connectivity_at: timestamp_unless_zero(if stands { connectivity_at } else { 0 }),
        container_instance_arn: instance.as_ref().and_then(|i| i.arn.clone()),
        containers: (0..containers.len()).map(|i| container(arns, row, cluster, &containers[i], i)).collect(),
        cpu: Some(row.cpu.to_string()),
        created_at: timestamp_unless_zero(row.created_at_ms),
        desired_status: Some(desired_status(row).into()),
        enable_execute_command: Some(false),
        execution_stopped_at: timestamp_unless_zero(row.execution_stopped_at_ms),
        group: unless_empty(&row.group),
        health_status: Some(health(row.health)),
        last_status: Some(status(row.last_status).into()),
        launch_type: Some(launch_type(&row.launch_type).into()),
        memory: Some(row.memory.to_string()),
        overrides: Some(overrides(row, containers)),
        platform_family: platform_family(&row.launch_type),
        platform_version: platform_version(&row.launch_type),
        attachments: interface::attachment(&arns.region, *awsvpc, row).into_iter().collect(),
        pull_started_at: timestamp_unless_zero(row.pull_started_at_ms),
        pull_stopped_at: timestamp_unless_zero(row.pull_stopped_at_ms),
        started_at: timestamp_unless_zero(row.started_at_ms),
        started_by: unless_empty(&row.started_by),
        stop_code: stop_code(row.stop_code).map(Into::into),
        stopped_at: timestamp_unless_zero(row.stopped_at_ms),
        stopped_reason: unless_empty(&row.stopped_reason),
        stopping_at: timestamp_unless_zero(stopping_at_ms(row)),
        tags: if tags { row.tags.clone() } else { Vec::new() },
        task_arn: Some(arns.task(cluster, id(row))),
        task_definition_arn: Some(definition_arn.clone()),
        version: version(row.changed),
        ..Default::default()
    }
}

/// `RUNNING` or `STOPPED`: ECS knows no other desired status.
pub fn desired_status(row: &TaskRow) -> &'static str {
    if row.desired_running { "RUNNING" } else { "STOPPED" }
}

/// The launch type that was asked for; EC2 where none was.
pub fn launch_type(asked: &str) -> &str {
    if asked.is_empty() { "EC2" } else { asked }
}

/// What Fargate calls its machines; there is none for other launch types.
pub fn platform_family(launch_type: &str) -> Option<String> {
    (launch_type == FARGATE).then(|| "Linux".into())
}

/// The one platform version of Fargate.
pub fn platform_version(launch_type: &str) -> Option<String> {
    (launch_type == FARGATE).then(|| "1.4.0".into())
}

/// The word of a task's or container's status.
pub fn status(status: i32) -> &'static str {
    match TaskStatus::try_from(status).unwrap_or_default() {
        TaskStatus::Unspecified | TaskStatus::Pending => "PENDING",
        TaskStatus::Provisioning => "PROVISIONING",
        TaskStatus::Activating => "ACTIVATING",
        TaskStatus::Running => "RUNNING",
        TaskStatus::Deactivating => "DEACTIVATING",
        TaskStatus::Stopping => "STOPPING",
        TaskStatus::Deprovisioning => "DEPROVISIONING",
        TaskStatus::Stopped => "STOPPED",
    }
}

fn stop_code(code: i32) -> Option<&'static str> {
    Some(match StopCode::try_from(code).unwrap_or_default() {
        StopCode::Unspecified => return None,
        StopCode::TaskFailedToStart => "TaskFailedToStart",
        StopCode::EssentialContainerExited => "EssentialContainerExited",
        StopCode::UserInitiated => "UserInitiated",
        StopCode::ServiceSchedulerInitiated => "ServiceSchedulerInitiated",
        StopCode::SpotInterruption => "SpotInterruption",
        StopCode::TerminationNotice => "TerminationNotice",
        StopCode::InfrastructureHealth => "InfrastructureHealth",
    })
}

fn connectivity(row: &TaskRow) -> (&'static str, i64) {
    match row.unreachable_since_ms {
        0 if row.started_at_ms != 0 => ("CONNECTED", row.started_at_ms),
        0 => ("CONNECTED", row.created_at_ms),
        since => ("DISCONNECTED", since),
    }
}

fn attributes(instance: Option<&Stands<'_>>, row: &TaskRow) -> Vec<Attribute> {
    let architecture = instance.map(|i| i.architecture).filter(|value| !value.is_empty());
    let token = (row.fencing_token != 0).then(|| row.fencing_token.to_string());
    let is_told = row.reclaim_at_ms != 0 && row.stopped_at_ms == 0;
    let reclaim = is_told.then(|| (row.reclaim_at_ms / 1000).to_string());
    let attribute =
        |(name, value): (&str, String)| Attribute { name: Some(name.into()), value: Some(value), ..Default::default() };
    let architecture = architecture.map(|value| (ARCHITECTURE_ATTRIBUTE, value.to_owned()));
    let own = token.map(|token| (FENCING_TOKEN_ATTRIBUTE, token)).into_iter();
    architecture.into_iter().chain(own).chain(reclaim.map(|at_s| (RECLAIM_ATTRIBUTE, at_s))).map(attribute).collect()
}

/// ECS names every container of the task in here, overridden or not.
fn overrides(row: &TaskRow, containers: &[ContainerDefinition]) -> TaskOverride {
    let mut overrides = row.overrides.clone().unwrap_or_default();
    for container in containers {
        if !overrides.container_overrides.iter().any(|o| o.name == container.name) {
            overrides
                .container_overrides
                .push(ContainerOverride { name: container.name.clone(), ..Default::default() });
        }
    }
    overrides
}

fn container(
    arns: &ArnScope,
    task: &TaskRow,
    cluster: &str,
    definition: &ContainerDefinition,
    place: usize,
) -> Container {
    let fresh = ContainerRow::default();
    let row = task.containers.get(place).unwrap_or(&fresh);
    let over = task.overrides.as_ref().and_then(|o| o.container_overrides.iter().find(|o| o.name == definition.name));
    let text = |over: Option<i32>, own: Option<i32>| over.or(own).map(|n| n.to_string());
    Container {
        container_arn: Some(arns.container(cluster, id(task), place)),
        task_arn: Some(arns.task(cluster, id(task))),
        name: definition.name.clone(),
        image: definition.image.clone(),
        image_digest: unless_empty(&row.image_digest),
        runtime_id: unless_empty(&row.runtime_id),
        last_status: Some(status(row.last_status).into()),
        exit_code: row.exit_code,
        reason: unless_empty(&row.reason),
        network_bindings: row.bindings.iter().map(binding).collect(),
        network_interfaces: interface::of_container(task).into_iter().collect(),
        health_status: Some(health(row.health)),
        cpu: text(over.and_then(|o| o.cpu), definition.cpu),
        memory: text(over.and_then(|o| o.memory), definition.memory),
        memory_reservation: text(over.and_then(|o| o.memory_reservation), definition.memory_reservation),
        ..Default::default()
    }
}

fn binding(binding: &PortBinding) -> NetworkBinding {
    NetworkBinding {
        bind_ip: Some(binding.bind_ip.clone()),
        container_port: count(binding.container_port),
        host_port: count(binding.host_port),
        protocol: Some(protocol(binding.udp).into()),
        ..Default::default()
    }
}

/// The word of a port's protocol.
pub fn protocol(udp: bool) -> &'static str {
    if udp { "udp" } else { "tcp" }
}
