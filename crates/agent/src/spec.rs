//! A task as the runtimes see it: the assigned definition with the overrides merged in, and the names derived from it.

use std::sync::Arc;

use seawall_model::TaskId;
use seawall_proto::{
    internal::v1 as internal,
    v1::{ContainerDefinition, ContainerOverride, KeyValuePair, Volume},
};

use crate::pause;

/// The variable that holds a task's fencing token.
const FENCING_TOKEN: &str = "SEAWALL_FENCING_TOKEN";

/// Whose containers they are. Agents of several clusters may share one engine: each touches only its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Owner {
    /// The cluster's id as hex digits.
    pub cluster_id: String,
    /// `ec2InstanceId` of the agent.
    pub instance: String,
}

/// What a label or a folder must hold so that the task can be found again without the agent's own files.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Kept {
    /// The assignment, whole.
    #[prost(message, optional, tag = "1")]
    pub assignment: Option<internal::Assignment>,
    /// The cluster's epoch when it assigned the task.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
}

/// One task to run.
#[derive(Debug)]
pub struct TaskSpec {
    /// Whose it is.
    pub owner: Owner,
    /// Its id.
    pub id: TaskId,
    /// Its family.
    pub family: String,
    /// Its revision.
    pub revision: u32,
    /// `bridge`, `host`, `none`, `awsvpc` or another.
    pub network_mode: String,
    /// `host`, `task`, or empty: each container has its own processes.
    pub pid_mode: String,
    /// `host`, `task`, `none`, or empty.
    pub ipc_mode: String,
    /// In the order of the definition, overrides merged in; last the pause container, where the task has one.
    pub containers: Vec<ContainerDefinition>,
    /// The place of the container that holds what the others share: see [`crate::pause`].
    pub pause: Option<usize>,
    /// What mount points name.
    pub volumes: Vec<Volume>,
    /// The task's own CPU; 0: none.
    pub cpu_units: u32,
    /// The task's own memory limit; 0: none.
    pub memory_mib: u32,
    /// As assigned.
    pub assignment: internal::Assignment,
    /// The cluster's epoch when it assigned the task.
    pub epoch: u64,
}

/// One container of a task to run.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    /// Its task.
    pub task: Arc<TaskSpec>,
    /// Its place in the definition.
    pub index: usize,
}

impl ContainerSpec {
    /// Its definition.
    pub fn definition(&self) -> &ContainerDefinition {
        &self.task.containers[self.index]
    }

    /// Its name in the task definition.
    pub fn name(&self) -> &str {
        self.definition().name()
    }

    /// Its name on the engine.
    pub fn runtime_name(&self) -> String {
        self.task.runtime_name(self.index)
    }

    /// Whether it is the one that holds what the others share.
    pub fn is_pause(&self) -> bool {
        self.task.pause == Some(self.index)
    }
}

/// The id that a message carries.
pub fn task_id(id: Option<&internal::TaskId>) -> TaskId {
    id.map_or(TaskId::default(), |id| TaskId::from_halves(id.hi, id.lo))
}

/// The message of an id.
pub fn proto_id(id: TaskId) -> internal::TaskId {
    internal::TaskId { hi: id.hi(), lo: id.lo() }
}

impl TaskSpec {
    /// The task that `kept` holds. A definition that is missing leaves a task without containers, which fails to start.
    pub fn new(owner: Owner, kept: Kept) -> Self {
        let assignment = kept.assignment.unwrap_or_default();
        let definition = assignment.definition.clone().unwrap_or_default();
        let overrides = assignment.overrides.clone().unwrap_or_default();
        let mut containers = definition.container_definitions;
        for container in &mut containers {
            let name = container.name.clone();
            let of_this = overrides.container_overrides.iter().filter(|o| o.name == name);
            of_this.for_each(|o| merge(container, o));
        }
        if assignment.fencing_token != 0 {
            let token =
                KeyValuePair { name: Some(FENCING_TOKEN.into()), value: Some(assignment.fencing_token.to_string()) };
            containers.iter_mut().for_each(|container| set_variable(&mut container.environment, &token));
        }
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or_default();
        let shared = pause::Shared {
            network: definition.network_mode.as_deref() == Some(pause::AWSVPC),
            processes: definition.pid_mode.as_deref() == Some(pause::TASK),
            memory: definition.ipc_mode.as_deref() == Some(pause::TASK),
        };
        let pause = pause::add(&mut containers, shared);
        TaskSpec {
            owner,
            id: task_id(assignment.task.as_ref()),
            family: definition.family.unwrap_or_default(),
            revision: u32::try_from(definition.revision.unwrap_or_default()).unwrap_or_default(),
            network_mode: definition.network_mode.filter(|mode| !mode.is_empty()).unwrap_or_else(|| "bridge".into()),
            pid_mode: definition.pid_mode.unwrap_or_default(),
            ipc_mode: definition.ipc_mode.unwrap_or_default(),
            containers,
            pause,
            volumes: definition.volumes,
            cpu_units: number(overrides.cpu.or(definition.cpu)),
            memory_mib: number(overrides.memory.or(definition.memory)),
            assignment,
            epoch: kept.epoch,
        }
    }

