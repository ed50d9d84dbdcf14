//! What an agent is told of a task.

use seawall_model::{ClusterId, InstanceId, ServiceId, TaskDefinitionId};
use seawall_proto::internal::v1::{Assignment, TaskRow, TaskStatus};
use seawall_state::{State, task_id};

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
        fencing_token: 0,
        cpu: task.cpu,
        memory: task.memory,
        started_by: task.started_by.clone(),
        last_status: task.last_status,
    }
}
