//! Tasks that wait for room: how many there may be, and what becomes of them once there is some.

use std::sync::Arc;

use seawall_model::{ApiError, ClusterId, InstanceId, TaskDefinitionId, limits::PROVISIONING_TASKS_MAX};
use seawall_proto::{
    internal::v1::{ClusterRow, DecisionRow, PlaceWaiting, Placed, TaskRow, place_waiting::Item, reply},
    v1::ManagedScaling,
};

use super::{
    Apply, Outcome,
    place_tasks::{Taken, placed_row},
};
use crate::{State, size_of, task_id};

/// ECS's word for a capacity provider whose instances it adds.
const ENABLED: &str = "ENABLED";

impl Apply<'_> {
    /// One task after the other: each sees what those before it took.
    pub(super) fn place_waiting(&mut self, it: &PlaceWaiting) -> Outcome {
        self.active_cluster(it.cluster_id)?;
        let mut placed = Placed::default();
        let mut turn = None;
        for (item, position) in it.items.iter().zip(0u32..) {
            match self.fitting(it.cluster_id, item) {
                None => placed.rejected.push(position),
                Some(task) => {
                    turn = Some(task.group.clone());
                    placed.tasks.extend(task.id);
                    self.put_task(placed_row(TaskRow::clone(&task), item.instance_id, &item.note));
                    // Of the plan that found room: the one that let the task wait is the others' of its call.
                    let row = DecisionRow { base: item.task, tasks: 1, waited: true, ..DecisionRow::default() };
                    self.keep_decision(item.decision.as_ref(), row);
                }
            }
        }
        if let Some(group) = turn {
            self.note_turn(ClusterId(it.cluster_id), group);
        }
        Ok(reply::Kind::Placed(placed))
    }

    /// The task, where it waits still and its instance takes it.
    fn fitting(&self, cluster_id: u64, item: &Item) -> Option<Arc<TaskRow>> {
        let task = self.state.tasks.get(&item.task.as_ref().map(task_id)?)?;
        if task.waiting.is_none() || task.cluster_id != cluster_id {
            return None;
        }
        let definition = self.state.task_definitions.get(&TaskDefinitionId(task.task_definition_id));
        let size = size_of(task, definition.map(AsRef::as_ref))?;
        self.fits(cluster_id, InstanceId(item.instance_id), size, &Taken::default()).then(|| task.clone())
    }

    /// No change that a caller sees: the cluster's version stays.
    fn note_turn(&mut self, cluster: ClusterId, group: String) {
        let Some(row) = self.state.clusters.get(&cluster).filter(|row| row.waiting_turn != group) else { return };
        self.state.put_cluster(ClusterRow { waiting_turn: group, ..ClusterRow::clone(row) });
    }

    /// Refuses more waiting tasks than a cluster may have.
    pub(super) fn check_waiting_room(&self, cluster_id: u64, more: usize) -> Result<(), ApiError> {
        if more == 0 {
            return Ok(());
        }
        let waiting = self.state.waiting_tasks(ClusterId(cluster_id)).count();
        if waiting + more <= PROVISIONING_TASKS_MAX {
            return Ok(());
        }
        Err(ApiError::client(format!(
            "The cluster's limit of {PROVISIONING_TASKS_MAX} tasks in the PROVISIONING state would be exceeded: {waiting} \
             wait for capacity. Nothing was started. Add instances to the capacity provider, or stop waiting tasks."
        )))
    }
}

impl State {
    /// Whether tasks that find no room of the capacity provider wait for it.
    pub fn has_managed_scaling(&self, cluster: ClusterId, provider: &str) -> bool {
        self.managed_scaling(cluster, provider).is_some()
    }

    /// Per cent of a capacity provider's instances that its managed scaling aims at; 0 where it has none.
    pub fn target_capacity(&self, cluster: ClusterId, provider: &str) -> u32 {
        self.managed_scaling(cluster, provider).map_or(0, |scaling| scaling.target_capacity().unsigned_abs())
    }

    fn managed_scaling(&self, cluster: ClusterId, provider: &str) -> Option<&ManagedScaling> {
        let cluster = self.clusters.get(&cluster)?;
        let row = self.capacity_providers.get(&(cluster.account, provider.to_owned()))?;
        let scaling = row.auto_scaling_group_provider.as_ref()?.managed_scaling.as_ref()?;
        (scaling.status() == ENABLED).then_some(scaling)
    }
}
