//! ECS's defaults, as `RegisterTaskDefinition` echoes them: clients compare what they sent with what they read.

use seawall_proto::v1::{Attribute, ContainerDefinition, HealthCheck, RegisterTaskDefinitionRequest, TaskDefinition};

use super::{attributes, fargate, memory::TaskLevel, ports};

const HEALTH_INTERVAL_S: i32 = 30;
const HEALTH_TIMEOUT_S: i32 = 5;
const HEALTH_RETRIES: i32 = 3;

/// The definition without what registering it adds.
pub fn fill(request: &RegisterTaskDefinitionRequest, network_mode: &str, task: TaskLevel) -> TaskDefinition {
    let fill = |container: &ContainerDefinition| fill_container(container, network_mode);
    TaskDefinition {
        family: request.family.clone(),
        container_definitions: request.container_definitions.iter().map(fill).collect(),
        task_role_arn: request.task_role_arn.clone(),
        execution_role_arn: request.execution_role_arn.clone(),
        // ECS leaves it out where the caller did.
        network_mode: request.network_mode.clone().filter(|text| !text.is_empty()),
        volumes: request.volumes.clone(),
        placement_constraints: request.placement_constraints.clone(),
        compatibilities: fargate::compatibilities(network_mode, task, request),
        requires_compatibilities: request.requires_compatibilities.clone(),
        runtime_platform: request.runtime_platform.clone(),
        cpu: task.cpu.map(|units| units.to_string()),
        memory: task.memory.map(|mib| mib.to_string()),
        pid_mode: request.pid_mode.clone().filter(|text| !text.is_empty()),
        ipc_mode: request.ipc_mode.clone().filter(|text| !text.is_empty()),
        ephemeral_storage: request.ephemeral_storage,
        enable_fault_injection: request.enable_fault_injection,
        ..Default::default()
    }
}

/// The attributes that an instance must have, worked out from the definition.
pub fn with_attributes(definition: TaskDefinition) -> TaskDefinition {
    let attribute = |name: String| Attribute { name: Some(name), ..Default::default() };
    TaskDefinition {
        requires_attributes: attributes::listed(&definition).into_iter().map(attribute).collect(),
        ..definition
    }
}

fn fill_container(container: &ContainerDefinition, network_mode: &str) -> ContainerDefinition {
    let mut filled = container.clone();
    filled.cpu.get_or_insert(0);
    filled.essential.get_or_insert(true);
    for mapping in &mut filled.port_mappings {
        mapping.host_port = Some(ports::host_port(network_mode, mapping));
        mapping.protocol = Some(ports::protocol(mapping).to_owned());
    }
    filled.health_check = container.health_check.clone().map(fill_health);
    filled
}

fn fill_health(mut check: HealthCheck) -> HealthCheck {
    check.interval.get_or_insert(HEALTH_INTERVAL_S);
    check.timeout.get_or_insert(HEALTH_TIMEOUT_S);
    check.retries.get_or_insert(HEALTH_RETRIES);
    check
}
