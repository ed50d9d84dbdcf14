//! What one task takes of an instance.

use seawall_model::ApiError;
use seawall_proto::{
    internal::v1::{TaskDefinitionRow, TaskRow, TaskSize},
    v1::{ContainerDefinition, ContainerOverride, TaskOverride},
};

/// CPU units of one vCPU.
const CPU_UNITS: f64 = 1024.0;
/// MiB of one GB, as ECS counts.
const MEMORY_UNITS: f64 = 1024.0;

/// The fixed host ports that a task of this size takes, with whether it is UDP. Dynamic ones are not counted.
pub fn fixed_ports(size: &TaskSize) -> impl Iterator<Item = (u16, bool)> {
    size.ports.iter().filter_map(|need| Some((u16::try_from(need.host_port).ok().filter(|port| *port != 0)?, need.udp)))
}

/// What a task takes: its own size where it has one, else its definition's.
pub fn size_of<'a>(task: &'a TaskRow, definition: Option<&'a TaskDefinitionRow>) -> Option<&'a TaskSize> {
    task.size.as_ref().or(definition.and_then(|row| row.size.as_ref()))
}

/// The size of a definition's task with the overrides of a RunTask or StartTask call.
///
/// A size at the level of the task wins over the sum of its containers; so an override of a container changes the task's
/// size only where the definition gives none.
///
/// # Errors
/// `InvalidParameterException` where an override names a container that is not in the definition, or is no size.
pub fn effective_size(definition: &TaskDefinitionRow, overrides: Option<&TaskOverride>) -> Result<TaskSize, ApiError> {
    let mut size = definition.size.clone().unwrap_or_default();
    let (Some(overrides), Some(task)) = (overrides, &definition.definition) else { return Ok(size) };
    for item in &overrides.container_overrides {
        check_container(item, &task.container_definitions)?;
    }
    let each = || task.container_definitions.iter().map(|c| (c, override_of(c, overrides)));
    if let Some(text) = &overrides.cpu {
        size.cpu = parse_cpu(text)?;
    } else if task.cpu.is_none() && overrides.container_overrides.iter().any(|o| o.cpu.is_some()) {
        size.cpu = each().map(|(c, o)| container_cpu(c, o)).fold(0, u32::saturating_add);
    }
    if let Some(text) = &overrides.memory {
        size.memory = parse_memory(text)?;
    } else if task.memory.is_none()
        && overrides.container_overrides.iter().any(|o| o.memory.or(o.memory_reservation).is_some())
    {
        size.memory = each().map(|(c, o)| container_memory(c, o)).fold(0, u32::saturating_add);
    }
    Ok(size)
}

/// CPU units of "256", "1 vCPU" or ".5 vcpu".
///
/// # Errors
/// `InvalidParameterException` where `text` is none of these.
pub fn parse_cpu(text: &str) -> Result<u32, ApiError> {
    parse(text, "vcpu", CPU_UNITS)
        .ok_or_else(|| ApiError::invalid(format!("Invalid 'cpu' setting for task: {text:?}.")))
}

/// MiB of "512", "1GB" or "0.5 gb".
///
/// # Errors
/// `InvalidParameterException` where `text` is none of these.
pub fn parse_memory(text: &str) -> Result<u32, ApiError> {
    parse(text, "gb", MEMORY_UNITS)
        .ok_or_else(|| ApiError::invalid(format!("Invalid 'memory' setting for task: {text:?}.")))
}

fn parse(text: &str, unit: &str, factor: f64) -> Option<u32> {
    let text = text.trim().to_ascii_lowercase();
    let Some(number) = text.strip_suffix(unit) else { return text.parse().ok() };
    let number: f64 = number.trim().parse().ok()?;
    let units = (number * factor).round();
    (units >= 0.0 && units <= f64::from(u32::MAX)).then_some(units as u32)
}

fn check_container(item: &ContainerOverride, containers: &[ContainerDefinition]) -> Result<(), ApiError> {
    if containers.iter().any(|c| c.name == item.name) {
        return Ok(());
    }
    let name = item.name.as_deref().unwrap_or_default();
    Err(ApiError::invalid(format!("Override for container named {name} is not a container in the TaskDefinition.")))
}

fn override_of<'a>(container: &ContainerDefinition, overrides: &'a TaskOverride) -> Option<&'a ContainerOverride> {
    overrides.container_overrides.iter().find(|o| o.name == container.name)
}

fn container_cpu(container: &ContainerDefinition, item: Option<&ContainerOverride>) -> u32 {
    natural(item.and_then(|o| o.cpu).or(container.cpu))
}

/// The soft limit where there is one, else the hard one: what ECS counts.
fn container_memory(container: &ContainerDefinition, item: Option<&ContainerOverride>) -> u32 {
    let soft = item.and_then(|o| o.memory_reservation).or(container.memory_reservation);
    let hard = item.and_then(|o| o.memory).or(container.memory);
    natural(soft.or(hard))
}

fn natural(number: Option<i32>) -> u32 {
    number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}
