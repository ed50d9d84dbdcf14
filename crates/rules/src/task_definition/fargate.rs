//! What Fargate takes: its sizes, its network, and the members that it refuses.
//!
//! The instances of the cluster run such tasks, and most of what is refused here they could do. It is refused all the
//! same, so that a definition that registers here registers with ECS.

use std::ops::RangeInclusive;

use seawall_model::ApiError;
use seawall_proto::v1::{ContainerDefinition, RegisterTaskDefinitionRequest, Volume};

use super::{AWSVPC, memory::TaskLevel};

/// The launch type and the compatibility.
pub const FARGATE: &str = "FARGATE";
/// The launch type of machines outside of AWS.
pub const EXTERNAL: &str = "EXTERNAL";
/// What ECS says of other sizes.
pub const NO_SIZE: &str = "No Fargate configuration exists for given values.";
const GIB: u32 = 1024;
/// The smallest size has steps of its own.
const SMALLEST: (u32, [u32; 3]) = (256, [512, 1024, 2048]);
/// (CPU units, GiB at least, at most, in steps of)
const SIZES: [(u32, u32, u32, u32); 6] =
    [(512, 1, 4, 1), (1024, 2, 8, 1), (2048, 4, 16, 1), (4096, 8, 30, 1), (8192, 16, 60, 4), (16_384, 32, 120, 8)];
/// Drivers that Fargate has.
const LOG_DRIVERS: [&str; 3] = ["awslogs", "splunk", "awsfirelens"];
/// The one capability that may be added.
const CAPABILITY: &str = "SYS_PTRACE";
const TIMEOUT_S: RangeInclusive<i32> = 2..=120;
const EPHEMERAL_GIB: RangeInclusive<i32> = 21..=200;

/// Refuses what a definition that names FARGATE cannot have, and sizes of ephemeral storage whoever names them.
pub fn check(network_mode: &str, task: TaskLevel, request: &RegisterTaskDefinitionRequest) -> Result<(), ApiError> {
    if let Some(storage) = &request.ephemeral_storage
        && !EPHEMERAL_GIB.contains(&storage.size_in_gib())
    {
        return Err(ApiError::client(format!(
            "ephemeralStorage.sizeInGiB is {}; it must be between {} and {}.",
            storage.size_in_gib(),
            EPHEMERAL_GIB.start(),
            EPHEMERAL_GIB.end()
        )));
    }
    let names = |what: &str| request.requires_compatibilities.iter().any(|known| known == what);
    if names(EXTERNAL) && network_mode == AWSVPC {
        return Err(ApiError::client("External instances do not support network mode 'awsvpc'."));
    }
    if names(FARGATE) { qualifies(network_mode, task, request) } else { Ok(()) }
}

/// Where tasks of the definition may run, in ECS's order.
pub fn compatibilities(network_mode: &str, task: TaskLevel, request: &RegisterTaskDefinitionRequest) -> Vec<String> {
    let external = (network_mode != AWSVPC).then_some(EXTERNAL);
    let fargate = qualifies(network_mode, task, request).is_ok().then_some(FARGATE);
    external.into_iter().chain(["EC2"]).chain(fargate).map(str::to_owned).collect()
}

fn qualifies(network_mode: &str, task: TaskLevel, request: &RegisterTaskDefinitionRequest) -> Result<(), ApiError> {
    if network_mode != AWSVPC {
        return Err(ApiError::client("Fargate only supports network mode ‘awsvpc’."));
    }
    let Some(cpu) = task.cpu else { return Err(no_task_level("cpu")) };
    let Some(memory) = task.memory else { return Err(no_task_level("memory")) };
    if !is_size(cpu, memory) {
        return Err(ApiError::client(NO_SIZE));
    }
    let of_task = [
        ("pidMode host", request.pid_mode() == "host"),
        ("ipcMode", !request.ipc_mode().is_empty()),
        ("placementConstraints", !request.placement_constraints.is_empty()),
    ];
    first(&of_task)?;
    request.volumes.iter().try_for_each(check_volume)?;
    request.container_definitions.iter().try_for_each(check_container)
}

fn no_task_level(member: &str) -> ApiError {
    ApiError::client(format!("Fargate requires that '{member}' be defined at the task level."))
}

/// Whether Fargate has machines of this size.
pub fn is_size(cpu: u32, memory: u32) -> bool {
    let (smallest, memories) = SMALLEST;
    let fits = |(units, least, most, step): &(u32, u32, u32, u32)| {
        let gib = memory / GIB;
        *units == cpu
            && memory.is_multiple_of(GIB)
            && (*least..=*most).contains(&gib)
            && (gib - least).is_multiple_of(*step)
    };
    (cpu == smallest && memories.contains(&memory)) || SIZES.iter().any(fits)
}

fn check_volume(volume: &Volume) -> Result<(), ApiError> {
    let path = volume.host.as_ref().map_or("", |host| host.source_path());
    first(&[
        ("host.sourcePath of volumes", !path.is_empty()),
        ("dockerVolumeConfiguration", volume.docker_volume_configuration.is_some()),
    ])
}

fn check_container(container: &ContainerDefinition) -> Result<(), ApiError> {
    let linux = container.linux_parameters.clone().unwrap_or_default();
    let added = linux.capabilities.unwrap_or_default().add;
    let driver = container.log_configuration.as_ref().map(|log| log.log_driver());
    first(&[
        ("privileged", container.privileged()),
        ("dockerSecurityOptions", !container.docker_security_options.is_empty()),
        ("devices", !linux.devices.is_empty()),
        ("sharedMemorySize", linux.shared_memory_size.is_some()),
        ("maxSwap", linux.max_swap.is_some()),
        ("swappiness", linux.swappiness.is_some()),
        ("added capabilities other than SYS_PTRACE", added.iter().any(|name| name != CAPABILITY)),
        ("this log driver", driver.is_some_and(|driver| !LOG_DRIVERS.contains(&driver))),
        ("a startTimeout outside of 2 to 120 s", is_outside(container.start_timeout)),
        ("a stopTimeout outside of 2 to 120 s", is_outside(container.stop_timeout)),
    ])
}

fn is_outside(timeout: Option<i32>) -> bool {
    timeout.is_some_and(|seconds| !TIMEOUT_S.contains(&seconds))
}

fn first(members: &[(&str, bool)]) -> Result<(), ApiError> {
    match members.iter().find(|(_, used)| *used) {
        Some((name, _)) => Err(ApiError::client(format!("Fargate compatible task definitions do not support {name}."))),
        None => Ok(()),
    }
}
