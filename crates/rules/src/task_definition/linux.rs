//! linuxParameters and dockerSecurityOptions.

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::v1::{ContainerDefinition, Device, LinuxParameters, Tmpfs};

use super::invalid;

/// What ECS knows, and the engine below it.
#[rustfmt::skip]
const CAPABILITIES: &[&str] = &[
    "ALL", "AUDIT_CONTROL", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
    "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_BOOT",
    "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
    "SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM",
];
/// Before a "=", where an option has a value.
#[rustfmt::skip]
const MOUNT_OPTIONS: &[&str] = &[
    "defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "remount", "mand",
    "nomand", "atime", "noatime", "diratime", "nodiratime", "bind", "rbind", "unbindable", "runbindable", "private", "rprivate",
    "shared", "rshared", "slave", "rslave", "relatime", "norelatime", "strictatime", "nostrictatime", "mode", "uid", "gid",
    "nr_inodes", "nr_blocks", "mpol",
];
const SWAPPINESS: std::ops::RangeInclusive<i32> = 0..=100;

/// Of one container; `task_memory`: whether the task has a limit of its own.
pub fn check(container: &ContainerDefinition, task_memory: bool) -> Result<(), ApiError> {
    container.docker_security_options.iter().try_for_each(|option| check_security(container, option))?;
    let Some(linux) = &container.linux_parameters else { return Ok(()) };
    let capabilities = linux.capabilities.clone().unwrap_or_default();
    let unknown = |name: &&String| !CAPABILITIES.contains(&name.as_str());
    if let Some(name) = capabilities.add.iter().chain(&capabilities.drop).find(unknown) {
        return Err(invalid(container, format!("linuxParameters.capabilities: '{name}' is no Linux capability.")));
    }
    linux.devices.iter().try_for_each(|device| check_device(container, device))?;
    if linux.shared_memory_size.is_some_and(|size| size < 1) {
        return Err(invalid(container, "linuxParameters.sharedMemorySize must be at least 1 MiB."));
    }
    for (i, mount) in linux.tmpfs.iter().enumerate() {
        check_tmpfs(container, mount)?;
        let path = mount.container_path();
        let in_mounts = container.mount_points.iter().any(|other| other.container_path() == path);
        if in_mounts || linux.tmpfs[..i].iter().any(|other| other.container_path() == path) {
            return Err(invalid(container, format!("linuxParameters.tmpfs: something else is mounted at '{path}'.")));
        }
    }
    check_swap(container, linux, task_memory)
}

fn check_security(container: &ContainerDefinition, option: &str) -> Result<(), ApiError> {
    let kind = option.split([':', '=']).next().unwrap_or_default();
    let has_value = option.len() > kind.len() + 1;
    match kind {
        "no-new-privileges" => Ok(()),
        "apparmor" | "label" if has_value => Ok(()),
        "credentialspec" => Err(ApiError::new(
            ErrorCode::UnsupportedFeature,
            format!(
                "Invalid setting for container '{}'. dockerSecurityOptions credentialspec is not supported by this version.",
                container.name()
            ),
        )),
        _ => Err(invalid(
            container,
            format!("dockerSecurityOptions: '{option}' must be no-new-privileges, apparmor:PROFILE or label:VALUE."),
        )),
    }
}

fn check_device(container: &ContainerDefinition, device: &Device) -> Result<(), ApiError> {
    let inside = device.container_path();
    for (member, path) in [("hostPath", device.host_path()), ("containerPath", inside)] {
        let may_be_absent = member == "containerPath";
        if !path.starts_with('/') && (!path.is_empty() || !may_be_absent) {
            return Err(invalid(
                container,
                format!("linuxParameters.devices: {member} '{path}' must be an absolute path."),
            ));
        }
    }
    Ok(())
}

fn check_tmpfs(container: &ContainerDefinition, mount: &Tmpfs) -> Result<(), ApiError> {
    let bad = |what: String| Err(invalid(container, format!("linuxParameters.tmpfs: {what}")));
    if !mount.container_path().starts_with('/') {
        return bad(format!("containerPath '{}' must be an absolute path.", mount.container_path()));
    }
    if mount.size() < 1 {
        return bad(format!("size is {}; it must be at least 1 MiB.", mount.size()));
    }
    let unknown = |option: &&String| !MOUNT_OPTIONS.contains(&option.split('=').next().unwrap_or_default());
    match mount.mount_options.iter().find(unknown) {
        Some(option) => bad(format!("'{option}' is no mount option that ECS knows.")),
        None => Ok(()),
    }
}

fn check_swap(container: &ContainerDefinition, linux: &LinuxParameters, task_memory: bool) -> Result<(), ApiError> {
    if let Some(swappiness) = linux.swappiness.filter(|value| !SWAPPINESS.contains(value)) {
        return Err(invalid(
            container,
            format!("linuxParameters.swappiness is {swappiness}; it must be between 0 and 100."),
        ));
    }
    let Some(swap) = linux.max_swap else { return Ok(()) };
    if swap < 0 {
        return Err(invalid(container, format!("linuxParameters.maxSwap is {swap}; it must be 0 or more.")));
    }
    if container.memory.is_none() && !task_memory {
        return Err(invalid(container, "linuxParameters.maxSwap needs 'memory', to which the swap is added."));
    }
    Ok(())
}
