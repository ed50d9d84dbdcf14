//! What a container has of its own and what it shares: networkMode, pidMode, ipcMode, and the members that depend on them.

use std::net::IpAddr;

use seawall_model::ApiError;
use seawall_proto::v1::{ContainerDefinition, RegisterTaskDefinitionRequest, SystemControl};

use super::{AWSVPC, HOST, invalid};

/// Namespaced parameters of System V and POSIX inter-process communication.
#[rustfmt::skip]
const IPC_CONTROLS: &[&str] = &[
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
const IPC_PREFIX: &str = "fs.mqueue.";
const NETWORK_PREFIX: &str = "net.";
/// The longest name that Linux takes.
const HOSTNAME_MAX: usize = 63;
/// Names of `ipcMode`.
const IPC_HOST: &str = "host";
const IPC_NONE: &str = "none";

/// Names, addresses, kernel parameters and shared memory of all containers.
pub fn check(network_mode: &str, request: &RegisterTaskDefinitionRequest) -> Result<(), ApiError> {
    let containers = &request.container_definitions;
    for container in containers {
        check_hostname(container)?;
        check_names(container)?;
        check_controls(network_mode, request.ipc_mode(), container)?;
        check_shared_memory(request.ipc_mode(), container)?;
        if container.disable_networking() && !container.port_mappings.is_empty() {
            return Err(invalid(container, "portMappings are not possible with disableNetworking."));
        }
        if network_mode == AWSVPC {
            check_awsvpc(container)?;
        }
    }
    check_agreement(network_mode, request)
}

fn check_hostname(container: &ContainerDefinition) -> Result<(), ApiError> {
    let name = container.hostname();
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if name.len() <= HOSTNAME_MAX && name.chars().all(is_fine) && !name.starts_with(['-', '.']) {
        return Ok(());
    }
    Err(invalid(
        container,
        format!("hostname '{name}' must have up to {HOSTNAME_MAX} letters, digits, hyphens and dots."),
    ))
}

fn check_names(container: &ContainerDefinition) -> Result<(), ApiError> {
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    let is_name = |name: &str| !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == ':');
    if let Some(server) = container.dns_servers.iter().find(|server| !is_address(server)) {
        return Err(invalid(container, format!("dnsServers: '{server}' is no IP address.")));
    }
    if let Some(domain) = container.dns_search_domains.iter().find(|domain| !is_name(domain)) {
        return Err(invalid(container, format!("dnsSearchDomains: '{domain}' is no domain.")));
    }
    for entry in &container.extra_hosts {
        let (name, address) = (entry.hostname(), entry.ip_address());
        if !is_name(name) || !is_address(address) {
            return Err(invalid(
                container,
                format!("extraHosts: '{name}' and '{address}' are not a name and an IP address."),
            ));
        }
    }
    Ok(())
}

fn check_controls(network_mode: &str, ipc_mode: &str, container: &ContainerDefinition) -> Result<(), ApiError> {
    for (i, control) in container.system_controls.iter().enumerate() {
        let name = control.namespace();
        let bad = |what: &str| Err(invalid(container, format!("systemControls: '{name}' {what}")));
        let is_ipc = IPC_CONTROLS.contains(&name) || name.starts_with(IPC_PREFIX);
        if !is_ipc && !name.starts_with(NETWORK_PREFIX) {
            return bad("is not a kernel parameter that a container may have of its own.");
        }
        if control.value().is_empty() {
            return bad("has no value.");
        }
        if !is_ipc && network_mode == HOST {
            return bad("is not supported when networkMode=host.");
        }
        if is_ipc && ipc_mode == IPC_HOST {
            return bad("is not supported when ipcMode=host.");
        }
        if container.system_controls[..i].iter().any(|other| other.namespace() == name) {
            return bad("is given twice.");
        }
    }
    Ok(())
}

fn check_shared_memory(ipc_mode: &str, container: &ContainerDefinition) -> Result<(), ApiError> {
    let asks = container.linux_parameters.as_ref().is_some_and(|linux| linux.shared_memory_size.is_some());
    if asks && matches!(ipc_mode, IPC_HOST | IPC_NONE) {
        return Err(invalid(
            container,
            format!("linuxParameters.sharedMemorySize is not supported when ipcMode={ipc_mode}."),
        ));
    }
    Ok(())
}

/// What belongs to the one network of the task, not to a container.
fn check_awsvpc(container: &ContainerDefinition) -> Result<(), ApiError> {
    let used = [
        ("Hostname is", !container.hostname().is_empty()),
        ("Links are", !container.links.is_empty()),
        ("Extra hosts are", !container.extra_hosts.is_empty()),
        ("disableNetworking is", container.disable_networking()),
    ];
    match used.iter().find(|(_, used)| *used) {
        Some((what, _)) => {
            Err(invalid(container, format!("{what} not supported on container when networkMode=awsvpc.")))
        }
        None => Ok(()),
    }
}

/// A parameter of a shared namespace has one value.
fn check_agreement(network_mode: &str, request: &RegisterTaskDefinitionRequest) -> Result<(), ApiError> {
    let is_shared = |control: &&SystemControl| match control.namespace().starts_with(NETWORK_PREFIX) {
        true => network_mode == AWSVPC,
        false => request.ipc_mode() == "task",
    };
    let mut known: Vec<&SystemControl> = Vec::new();
    for container in &request.container_definitions {
        for control in container.system_controls.iter().filter(is_shared) {
            let other = known.iter().find(|other| other.namespace == control.namespace);
            if other.is_some_and(|other| other.value != control.value) {
                let name = control.namespace();
                return Err(invalid(
                    container,
                    format!("systemControls: another container of the task sets '{name}' differently."),
                ));
            }
            known.push(control);
        }
    }
    Ok(())
}
