//! An agent that runs and reaches a member is connected: nobody has to restart it after a fault.

use super::Invariant;
use crate::world::World;

/// See the module.
pub struct AgentsConnected;

impl Invariant for AgentsConnected {
    fn name(&self) -> &'static str {
        "agents that run are connected"
    }

    fn healed(&mut self, world: &World) -> Result<(), String> {
        let connected = world.connected();
        match world.agents().iter().find(|(_, agent)| agent.runs() && !connected.contains(agent.instance())) {
            Some((name, _)) => Err(format!("{name} runs and its instance is not connected")),
            None => Ok(()),
        }
    }
}
