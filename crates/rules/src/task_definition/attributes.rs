//! The attributes that an instance must have, as ECS works them out from a definition.
//!
//! ECS lists what its own agent reports, down to versions of Docker's API. All of that is echoed, since clients compare it;
//! placement asks only for what an instance of Seawall may lack ([`required`]), which its agent then reports.

use seawall_proto::v1::{ContainerDefinition, LinuxParameters, TaskDefinition};

use super::AWSVPC;

/// Of the attribute by which an agent says that its engine has a log driver.
const LOG_DRIVER: &str = "com.amazonaws.ecs.capability.logging-driver.";
/// Kept by the agent itself, whatever its engine has.
const OWN_LOG_DRIVER: &str = "awslogs";
const TASK_ENI: &str = "ecs.capability.task-eni";
const NAMESPACE_SHARING: &str = "ecs.capability.pid-ipc-namespace-sharing";
const APPARMOR: &str = "com.amazonaws.ecs.capability.apparmor";
const SELINUX: &str = "com.amazonaws.ecs.capability.selinux";
const API: &str = "com.amazonaws.ecs.capability.docker-remote-api.";

/// What an instance may lack.
pub fn required(definition: &TaskDefinition) -> Vec<String> {
    let containers = &definition.container_definitions;
    let drivers = containers.iter().filter_map(driver).filter(|driver| *driver != OWN_LOG_DRIVER);
    let confined =
        |kind: &str| containers.iter().any(|c| c.docker_security_options.iter().any(|option| option.starts_with(kind)));
    let shares = !definition.pid_mode().is_empty() || !definition.ipc_mode().is_empty();
    let used = [
        (TASK_ENI, definition.network_mode() == AWSVPC),
        (NAMESPACE_SHARING, shares),
        (APPARMOR, confined("apparmor")),
        (SELINUX, confined("label")),
    ];
    sorted(drivers.map(|driver| format!("{LOG_DRIVER}{driver}")).chain(names(&used)))
}

/// Everything that ECS lists.
pub fn listed(definition: &TaskDefinition) -> Vec<String> {
    let containers = &definition.container_definitions;
    let any = |uses: fn(&ContainerDefinition) -> bool| containers.iter().any(uses);
    let linux = |uses: fn(&LinuxParameters) -> bool| {
        containers.iter().filter_map(|container| container.linux_parameters.as_ref()).any(uses)
    };
    let api = |version: &str, used: bool| used.then(|| format!("{API}{version}"));
    let versions = [
        api("1.17", any(|c| driver(c) == Some(OWN_LOG_DRIVER)) || !definition.task_role_arn().is_empty()),
        api("1.18", true),
        api("1.19", any(|c| driver(c) == Some(OWN_LOG_DRIVER))),
        api("1.21", any(|c| c.memory_reservation.is_some())),
        api("1.22", linux(|l| l.shared_memory_size.is_some() || !l.tmpfs.is_empty())),
        api("1.24", any(|c| c.health_check.is_some() || !c.system_controls.is_empty())),
        api("1.25", linux(|l| l.init_process_enabled == Some(true))),
    ];
    let drivers = containers.iter().filter_map(driver).map(|driver| format!("{LOG_DRIVER}{driver}"));
    let used = [
        ("com.amazonaws.ecs.capability.privileged-container", any(|c| c.privileged == Some(true))),
        ("com.amazonaws.ecs.capability.task-iam-role", !definition.task_role_arn().is_empty()),
        ("ecs.capability.task-cpu-mem-limit", definition.cpu.is_some() || definition.memory.is_some()),
        ("ecs.capability.container-health-check", any(|c| c.health_check.is_some())),
        ("ecs.capability.container-ordering", any(|c| !c.depends_on.is_empty())),
        ("ecs.capability.container-restart-policy", any(|c| c.restart_policy.as_ref().is_some_and(|p| p.enabled()))),
    ];
    sorted(versions.into_iter().flatten().chain(drivers).chain(names(&used)).chain(required(definition)))
}

fn driver(container: &ContainerDefinition) -> Option<&str> {
    container.log_configuration.as_ref().map(|log| log.log_driver())
}

fn names(used: &[(&str, bool)]) -> Vec<String> {
    used.iter().filter(|(_, used)| *used).map(|(name, _)| (*name).to_owned()).collect()
}

fn sorted(names: impl IntoIterator<Item = String>) -> Vec<String> {
    names.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}
