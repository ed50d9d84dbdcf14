//! Whether a state is consistent with itself: for tests, the simulation and whoever doubts a data folder.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::{InstanceId, TaskDefinitionId, TaskId};

use crate::{
    State,
    index::is_live,
    size::{fixed_ports, size_of},
};

impl State {
    /// Goes through every row: the indexes are those of the rows, the hashes too, and no two tasks hold one port.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self) -> Result<(), String> {
        if self.index != self.rebuilt_indexes() {
            return Err("the indexes are not those of the rows".into());
        }
        if let Some((number, _)) = self.table_hashes().into_iter().zip(self.recomputed()).find(|(a, b)| a != b) {
            return Err(format!("the hash of table {} is not that of its rows", number.0));
        }
        if let Some((base, _)) = self.decisions.iter().find(|(_, row)| !self.has_tasks_of(row)) {
            return Err(format!("the decision {base} has no task any more"));
        }
        self.check_tasks()
    }

    fn recomputed(&self) -> Vec<(u8, crate::TableHash)> {
        vec![
            (self.members.number(), self.members.recomputed_hash()),
            (self.tokens.number(), self.tokens.recomputed_hash()),
            (self.clusters.number(), self.clusters.recomputed_hash()),
            (self.instances.number(), self.instances.recomputed_hash()),
            (self.task_definitions.number(), self.task_definitions.recomputed_hash()),
            (self.families.number(), self.families.recomputed_hash()),
            (self.services.number(), self.services.recomputed_hash()),
            (self.tasks.number(), self.tasks.recomputed_hash()),
            (self.forwards.number(), self.forwards.recomputed_hash()),
            (self.client_tokens.number(), self.client_tokens.recomputed_hash()),
            (self.forwarded.number(), self.forwarded.recomputed_hash()),
            (self.invocations.number(), self.invocations.recomputed_hash()),
            (self.capacity_providers.number(), self.capacity_providers.recomputed_hash()),
            (self.account_settings.number(), self.account_settings.recomputed_hash()),
            (self.access_keys.number(), self.access_keys.recomputed_hash()),
            (self.history_segments.number(), self.history_segments.recomputed_hash()),
            (self.history_open.number(), self.history_open.recomputed_hash()),
            (self.zones.number(), self.zones.recomputed_hash()),
            (self.service_deployments.number(), self.service_deployments.recomputed_hash()),
            (self.service_revisions.number(), self.service_revisions.recomputed_hash()),
            (self.schedules.number(), self.schedules.recomputed_hash()),
            (self.jobs.number(), self.jobs.recomputed_hash()),
            (self.decisions.number(), self.decisions.recomputed_hash()),
        ]
    }

    fn check_tasks(&self) -> Result<(), String> {
        let mut ports: BTreeMap<InstanceId, BTreeSet<(u16, bool)>> = BTreeMap::new();
        for (id, task) in self.tasks.iter() {
            let instance = InstanceId(task.instance_id);
            if is_live(task) == task.released {
                return Err(format!(
                    "task {id} is {} and released: {}",
                    task.last_status().as_str_name(),
                    task.released
                ));
            }
            if !is_live(task) {
                continue;
            }
            if task.waiting.is_some() != (task.instance_id == 0) {
                return Err(format!("task {id} waits or stands on instance {instance}, and not just one of the two"));
            }
            if task.waiting.is_some() {
                continue;
            }
            // What may be alive on an instance that was deregistered counts until its guard has ended it.
            let is_left = task.fencing_token != 0 && task.unreachable_since_ms != 0 && !task.desired_running;
            if self.instances.get(&instance).is_none() && !is_left {
                return Err(format!("task {id} lives on instance {instance}, which is gone"));
            }
            let definition = self.task_definitions.get(&TaskDefinitionId(task.task_definition_id));
            let size = size_of(task, definition.map(AsRef::as_ref)).ok_or_else(|| no_size(*id))?;
            let taken = ports.entry(instance).or_default();
            if let Some(port) = fixed_ports(size).find(|port| !taken.insert(*port)) {
                return Err(format!("two tasks of instance {instance} hold the port {port:?}"));
            }
        }
        Ok(())
    }
}

fn no_size(task: TaskId) -> String {
    format!("nothing says what task {task} takes")
}
