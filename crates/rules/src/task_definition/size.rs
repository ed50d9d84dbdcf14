//! What one task takes from an instance, worked out once at registration so that placement never reads a definition.

use seawall_proto::{
    internal::v1::{PortNeed, TaskSize},
    v1::{ContainerDefinition, TaskDefinition},
};

use super::{
    AWSVPC, attributes,
    memory::{TaskLevel, natural, reserved},
};

/// The task's own size where it has one, else the sums over its containers.
pub fn of(definition: &TaskDefinition, task: TaskLevel) -> TaskSize {
    let containers = &definition.container_definitions;
    // A task with an address of its own has its ports there; on the instance's it gets free ones.
    let own_network = definition.network_mode() == AWSVPC;
    let sum = |of: fn(&ContainerDefinition) -> u32| containers.iter().map(of).fold(0, u32::saturating_add);
    TaskSize {
        cpu: task.cpu.unwrap_or_else(|| sum(|c| natural(c.cpu))),
        memory: task.memory.unwrap_or_else(|| sum(reserved)),
        ports: containers.iter().zip(0..).flat_map(|(container, place)| ports(container, place, own_network)).collect(),
        required_attributes: attributes::required(definition),
    }
}

fn ports(container: &ContainerDefinition, place: u32, own_network: bool) -> impl Iterator<Item = PortNeed> {
    container.port_mappings.iter().map(move |mapping| PortNeed {
        container: place,
        container_port: natural(mapping.container_port),
        host_port: if own_network { 0 } else { natural(mapping.host_port) },
        udp: mapping.protocol() == "udp",
    })
}
