//! Of a service with the loss policy at-most-one never two tasks are alive, as the machines see it, and their tokens grow.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::{ServiceId, TaskId};
use seawall_state::is_at_most_one;

use super::Invariant;
use crate::world::World;

/// See the module.
pub struct AtMostOneAlive;

impl Invariant for AtMostOneAlive {
    fn name(&self) -> &'static str {
        "at most one task is alive"
    }

    fn look(&mut self, world: &World) -> Result<(), String> {
        let state = world.state();
        let guarded: BTreeSet<ServiceId> =
            state.services.iter().filter(|(_, row)| is_at_most_one(row)).map(|(id, _)| *id).collect();
        if guarded.is_empty() {
            return Ok(());
        }
        let mut alive: BTreeMap<ServiceId, Vec<(String, TaskId, u64)>> = BTreeMap::new();
        for (name, agent) in world.agents() {
            for task in agent.host.running_tasks() {
                let Some(row) = state.tasks.get(&task).filter(|row| guarded.contains(&ServiceId(row.service_id)))
                else {
                    continue;
                };
                let found = (name.clone(), task, row.fencing_token);
                alive.entry(ServiceId(row.service_id)).or_default().push(found);
            }
        }
        match alive.into_iter().find(|(_, tasks)| tasks.len() > 1 || tasks.iter().any(|(.., token)| *token == 0)) {
            None => Ok(()),
            Some((service, tasks)) => Err(format!("of service {service} there are alive: {tasks:?}")),
        }
    }
}
