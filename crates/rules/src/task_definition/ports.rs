//! Port mappings. Two containers of one task that want the same port of the host could never both start.

use seawall_model::ApiError;
use seawall_proto::v1::{ContainerDefinition, PortMapping};

use super::{AWSVPC, HOST, NONE, invalid};

const PORT_MAX: i32 = 65_535;

/// Ranges, the network mode, and clashes within the definition.
pub fn check(network_mode: &str, containers: &[ContainerDefinition]) -> Result<(), ApiError> {
    let mut taken: Vec<(i32, &str, &ContainerDefinition)> = Vec::new();
    for container in containers {
        for mapping in &container.port_mappings {
            check_one(network_mode, container, mapping)?;
            let (port, protocol) = (host_port(network_mode, mapping), protocol(mapping));
            if port == 0 {
                continue;
            }
            if let Some((_, _, other)) = taken.iter().find(|(p, q, _)| (*p, *q) == (port, protocol)) {
                let other = other.name();
                return Err(invalid(
                    container,
                    format!("Host port {port}/{protocol} is already used by container '{other}' of this definition."),
                ));
            }
            taken.push((port, protocol, container));
        }
    }
    Ok(())
}

/// The port of the host that the mapping takes; 0 where one is chosen when the container starts.
pub fn host_port(network_mode: &str, mapping: &PortMapping) -> i32 {
    match mapping.host_port() {
        0 if matches!(network_mode, HOST | AWSVPC) => mapping.container_port(),
        port => port,
    }
}

/// The mapping's protocol, or the default one.
pub fn protocol(mapping: &PortMapping) -> &str {
    mapping.protocol.as_deref().filter(|text| !text.is_empty()).unwrap_or("tcp")
}

fn check_one(network_mode: &str, container: &ContainerDefinition, mapping: &PortMapping) -> Result<(), ApiError> {
    let (port, host) = (mapping.container_port(), mapping.host_port());
    if network_mode == NONE {
        return Err(invalid(container, "portMappings are not possible with networkMode 'none'."));
    }
    if !(1..=PORT_MAX).contains(&port) {
        return Err(invalid(container, format!("containerPort is {port}; it must be between 1 and {PORT_MAX}.")));
    }
    if !(0..=PORT_MAX).contains(&host) {
        return Err(invalid(container, format!("hostPort is {host}; it must be between 0 and {PORT_MAX}.")));
    }
    if network_mode == AWSVPC && host != 0 && host != port {
        return Err(ApiError::client(
            "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
        ));
    }
    if network_mode == HOST && host != 0 && host != port {
        return Err(invalid(
            container,
            format!("hostPort {host} must be left out or equal containerPort {port} with networkMode 'host'."),
        ));
    }
    Ok(())
}
