//! No instance holds more than it has, at any applied index, counted from the tasks' rows.

use std::collections::BTreeMap;

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{TaskRow, TaskStatus};

use super::Invariant;
use crate::world::Seen;

/// See the module.
pub struct WithinCapacity;

impl Invariant for WithinCapacity {
    fn name(&self) -> &'static str {
        "no instance is overcommitted"
    }

    fn seen(&mut self, member: &str, seen: &Seen) -> Result<(), String> {
        let Seen::Applied(entry) = seen else { return Ok(()) };
        let mut held: BTreeMap<InstanceId, (u32, u32)> = BTreeMap::new();
        let holds = |task: &TaskRow| task.last_status() != TaskStatus::Stopped && task.waiting.is_none();
        for (_, task) in entry.state.tasks.iter().filter(|(_, task)| holds(task)) {
            let (cpu, memory) = held.entry(InstanceId(task.instance_id)).or_default();
            *cpu += task.cpu;
            *memory += task.memory;
        }
        for (instance, (cpu, memory)) in held {
            let has = entry.state.instances.get(&instance).and_then(|row| row.registered.clone()).unwrap_or_default();
            if cpu > has.cpu || memory > has.memory {
                return Err(format!(
                    "{member} at {}: instance {instance} has {} CPU units and {} MiB, its tasks hold {cpu} and {memory}",
                    entry.index, has.cpu, has.memory
                ));
            }
        }
        Ok(())
    }
}
