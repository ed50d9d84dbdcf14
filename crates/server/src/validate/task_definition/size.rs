//! What one task takes from an instance, worked out once at registration so that placement never reads a definition.

use seawall_proto::{
    internal::v1::{PortNeed, TaskSize},
    v1::{ContainerDefinition, TaskDefinition},
};

use super::memory::{TaskLevel, natural, reserved};

/// Of the attribute by which an agent says that its engine has a log driver.
const LOG_DRIVER: &str = "com.amazonaws.ecs.capability.logging-driver.";
/// Kept by the agent itself, whatever its engine has.
const OWN_LOG_DRIVER: &str = "awslogs";

/// The task's own size where it has one, else the sums over its containers.
pub fn of(definition: &TaskDefinition, task: TaskLevel) -> TaskSize {
    let containers = &definition.container_definitions;
    let sum = |of: fn(&ContainerDefinition) -> u32| containers.iter().map(of).fold(0, u32::saturating_add);
    TaskSize {
        cpu: task.cpu.unwrap_or_else(|| sum(|c| natural(c.cpu))),
        memory: task.memory.unwrap_or_else(|| sum(reserved)),
        ports: containers.iter().zip(0..).flat_map(|(container, place)| ports(container, place)).collect(),
        required_attributes: required_attributes(containers),
    }
}

fn ports(container: &ContainerDefinition, place: u32) -> impl Iterator<Item = PortNeed> {
    container.port_mappings.iter().map(move |mapping| PortNeed {
        container: place,
        container_port: natural(mapping.container_port),
        host_port: natural(mapping.host_port),
        udp: mapping.protocol() == "udp",
    })
}

fn required_attributes(containers: &[ContainerDefinition]) -> Vec<String> {
    let drivers = containers.iter().filter_map(|c| c.log_configuration.as_ref()).map(|log| log.log_driver());
    let mut names: Vec<String> =
        drivers.filter(|driver| *driver != OWN_LOG_DRIVER).map(|driver| format!("{LOG_DRIVER}{driver}")).collect();
    names.sort();
    names.dedup();
    names
}
