//! CPU and memory: of each container, and against the task's own size.

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::v1::ContainerDefinition;
use seawall_scheduler::{parse_cpu, parse_memory};

use super::invalid;

/// What Docker needs for a container at least.
const MEMORY_MIN: i32 = 6;
/// ECS's range of a task's own CPU on instances.
const TASK_CPU: std::ops::RangeInclusive<u32> = 128..=196_608;

/// The task's own size, as far as the definition gives one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskLevel {
    /// CPU units.
    pub cpu: Option<u32>,
    /// MiB.
    pub memory: Option<u32>,
}

/// Every container has a memory limit of some kind, and together they fit into the task.
pub fn check(
    cpu: Option<&str>,
    memory: Option<&str>,
    containers: &[ContainerDefinition],
) -> Result<TaskLevel, ApiError> {
    let task = task_level(cpu, memory)?;
    containers.iter().try_for_each(|container| check_container(container, task))?;
    if let Some(limit) = task.memory {
        let sum: u64 = containers.iter().map(|c| u64::from(reserved(c))).sum();
        if sum > u64::from(limit) {
            return Err(ApiError::client(format!(
                "The containers reserve {sum} MiB of memory together; the task has {limit}."
            )));
        }
    }
    if let Some(limit) = task.cpu {
        let sum: u64 = containers.iter().map(|c| u64::from(natural(c.cpu))).sum();
        if sum > u64::from(limit) {
            return Err(ApiError::client(format!(
                "The containers need {sum} CPU units together; the task has {limit}."
            )));
        }
    }
    Ok(task)
}

/// The soft limit where there is one, else the hard one: what ECS counts.
pub fn reserved(container: &ContainerDefinition) -> u32 {
    natural(container.memory_reservation.or(container.memory))
}

/// A number that is not negative; 0 where there is none.
pub fn natural(number: Option<i32>) -> u32 {
    number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

fn task_level(cpu: Option<&str>, memory: Option<&str>) -> Result<TaskLevel, ApiError> {
    let as_client = |error: ApiError| ApiError { code: ErrorCode::Client, ..error };
    let cpu = cpu.filter(|text| !text.is_empty()).map(parse_cpu).transpose().map_err(as_client)?;
    let memory = memory.filter(|text| !text.is_empty()).map(parse_memory).transpose().map_err(as_client)?;
    if let Some(units) = cpu.filter(|units| !TASK_CPU.contains(units)) {
        return Err(ApiError::client(format!(
            "Invalid 'cpu' setting for task: {units} is not between {} and {}.",
            TASK_CPU.start(),
            TASK_CPU.end()
        )));
    }
    if memory == Some(0) {
        return Err(ApiError::client("Invalid 'memory' setting for task: it must be above 0."));
    }
    Ok(TaskLevel { cpu, memory })
}

fn check_container(container: &ContainerDefinition, task: TaskLevel) -> Result<(), ApiError> {
    let (hard, soft) = (container.memory, container.memory_reservation);
    if hard.is_none() && soft.is_none() && task.memory.is_none() {
        return Err(invalid(container, "At least one of 'memory' or 'memoryReservation' must be specified."));
    }
    for (member, value) in [("memory", hard), ("memoryReservation", soft)] {
        if let Some(value) = value.filter(|v| *v < MEMORY_MIN) {
            return Err(invalid(container, format!("'{member}' is {value}; it must be at least {MEMORY_MIN} MiB.")));
        }
    }
    if let (Some(hard), Some(soft)) = (hard, soft)
        && soft > hard
    {
        return Err(invalid(container, format!("'memoryReservation' {soft} is greater than 'memory' {hard}.")));
    }
    if let (Some(hard), Some(limit)) = (hard, task.memory)
        && natural(Some(hard)) > limit
    {
        return Err(invalid(container, format!("'memory' {hard} is greater than the task's {limit}.")));
    }
    Ok(())
}
