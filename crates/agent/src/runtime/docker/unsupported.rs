//! Members of a definition that this runtime cannot honour. A newer cluster may accept what an older agent does not know
//! how to do: the task then fails by name instead of running without it. Pure.

use seawall_proto::v1::{ContainerDefinition, LogConfiguration, Volume};

use super::pause;
use crate::{
    pause::{AWSVPC, TASK},
    runtime::first_used,
    spec::TaskSpec,
};

const NETWORK_MODES: [&str; 4] = ["bridge", "host", "none", AWSVPC];
const PID_MODES: [&str; 3] = ["", "host", TASK];
const IPC_MODES: [&str; 4] = ["", "host", TASK, "none"];

/// The first of them, in words. What `inert` names is left out by the operator's own wish.
pub fn find(task: &TaskSpec, inert: &[String]) -> Option<String> {
    let of_containers = || task.containers.iter().find_map(|container| in_container(task, container, inert));
    let of_volumes = || task.volumes.iter().find_map(|volume| in_volume(volume, inert));
    in_task(task, inert).or_else(of_volumes).or_else(of_containers)
}

fn in_task(task: &TaskSpec, inert: &[String]) -> Option<String> {
    if !NETWORK_MODES.contains(&task.network_mode.as_str()) {
        return Some(format!("networkMode {}", task.network_mode));
    }
    if !PID_MODES.contains(&task.pid_mode.as_str()) {
        return Some(format!("pidMode {}", task.pid_mode));
    }
    if !IPC_MODES.contains(&task.ipc_mode.as_str()) {
        return Some(format!("ipcMode {}", task.ipc_mode));
    }
    if task.pause.is_some() && !pause::is_possible() {
        return Some(format!("networkMode awsvpc, pidMode task or ipcMode task on {}", std::env::consts::ARCH));
    }
    let definition = task.assignment.definition.clone().unwrap_or_default();
    first_used(
        inert,
        &[
            ("proxyConfiguration", definition.proxy_configuration.is_some()),
            ("inferenceAccelerators", !definition.inference_accelerators.is_empty()),
            ("enableFaultInjection", definition.enable_fault_injection()),
            ("trustedExecutionConfiguration", definition.trusted_execution_configuration.is_some()),
        ],
    )
    .map(str::to_owned)
}

fn in_volume(volume: &Volume, inert: &[String]) -> Option<String> {
    let path = volume.host.as_ref().map_or("", |host| host.source_path());
    let member = first_used(
        inert,
        &[
            ("efsVolumeConfiguration", volume.efs_volume_configuration.is_some()),
            ("s3filesVolumeConfiguration", volume.s3files_volume_configuration.is_some()),
            ("fsxWindowsFileServerVolumeConfiguration", volume.fsx_windows_file_server_volume_configuration.is_some()),
            ("configuredAtLaunch", volume.configured_at_launch()),
            ("host.sourcePath with a colon", path.contains(':')),
        ],
    )?;
    Some(format!("{member} of volume {}", volume.name()))
}

fn in_container(task: &TaskSpec, container: &ContainerDefinition, inert: &[String]) -> Option<String> {
    let is_unknown = |volume: &str| task.volume(volume).is_none();
    let mounts = &container.mount_points;
    let logs_secrets = |log: &LogConfiguration| !log.secret_options.is_empty();
    let member = first_used(
        inert,
        &[
            ("repositoryCredentials", container.repository_credentials.is_some()),
            ("environmentFiles", !container.environment_files.is_empty()),
            ("secrets", !container.secrets.is_empty()),
            ("resourceRequirements", !container.resource_requirements.is_empty()),
            ("firelensConfiguration", container.firelens_configuration.is_some()),
            ("credentialSpecs", !container.credential_specs.is_empty()),
            ("logConfiguration.secretOptions", container.log_configuration.as_ref().is_some_and(logs_secrets)),
            (
                "containerPortRange in portMappings",
                container.port_mappings.iter().any(|m| is_set(&m.container_port_range)),
            ),
            ("containerPath with a colon in mountPoints", mounts.iter().any(|m| m.container_path().contains(':'))),
            ("mountPoints without a volume", mounts.iter().any(|m| is_unknown(m.source_volume()))),
        ],
    )?;
    Some(format!("{member} of container {}", container.name()))
}

fn is_set(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::MountPoint;

    use super::*;
    use crate::engine::testing;

    #[test]
    fn what_cannot_be_honoured_is_named() {
        assert_eq!(find(&testing::task(vec![testing::container("app")]), &[]), None);
        let mut container = testing::container("app");
        container.credential_specs = vec!["spec".into()];
        let mut task = testing::task(vec![testing::container("init"), container]);
        assert_eq!(find(&task, &[]).unwrap(), "credentialSpecs of container app");
        assert_eq!(find(&task, &["credentialSpecs".into()]), None);
        task.network_mode = "vlan".into();
        assert_eq!(find(&task, &[]).unwrap(), "networkMode vlan");
    }

    #[test]
    fn a_mount_of_nothing_is_not_left_out() {
        let mut container = testing::container("app");
        container.mount_points = vec![MountPoint { source_volume: Some("data".into()), ..Default::default() }];
        let task = testing::task(vec![container]);
        assert_eq!(find(&task, &[]).unwrap(), "mountPoints without a volume of container app");
    }
}
