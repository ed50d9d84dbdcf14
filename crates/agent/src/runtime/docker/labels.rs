//! The labels by which containers are found again, whoever made them. Pure.
//!
//! Agents of one machine share its engine, and so do several clusters: a container is touched only where the cluster and
//! the instance on it are the agent's own. One label holds the whole assignment, so that a task can be taken up with
//! all files of the agent gone; it tells nothing that the container's own environment would not.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use prost::Message;
use seawall_model::TaskId;

use crate::spec::{ContainerSpec, Kept, Owner};

/// The cluster's id as hex digits.
pub const CLUSTER_ID: &str = "seawall.cluster-id";
/// `ec2InstanceId` of the agent.
pub const INSTANCE_ID: &str = "seawall.instance-id";
/// The task's id.
pub const TASK_ID: &str = "seawall.task-id";
/// The container's place in the definition.
const INDEX: &str = "seawall.container-index";
/// The ECS cluster's name.
const CLUSTER: &str = "seawall.cluster";
/// [`Kept`] in base64.
const KEPT: &str = "seawall.assignment";

/// What a container says it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marks {
    /// Whose it is.
    pub owner: Owner,
    /// Its task.
    pub task: TaskId,
    /// Its place in the definition.
    pub index: usize,
}

impl Marks {
    /// Those that a container of this agent's must have.
    pub fn of(container: &ContainerSpec) -> Self {
        Marks { owner: container.task.owner.clone(), task: container.task.id, index: container.index }
    }

    /// Those of a container of the engine; `None` where no agent made it.
    pub fn read(labels: &HashMap<String, String>) -> Option<Self> {
        Some(Marks {
            owner: Owner { cluster_id: labels.get(CLUSTER_ID)?.clone(), instance: labels.get(INSTANCE_ID)?.clone() },
            task: labels.get(TASK_ID)?.parse().ok()?,
            index: labels.get(INDEX)?.parse().ok()?,
        })
    }
}

/// All labels of a container: the definition's, ECS's, and those that find it again.
pub fn of(container: &ContainerSpec) -> HashMap<String, String> {
    let task = &container.task;
    let arn = &task.assignment.task_arn;
    let given = container.definition().docker_labels.clone();
    let own = [
        (CLUSTER_ID, task.owner.cluster_id.clone()),
        (INSTANCE_ID, task.owner.instance.clone()),
        (TASK_ID, task.id.to_string()),
        (INDEX, container.index.to_string()),
        (CLUSTER, task.assignment.cluster.clone()),
        (KEPT, BASE64_STANDARD.encode(task.kept().encode_to_vec())),
        ("com.amazonaws.ecs.cluster", task.assignment.cluster.clone()),
        ("com.amazonaws.ecs.container-name", container.name().to_owned()),
        ("com.amazonaws.ecs.task-arn", arn.clone()),
        ("com.amazonaws.ecs.task-definition-family", task.family.clone()),
        ("com.amazonaws.ecs.task-definition-version", task.revision.to_string()),
    ];
    given.into_iter().chain(own.map(|(name, value)| (name.to_owned(), value))).collect()
}

/// The task that a container belongs to; `None` where the label is missing or damaged.
pub fn kept(labels: &HashMap<String, String>) -> Option<Kept> {
    Kept::decode(BASE64_STANDARD.decode(labels.get(KEPT)?).ok()?.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::testing::{container, task};

    fn spec() -> ContainerSpec {
        let mut web = container("web");
        web.docker_labels.insert("team".into(), "blue".into());
        web.docker_labels.insert(CLUSTER_ID.into(), "another".into());
        let mut task = task(vec![container("init"), web]);
        task.owner = Owner { cluster_id: "c0ffee".into(), instance: "i-1".into() };
        ContainerSpec { task: Arc::new(task), index: 1 }
    }

    #[test]
    fn a_container_is_found_again_by_its_labels() {
        let spec = spec();
        let labels = of(&spec);
        assert_eq!(labels["team"], "blue");
        assert_eq!(labels["com.amazonaws.ecs.container-name"], "web");
        assert_eq!(Marks::read(&labels), Some(Marks::of(&spec)));
        assert_eq!(kept(&labels), Some(spec.task.kept()));
    }

    #[test]
    fn damaged_labels_are_nobodys() {
        let mut labels = of(&spec());
        labels.insert(KEPT.into(), "?".into());
        assert_eq!(kept(&labels), None);
        labels.insert(INDEX.into(), "first".into());
        assert_eq!(Marks::read(&labels), None);
        assert_eq!(Marks::read(&HashMap::new()), None);
    }
}
