//! Overrides of a RunTask or StartTask call.

use seawall_model::ApiError;
use seawall_proto::v1::{ContainerOverride, TaskOverride};

/// ECS's limit of the overrides as JSON.
const CHARS_MAX: usize = 8192;

/// Checks what does not need the definition; that its containers exist is checked when the size is worked out.
pub fn check(overrides: &TaskOverride) -> Result<(), ApiError> {
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
