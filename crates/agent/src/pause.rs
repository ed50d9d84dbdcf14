//! The pause container: one more container of a task, which holds the namespaces that the others share.
//!
//! A container that is started again gets new namespaces, so what a task shares must belong to one that does nothing but
//! live. It is a container like the others: made first, stopped last, found again by its labels, removed with them. Only
//! reports leave it out. Pure.

use seawall_proto::v1::{ContainerDefinition, ContainerDependency, LinuxParameters, PortMapping, SystemControl};

/// The network mode of a task with an address of its own.
pub const AWSVPC: &str = "awsvpc";
/// `pidMode` and `ipcMode` of a task whose containers share.
pub const TASK: &str = "task";
/// Its name. No container of a definition can have it: their names hold no dots.
pub const NAME: &str = "internal.ecs.pause";
/// Its image; runtimes have it without a pull.
pub const IMAGE: &str = NAME;

/// Which namespaces the containers of a task share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shared {
    /// Addresses and ports.
    pub network: bool,
    /// Process ids.
    pub processes: bool,
    /// System V and POSIX shared memory, semaphores, queues.
    pub memory: bool,
}

/// Adds the pause container where something is shared, and moves there what belongs to the shared namespaces. Its place.
pub fn add(containers: &mut Vec<ContainerDefinition>, shared: Shared) -> Option<usize> {
    if shared == Shared::default() || containers.is_empty() {
        return None;
    }
    let mut pause = ContainerDefinition {
        name: Some(NAME.into()),
        image: Some(IMAGE.into()),
        essential: Some(true),
        ..Default::default()
    };
    for container in containers.iter_mut() {
        move_controls(container, &mut pause, shared);
        if shared.network {
            pause.port_mappings.extend(container.port_mappings.iter().map(dynamic));
            move_all(&mut container.dns_servers, &mut pause.dns_servers);
            move_all(&mut container.dns_search_domains, &mut pause.dns_search_domains);
        }
        if shared.memory {
            move_shared_memory(container, &mut pause);
        }
        let on_pause = ContainerDependency { container_name: Some(NAME.into()), condition: Some("START".into()) };
        container.depends_on.push(on_pause);
    }
    containers.push(pause);
    Some(containers.len() - 1)
}

/// Several tasks of an instance may have the same ports on their own addresses; on the instance's they get free ones.
fn dynamic(mapping: &PortMapping) -> PortMapping {
    PortMapping { host_port: Some(0), ..mapping.clone() }
}

fn move_all(from: &mut Vec<String>, to: &mut Vec<String>) {
    let new = from.drain(..).filter(|text| !to.contains(text)).collect::<Vec<_>>();
    to.extend(new);
}

fn move_controls(container: &mut ContainerDefinition, pause: &mut ContainerDefinition, shared: Shared) {
    let is_shared = |control: &SystemControl| {
        let of_network = control.namespace().starts_with("net.");
        if of_network { shared.network } else { shared.memory }
    };
    let (moved, kept) = container.system_controls.drain(..).partition(is_shared);
    container.system_controls = kept;
    pause.system_controls.extend::<Vec<_>>(moved);
}

/// The largest that a container asks for.
fn move_shared_memory(container: &mut ContainerDefinition, pause: &mut ContainerDefinition) {
    let size = container.linux_parameters.as_mut().and_then(|linux| linux.shared_memory_size.take());
    if let Some(size) = size {
        let linux = pause.linux_parameters.get_or_insert_with(LinuxParameters::default);
        linux.shared_memory_size = linux.shared_memory_size.max(Some(size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::container;

    fn control(namespace: &str) -> SystemControl {
        SystemControl { namespace: Some(namespace.into()), value: Some("1".into()) }
    }

    fn app() -> ContainerDefinition {
        ContainerDefinition {
            port_mappings: vec![PortMapping { container_port: Some(80), host_port: Some(80), ..Default::default() }],
            dns_servers: vec!["10.0.0.1".into()],
            system_controls: vec![control("net.core.somaxconn"), control("kernel.msgmax")],
            linux_parameters: Some(LinuxParameters { shared_memory_size: Some(64), ..Default::default() }),
            ..container("app")
        }
    }

    #[test]
    fn nothing_is_added_where_nothing_is_shared() {
        let mut containers = vec![app()];
        assert_eq!(add(&mut containers, Shared::default()), None);
        assert_eq!(containers, [app()]);
    }

    #[test]
    fn what_belongs_to_the_network_moves_with_it() {
        let mut containers = vec![app(), app()];
        assert_eq!(add(&mut containers, Shared { network: true, ..Default::default() }), Some(2));
        let [one, _, pause] = containers.as_slice() else { panic!() };
        assert_eq!(pause.port_mappings.iter().map(|m| m.host_port()).collect::<Vec<_>>(), [0, 0]);
        assert_eq!(pause.dns_servers, ["10.0.0.1"]);
        assert_eq!(pause.system_controls[0], control("net.core.somaxconn"));
        assert_eq!((one.system_controls.as_slice(), one.dns_servers.len()), (&[control("kernel.msgmax")][..], 0));
        assert_eq!(one.depends_on[0].container_name(), NAME);
    }

    #[test]
    fn shared_memory_has_the_largest_size_asked_for() {
        let mut large = app();
        large.linux_parameters = Some(LinuxParameters { shared_memory_size: Some(128), ..Default::default() });
        let mut containers = vec![app(), large];
        add(&mut containers, Shared { memory: true, ..Default::default() });
        assert_eq!(containers[2].linux_parameters.as_ref().unwrap().shared_memory_size, Some(128));
        assert_eq!(containers[0].linux_parameters.as_ref().unwrap().shared_memory_size, None);
        assert_eq!(containers[2].system_controls[0], control("kernel.msgmax"));
    }
}
