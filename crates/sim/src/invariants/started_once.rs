//! A task is one-shot: none of its containers is ever started a second time, on whatever machine.

use std::collections::BTreeMap;

use super::Invariant;
use crate::world::World;

/// See the module.
pub struct StartedOnce;

impl Invariant for StartedOnce {
    fn name(&self) -> &'static str {
        "a task is started once"
    }

    fn look(&mut self, world: &World) -> Result<(), String> {
        let mut starts = BTreeMap::new();
        for (name, agent) in world.agents() {
            for (container, count) in agent.host.starts() {
                let (all, on) = starts.entry(container).or_insert_with(|| (0, Vec::new()));
                *all += count;
                on.push(name.as_str());
            }
        }
        match starts.into_iter().find(|(_, (count, _))| *count > 1) {
            None => Ok(()),
            Some(((task, index), (count, on))) => {
                Err(format!("container {index} of task {task} was started {count} times, on {}", on.join(" and ")))
            }
        }
    }
}
