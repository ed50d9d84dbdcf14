//! Overrides of a RunTask or StartTask call.

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::v1::{ContainerDefinition, ContainerOverride, TaskDefinition, TaskOverride};

use crate::validate::task_definition::memory;

/// ECS's limit of the overrides as JSON.
const CHARS_MAX: usize = 8192;

/// The overrides as they are kept: checked, and with the task's own size in units and MiB. With them the definition still
/// follows the rules of a registration: no container gets more than the task, and each has a limit.
pub fn completed(overrides: &TaskOverride, definition: &TaskDefinition) -> Result<TaskOverride, ApiError> {
    check(overrides)?;
    let containers: Vec<_> = definition.container_definitions.iter().map(|c| overridden(c, overrides)).collect();
    let cpu = overrides.cpu.as_ref().or(definition.cpu.as_ref());
    let memory = overrides.memory.as_ref().or(definition.memory.as_ref());
    let task = memory::check(cpu.map(String::as_str), memory.map(String::as_str), &containers)
        .map_err(|error| ApiError { code: ErrorCode::InvalidParameter, ..error })?;
    Ok(TaskOverride {
        cpu: overrides.cpu.as_ref().and(task.cpu).map(|units| units.to_string()),
        memory: overrides.memory.as_ref().and(task.memory).map(|mib| mib.to_string()),
        ..overrides.clone()
    })
}

fn overridden(container: &ContainerDefinition, overrides: &TaskOverride) -> ContainerDefinition {
    let mut container = container.clone();
    if let Some(item) = overrides.container_overrides.iter().find(|item| item.name == container.name) {
        container.cpu = item.cpu.or(container.cpu);
        container.memory = item.memory.or(container.memory);
        container.memory_reservation = item.memory_reservation.or(container.memory_reservation);
    }
    container
}

/// Checks what does not need the definition; that its containers exist is checked when the size is worked out.
fn check(overrides: &TaskOverride) -> Result<(), ApiError> {
    let json = serde_json::to_string(overrides).unwrap_or_default();
    if json.chars().count() > CHARS_MAX {
        return Err(ApiError::invalid(format!("overrides are longer than {CHARS_MAX} characters.")));
    }
    for (i, item) in overrides.container_overrides.iter().enumerate() {
        if overrides.container_overrides[..i].iter().any(|other| other.name == item.name) {
            return Err(ApiError::invalid(format!("The container '{}' is overridden twice.", item.name())));
        }
        check_container(item)?;
    }
    Ok(())
}

fn check_container(item: &ContainerOverride) -> Result<(), ApiError> {
    let name = item.name();
    if name.is_empty() {
        return Err(ApiError::invalid("A container override has no name."));
    }
    let numbers = [("cpu", item.cpu), ("memory", item.memory), ("memoryReservation", item.memory_reservation)];
    for (member, value) in numbers {
        if let Some(value) = value.filter(|v| *v < 0) {
            return Err(ApiError::invalid(format!("The override of container '{name}' has {member} {value}.")));
        }
    }
    match item.environment.iter().find(|pair| pair.name().is_empty() || pair.name().contains('=')) {
        None => Ok(()),
        Some(pair) => Err(ApiError::invalid(format!(
            "The override of container '{name}' has the environment name '{}': it must not be empty and must not hold '='.",
            pair.name()
        ))),
    }
}
