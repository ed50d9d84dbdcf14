//! Where a service's tasks answer: what balancers, discovery and canaries attach to.

use seawall_model::{InstanceId, ServiceId, TaskId};
use seawall_proto::internal::v1::{Health, TaskRow, TaskStatus};

use crate::{State, task_id_of};

/// One published port of one container of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRef {
    /// The task.
    pub task: TaskId,
    /// Where it runs.
    pub instance: InstanceId,
    /// Position of the container in its definition.
    pub container: usize,
    /// The port that the container listens on.
    pub container_port: u16,
    /// The address that it is published on.
    pub ip: String,
    /// The port that it is published on.
    pub host_port: u16,
    /// UDP instead of TCP.
    pub udp: bool,
    /// Takes traffic: RUNNING, wanted, reachable and not unhealthy. Leaves before the task gets its SIGTERM.
    pub ready: bool,
}

impl State {
    /// The published ports of a service's tasks, the oldest task first.
    pub fn endpoints_of(&self, service: ServiceId) -> Vec<EndpointRef> {
        self.live_tasks_of_service(service).flat_map(|task| endpoints(self, task)).collect()
    }
}

fn endpoints<'a>(state: &'a State, task: &'a TaskRow) -> impl Iterator<Item = EndpointRef> + 'a {
    let instance = InstanceId(task.instance_id);
    let host_ip = state.instances.get(&instance).map_or("", |row| row.host_ip.as_str());
    let ready = is_ready(task);
    task.containers.iter().enumerate().flat_map(move |(container, row)| {
        row.bindings.iter().filter_map(move |binding| {
            let published = !matches!(binding.bind_ip.as_str(), "" | "0.0.0.0" | "::");
            Some(EndpointRef {
                task: task_id_of(task),
                instance,
                container,
                container_port: u16::try_from(binding.container_port).ok()?,
                ip: if published { binding.bind_ip.clone() } else { host_ip.to_owned() },
                host_port: u16::try_from(binding.host_port).ok()?,
                udp: binding.udp,
                ready,
            })
        })
    })
}

fn is_ready(task: &TaskRow) -> bool {
    task.last_status() == TaskStatus::Running
        && task.desired_running
        && task.unreachable_since_ms == 0
        && task.health() != Health::Unhealthy
}
