//! Task definitions: everything that would fail later, on some instance, is refused at registration, and ECS's defaults are
//! filled in as `RegisterTaskDefinition` echoes them.
//!
//! The shapes of the members are checked before ([`super::request`]); here is what depends on several of them.

mod attributes;
mod container;
mod defaults;
pub mod fargate;
mod graph;
mod health;
mod linux;
mod log;
pub mod memory;
mod namespaces;
mod ports;
mod restart;
mod size;
mod volumes;

#[cfg(test)]
mod tests;

use seawall_model::{
    ApiError, is_ecs_name,
    limits::{CONTAINERS_MAX, TASK_DEFINITION_BYTES_MAX},
};
use seawall_proto::{
    internal::v1::TaskSize,
    v1::{ContainerDefinition, RegisterTaskDefinitionRequest, TaskDefinition},
};
use seawall_scheduler::Constraints;

/// `networkMode` where a definition names none.
pub const BRIDGE: &str = "bridge";
/// The containers share the instance's network.
const HOST: &str = "host";
/// The task has an address of its own.
pub const AWSVPC: &str = "awsvpc";
/// The containers have no network.
const NONE: &str = "none";

/// The definition with defaults filled in, and what one task of it takes from an instance.
///
/// # Errors
/// `ClientException` naming the container and the member.
pub fn check(request: &RegisterTaskDefinitionRequest) -> Result<(TaskDefinition, TaskSize), ApiError> {
    check_family(request.family())?;
    check_bytes(request)?;
    let containers = &request.container_definitions;
    check_names(containers)?;
    if !containers.iter().any(|c| c.essential.unwrap_or(true)) {
        return Err(ApiError::client("At least one container of a task definition must be essential."));
    }
    let network_mode = request.network_mode.as_deref().filter(|text| !text.is_empty()).unwrap_or(BRIDGE);
    containers.iter().try_for_each(container::check)?;
    containers.iter().try_for_each(health::check)?;
    containers.iter().try_for_each(log::check)?;
    containers.iter().try_for_each(restart::check)?;
    namespaces::check(network_mode, request)?;
    ports::check(network_mode, containers)?;
    volumes::check(&request.volumes, containers)?;
    graph::check(network_mode, containers)?;
    let task = memory::check(request.cpu.as_deref(), request.memory.as_deref(), containers)?;
    containers.iter().try_for_each(|container| linux::check(container, task.memory.is_some()))?;
    fargate::check(network_mode, task, request)?;
    Constraints::parse(&request.placement_constraints, &[]).map_err(ApiError::client)?;
    let definition = defaults::fill(request, network_mode, task);
    let size = size::of(&definition, task);
    Ok((defaults::with_attributes(definition), size))
}

fn check_family(family: &str) -> Result<(), ApiError> {
    if is_ecs_name(family) {
        return Ok(());
    }
    Err(ApiError::client(format!(
        "Invalid family '{family}': it must have 1 to 255 letters, digits, hyphens and underscores."
    )))
}

fn check_bytes(request: &RegisterTaskDefinitionRequest) -> Result<(), ApiError> {
    let bytes = serde_json::to_vec(request).map_or(0, |json| json.len());
    if bytes <= TASK_DEFINITION_BYTES_MAX {
        return Ok(());
    }
    Err(ApiError::client(format!("The task definition has {bytes} bytes; the limit is {TASK_DEFINITION_BYTES_MAX}.")))
}

fn check_names(containers: &[ContainerDefinition]) -> Result<(), ApiError> {
    if containers.is_empty() {
        return Err(ApiError::client("Container list cannot be empty."));
    }
    if containers.len() > CONTAINERS_MAX {
        let count = containers.len();
        return Err(ApiError::client(format!(
            "The task definition has {count} containers; the limit is {CONTAINERS_MAX}."
        )));
    }
    for (i, container) in containers.iter().enumerate() {
        let name = container.name();
        if name.is_empty() {
            return Err(ApiError::client("Container.name should not be null or empty."));
        }
        if !is_ecs_name(name) {
            return Err(invalid(container, "name must have 1 to 255 letters, digits, hyphens and underscores."));
        }
        if containers[..i].iter().any(|other| other.name() == name) {
            return Err(invalid(container, "name is used by two containers."));
        }
    }
    Ok(())
}

/// ECS's form of an error about a container.
fn invalid(container: &ContainerDefinition, what: impl std::fmt::Display) -> ApiError {
    ApiError::client(format!("Invalid setting for container '{}'. {what}", container.name()))
}
