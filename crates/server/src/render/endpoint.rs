//! Where a service's containers can be reached.

use seawall_model::{InstanceId, ServiceId};
use seawall_proto::{
    internal::v1::{Health, PortBinding, ServiceRow, TaskRow, TaskStatus},
    v1::Endpoint,
};
use seawall_state::State;

/// Every published port of the service's tasks that run; those that may get traffic are `ready`.
pub fn of_service(state: &State, service: &ServiceRow) -> Vec<Endpoint> {
    state.tasks_of_service(ServiceId(service.id)).flat_map(|task| of_task(state, service, task)).collect()
}

fn of_task(state: &State, service: &ServiceRow, task: &TaskRow) -> Vec<Endpoint> {
    if task.last_status != i32::from(TaskStatus::Running) {
        return Vec::new();
    }
    let definition = state.task_definitions.get(&seawall_model::TaskDefinitionId(task.task_definition_id));
    let containers = definition.and_then(|d| d.definition.as_ref()).map_or(&[][..], |d| &d.container_definitions);
    let named = task.containers.iter().zip(containers);
    named
        .flat_map(|(row, definition)| row.bindings.iter().map(move |b| (definition.name(), b)))
        .map(|(name, binding)| endpoint(state, service, task, name, binding))
        .collect()
}

fn endpoint(state: &State, service: &ServiceRow, task: &TaskRow, name: &str, binding: &PortBinding) -> Endpoint {
    let port = |number: u32| i32::try_from(number).unwrap_or(0);
    Endpoint {
        service_arn: super::service::arn(state, service),
        task_arn: super::task::arn(state, task),
        container_name: name.into(),
        container_port: port(binding.container_port),
        protocol: super::task::protocol(binding.udp).into(),
        host_ip: host_ip(state, task, binding),
        host_port: port(binding.host_port),
        ready: is_ready(task),
    }
}

/// An address that others can dial: "all addresses" is the instance's.
fn host_ip(state: &State, task: &TaskRow, binding: &PortBinding) -> String {
    let any = matches!(binding.bind_ip.as_str(), "" | "0.0.0.0" | "::");
    let instance = state.instances.get(&InstanceId(task.instance_id));
    match instance.filter(|_| any) {
        Some(instance) => instance.host_ip.clone(),
        None => binding.bind_ip.clone(),
    }
}

/// A task that is to stop is not ready, so that balancers leave it before its SIGTERM.
fn is_ready(task: &TaskRow) -> bool {
    task.desired_running
        && task.unreachable_since_ms == 0
        && task.health != i32::from(Health::Unhealthy)
        && task.gates.iter().all(|g| g.open)
}
