//! What an agent is told of a task.

use std::sync::Arc;

use seawall_model::{ClusterId, InstanceId, ServiceId, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{Assignment, TaskRow, TaskStatus},
    v1::ContainerDefinition,
};
use seawall_state::{State, task_id};

/// Tasks of a deployment of which the digests of its images are learned.
const LOOKED_AT_MAX: usize = 64;

/// Everything that the instance holds or must run: tasks that are not known to have stopped.
pub(crate) fn all(state: &State, instance: InstanceId) -> Vec<Assignment> {
    state.tasks_of_instance(instance).filter(|task| is_live(task)).map(|task| of(state, task)).collect()
}

/// Whether the agent still has something to do for it.
pub(crate) fn is_live(task: &TaskRow) -> bool {
    task.last_status() != TaskStatus::Stopped
}

/// One task, as it is in `state`.
pub(crate) fn of(state: &State, task: &TaskRow) -> Assignment {
    let arns = state.arns();
    let cluster = state.clusters.get(&ClusterId(task.cluster_id)).map(|row| row.name.clone()).unwrap_or_default();
    let service = state.services.get(&ServiceId(task.service_id)).map(|row| row.name.clone()).unwrap_or_default();
    let definition = state.task_definitions.get(&TaskDefinitionId(task.task_definition_id)).map(|row| {
        let mut definition = row.definition.clone().unwrap_or_default();
        definition.family = Some(row.family.clone());
        definition.revision = Some(row.revision as i32);
        definition.task_definition_arn = Some(arns.task_definition(&row.family, row.revision));
        pin(state, task, &mut definition.container_definitions);
        definition
    });
    Assignment {
        task: task.id,
        task_arn: task.id.as_ref().map(|id| arns.task(&cluster, task_id(id))).unwrap_or_default(),
        cluster,
        service,
        group: task.group.clone(),
        definition,
        overrides: task.overrides.clone(),
        desired_running: task.desired_running,
        deadline_ms: task.deadline_ms,
        fencing_token: task.fencing_token,
        cpu: task.cpu,
        memory: task.memory,
        started_by: task.started_by.clone(),
        last_status: task.last_status,
    }
}

/// `versionConsistency`: a deployment runs the images that its first tasks found under their tags, wherever those point
/// meanwhile. A task of its own, and the first ones of a deployment, take a tag as it is.
fn pin(state: &State, task: &TaskRow, containers: &mut [ContainerDefinition]) {
    if task.service_id == 0 || task.last_status() > TaskStatus::Pending {
        return;
    }
    let of_deployment = |other: &&Arc<TaskRow>| other.deployment_id == task.deployment_id && other.id != task.id;
    let others: Vec<&Arc<TaskRow>> =
        state.tasks_of_service(ServiceId(task.service_id)).filter(of_deployment).take(LOOKED_AT_MAX).collect();
    for (place, container) in containers.iter_mut().enumerate() {
        let mut digests = others.iter().filter_map(|other| other.containers.get(place)).map(|row| &row.image_digest);
        let found = digests.find(|digest| !digest.is_empty());
        if let Some(digest) = found.filter(|_| container.version_consistency() != "disabled") {
            container.image = Some(with_digest(container.image(), digest));
        }
    }
}

/// The name without its tag, and the digest. One that has a digest keeps it.
fn with_digest(image: &str, digest: &str) -> String {
    let repository = match image.rsplit_once(':') {
        _ if image.contains('@') => return image.to_owned(),
        // A colon before a slash is the port of a registry.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    };
    format!("{repository}@{digest}")
}

#[cfg(test)]
mod tests {
    use seawall_proto::internal::v1::TaskReport;
    use serde_json::json;

    use super::*;
    use crate::testing::TestCluster;

    #[test]
    fn a_digest_takes_the_place_of_the_tag() {
        assert_eq!(with_digest("nginx", "sha256:1"), "nginx@sha256:1");
        assert_eq!(with_digest("nginx:1.27", "sha256:1"), "nginx@sha256:1");
        assert_eq!(with_digest("host:5000/nginx", "sha256:1"), "host:5000/nginx@sha256:1");
        assert_eq!(with_digest("nginx@sha256:2", "sha256:1"), "nginx@sha256:2");
    }

    #[test]
    fn later_tasks_of_a_deployment_run_what_its_first_ones_found() {
        let mut cluster = TestCluster::new();
        cluster.instance("i-1", "a");
        let container = |name: &str, consistency: &str| json!({"name": name, "image": "nginx:1", "memory": 10, "versionConsistency": consistency});
        let web =
            json!({"family": "web", "containerDefinitions": [container("a", "enabled"), container("b", "disabled")]});
        cluster.must("RegisterTaskDefinition", web);
        cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}));
        cluster.reconcile();
        let first = cluster.live()[0];
        let images = |cluster: &TestCluster, task| {
            let assignment = of(&cluster.state, cluster.state.tasks.get(&task).unwrap());
            let containers = assignment.definition.unwrap().container_definitions;
            containers.into_iter().map(|container| container.image.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(images(&cluster, first), ["nginx:1", "nginx:1"]);
        cluster.report(first, |report: &mut TaskReport| {
            report.containers.iter_mut().for_each(|row| row.image_digest = "sha256:1".into());
        });
        cluster.must("UpdateService", json!({"service": "web", "desiredCount": 2}));
        cluster.reconcile();
        let second = *cluster.live().iter().find(|task| **task != first).unwrap();
        let row = cluster.state.tasks.get(&second).unwrap();
        let mut pending = TaskRow::clone(row);
        pending.set_last_status(TaskStatus::Pending);
        let mut containers = cluster.state.task_definitions.iter().next().unwrap().1.definition.clone().unwrap();
        pin(&cluster.state, &pending, &mut containers.container_definitions);
        let images: Vec<&str> = containers.container_definitions.iter().map(|container| container.image()).collect();
        assert_eq!(images, ["nginx@sha256:1", "nginx:1"]);
    }
}
