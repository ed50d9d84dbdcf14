//! Once all is healed, what runs on the machines is what the cluster wants: no task too few, none too many, none left over.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::{ServiceId, TaskId};
use seawall_proto::internal::v1::{ServiceRow, ServiceStatusCode, TaskStatus};
use seawall_state::{State, task_id};

use super::Invariant;
use crate::world::World;

/// See the module.
pub struct DesiredIsActual;

impl Invariant for DesiredIsActual {
    fn name(&self) -> &'static str {
        "desired equals actual"
    }

    fn healed(&mut self, world: &World) -> Result<(), String> {
        let state = world.state();
        for (_, row) in state.services.iter() {
            check_service(&state, row)?;
        }
        let mut wanted = wanted(&state);
        for (name, agent) in world.agents().iter().filter(|(_, agent)| agent.runs()) {
            let wanted = wanted.remove(agent.instance()).unwrap_or_default();
            let runs = agent.host.running_tasks();
            if let Some(extra) = runs.difference(&wanted).next() {
                return Err(format!("task {extra} runs on {name} and should not"));
            }
            if let Some(missing) = wanted.difference(&runs).next() {
                return Err(format!("task {missing} does not run on {name}"));
            }
        }
        Ok(())
    }
}

fn check_service(state: &State, row: &ServiceRow) -> Result<(), String> {
    let wanted = match row.status() {
        ServiceStatusCode::Active => row.desired_count as usize,
        ServiceStatusCode::Draining => return Err(format!("{} drains", row.name)),
        ServiceStatusCode::Inactive | ServiceStatusCode::Unspecified => 0,
    };
    let live: Vec<_> = state.live_tasks_of_service(ServiceId(row.id)).collect();
    let good = live.iter().filter(|task| {
        task.last_status() == TaskStatus::Running && task.desired_running && task.unreachable_since_ms == 0
    });
    let good = good.count();
    match good == wanted && live.len() == wanted {
        true => Ok(()),
        false => Err(format!("{} wants {wanted} tasks, {good} run, {} are not stopped", row.name, live.len())),
    }
}

/// Tasks that should run, by `ec2InstanceId`.
fn wanted(state: &State) -> BTreeMap<String, BTreeSet<TaskId>> {
    let mut wanted: BTreeMap<String, BTreeSet<TaskId>> = BTreeMap::new();
    for (id, instance) in state.instances.iter() {
        let tasks = state.tasks_of_instance(*id).filter(|task| task.last_status() == TaskStatus::Running);
        let ids = tasks.filter_map(|task| task.id.as_ref().map(task_id));
        wanted.entry(instance.ec2_instance_id.clone()).or_default().extend(ids);
    }
    wanted
}
