//! Definitions for tests.

use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::Assignment,
    v1::{ContainerDefinition, KeyValuePair, TaskDefinition},
};

use crate::spec::{Kept, Owner, TaskSpec, proto_id};

/// A container with a name and an image.
pub fn container(name: &str) -> ContainerDefinition {
    ContainerDefinition { name: Some(name.into()), image: Some("image".into()), ..Default::default() }
}

/// The container with one more variable.
pub fn with(mut container: ContainerDefinition, name: &str, value: &str) -> ContainerDefinition {
    container.environment.push(KeyValuePair { name: Some(name.into()), value: Some(value.into()) });
    container
}

/// An assignment of these containers.
pub fn assignment(id: u128, containers: Vec<ContainerDefinition>) -> Assignment {
    Assignment {
        task: Some(proto_id(TaskId::from_halves((id >> 64) as u64, id as u64))),
        task_arn: format!("arn:task/{id}"),
        cluster: "default".into(),
        desired_running: true,
        definition: Some(TaskDefinition {
            family: Some("web".into()),
            revision: Some(1),
            container_definitions: containers,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A task of these containers.
pub fn task(containers: Vec<ContainerDefinition>) -> TaskSpec {
    TaskSpec::new(Owner::default(), Kept { assignment: Some(assignment(1, containers)), epoch: 1 })
}
