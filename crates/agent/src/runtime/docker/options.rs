//! Less common members of a container as the engine wants them. Pure.

use std::collections::HashMap;

use bollard::models::DeviceMapping;
use seawall_proto::v1::{ContainerDefinition, Device, HostEntry, Tmpfs};

/// What a container may do with a device unless told otherwise: read, write, make nodes.
const ALL_PERMISSIONS: &str = "rwm";
/// By these the cluster knows that an engine confines containers as security options ask.
const CONFINES: [(&str, &str); 2] = [
    ("name=apparmor", "com.amazonaws.ecs.capability.apparmor"),
    ("name=selinux", "com.amazonaws.ecs.capability.selinux"),
];

/// What an engine with these security features can do, as attributes.
pub fn capabilities(features: &[String]) -> Vec<String> {
    let has = |feature: &str| features.iter().any(|known| known.split(',').any(|part| part == feature));
    CONFINES.iter().filter(|(feature, _)| has(feature)).map(|(_, name)| (*name).to_owned()).collect()
}

/// The list, where it holds something.
pub fn some<T>(items: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.into_iter().collect();
    (!items.is_empty()).then_some(items)
}

/// "name:address"
pub fn extra_hosts(entries: &[HostEntry]) -> Option<Vec<String>> {
    some(entries.iter().map(|entry| format!("{}:{}", entry.hostname(), entry.ip_address())))
}

/// ECS separates kind and value by a colon, which engines have given up.
pub fn security(options: &[String]) -> Option<Vec<String>> {
    some(options.iter().map(|option| option.replacen(':', "=", usize::from(!option.contains('=')))))
}

/// Kernel parameters by name.
pub fn sysctls(container: &ContainerDefinition) -> Option<HashMap<String, String>> {
    let controls = container.system_controls.iter();
    let sysctls: HashMap<String, String> =
        controls.map(|control| (control.namespace().to_owned(), control.value().to_owned())).collect();
    (!sysctls.is_empty()).then_some(sysctls)
}

/// Devices of the machine; where no path in the container is named it is the same.
pub fn devices(devices: &[Device]) -> Option<Vec<DeviceMapping>> {
    let letter = |word: &String| match word.as_str() {
        "read" => "r",
        "write" => "w",
        _ => "m",
    };
    some(devices.iter().map(|device| {
        let inside = device.container_path.clone().filter(|path| !path.is_empty());
        let permissions: String = device.permissions.iter().map(letter).collect();
        DeviceMapping {
            path_on_host: device.host_path.clone(),
            path_in_container: inside.or(device.host_path.clone()),
            cgroup_permissions: Some(if permissions.is_empty() { ALL_PERMISSIONS.into() } else { permissions }),
        }
    }))
}

/// File systems in memory: the options by path.
pub fn tmpfs(mounts: &[Tmpfs]) -> Option<HashMap<String, String>> {
    let options = |mount: &Tmpfs| {
        let size = format!("size={}m", mount.size());
        mount.mount_options.iter().cloned().chain([size]).collect::<Vec<_>>().join(",")
    };
    let mounts: HashMap<String, String> =
        mounts.iter().map(|mount| (mount.container_path().to_owned(), options(mount))).collect();
    (!mounts.is_empty()).then_some(mounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_options_in_the_engines_form() {
        let options = ["no-new-privileges", "apparmor:docker-default", "label:type:svirt_t", "label=disable"];
        let want = ["no-new-privileges", "apparmor=docker-default", "label=type:svirt_t", "label=disable"];
        assert_eq!(security(&options.map(str::to_owned)).unwrap(), want);
        assert_eq!(security(&[]), None);
    }

    #[test]
    fn what_confines_is_told_by_attributes() {
        let features = ["name=apparmor", "name=seccomp,profile=default"].map(str::to_owned);
        assert_eq!(capabilities(&features), ["com.amazonaws.ecs.capability.apparmor"]);
    }

    #[test]
    fn devices_and_memory_file_systems() {
        let device = Device { host_path: Some("/dev/fuse".into()), ..Default::default() };
        let narrow = Device {
            container_path: Some("/dev/f".into()),
            permissions: ["read", "mknod"].map(str::to_owned).to_vec(),
            ..device.clone()
        };
        let made = devices(&[device, narrow]).unwrap();
        assert_eq!(made[0].path_in_container.as_deref(), Some("/dev/fuse"));
        assert_eq!(made[0].cgroup_permissions.as_deref(), Some("rwm"));
        assert_eq!(made[1].path_in_container.as_deref(), Some("/dev/f"));
        assert_eq!(made[1].cgroup_permissions.as_deref(), Some("rm"));
        let mount = Tmpfs { container_path: Some("/run".into()), size: Some(16), mount_options: vec!["noexec".into()] };
        assert_eq!(tmpfs(&[mount]).unwrap()["/run"], "noexec,size=16m");
    }
}