    /// What finds the task again.
    pub fn kept(&self) -> Kept {
        Kept { assignment: Some(self.assignment.clone()), epoch: self.epoch }
    }

    /// Derived from the task and the container, so that a create whose answer was lost never makes a second one.
    pub fn runtime_name(&self, index: usize) -> String {
        format!("seawall-{}-{}-{}-{}", self.family, self.revision, self.containers[index].name(), self.id)
    }

    /// The containers of the definition, without the one that the agent added.
    pub fn defined(&self) -> &[ContainerDefinition] {
        &self.containers[..self.pause.unwrap_or(self.containers.len())]
    }

    /// The container called `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.containers.iter().position(|c| c.name() == name)
    }

    /// The volume called `name`.
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|v| v.name() == name)
    }

    /// Whether it is of those of which at most one may be alive.
    pub fn is_guarded(&self) -> bool {
        self.assignment.fencing_token != 0
    }

    /// Whether the exit of a container ends the task: the default.
    pub fn is_essential(&self, index: usize) -> bool {
        self.containers[index].essential.unwrap_or(true)
    }
}

fn merge(container: &mut ContainerDefinition, with: &ContainerOverride) {
    if !with.command.is_empty() {
        container.command = with.command.clone();
    }
    container.cpu = with.cpu.or(container.cpu);
    container.memory = with.memory.or(container.memory);
    container.memory_reservation = with.memory_reservation.or(container.memory_reservation);
    container.environment_files.extend(with.environment_files.iter().cloned());
    container.resource_requirements.extend(with.resource_requirements.iter().cloned());
    with.environment.iter().for_each(|pair| set_variable(&mut container.environment, pair));
}

fn set_variable(environment: &mut Vec<KeyValuePair>, pair: &KeyValuePair) {
    match environment.iter_mut().find(|held| held.name == pair.name) {
        Some(held) => held.value = pair.value.clone(),
        None => environment.push(pair.clone()),
    }
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::{TaskDefinition, TaskOverride};

    use super::*;

    fn pair(name: &str, value: &str) -> KeyValuePair {
        KeyValuePair { name: Some(name.into()), value: Some(value.into()) }
    }

    #[test]
    fn overrides_replace_the_command_and_single_variables() {
        let container = ContainerDefinition {
            name: Some("app".into()),
            command: vec!["a".into()],
            environment: vec![pair("A", "1"), pair("B", "2")],
            cpu: Some(10),
            ..Default::default()
        };
        let changed = ContainerOverride {
            name: Some("app".into()),
            command: vec!["b".into()],
            environment: vec![pair("B", "3"), pair("C", "4")],
            ..Default::default()
        };
        let other = ContainerOverride { name: Some("other".into()), cpu: Some(99), ..Default::default() };
        let assignment = internal::Assignment {
            task: Some(internal::TaskId { hi: 0, lo: 7 }),
            definition: Some(TaskDefinition {
                family: Some("web".into()),
                revision: Some(3),
                cpu: Some("256".into()),
                memory: Some("512".into()),
                container_definitions: vec![container],
                ..Default::default()
            }),
            overrides: Some(TaskOverride {
                cpu: Some("1024".into()),
                container_overrides: vec![changed, other],
                ..Default::default()
            }),
            ..Default::default()
        };
        let spec = TaskSpec::new(Owner::default(), Kept { assignment: Some(assignment), epoch: 1 });
        assert_eq!(spec.containers[0].command, ["b"]);
        assert_eq!(spec.containers[0].environment, [pair("A", "1"), pair("B", "3"), pair("C", "4")]);
        assert_eq!(spec.containers[0].cpu, Some(10));
        assert_eq!((spec.cpu_units, spec.memory_mib), (1024, 512));
        assert_eq!(spec.network_mode, "bridge");
        assert_eq!(spec.runtime_name(0), format!("seawall-web-3-app-{}", spec.id));
    }
}
