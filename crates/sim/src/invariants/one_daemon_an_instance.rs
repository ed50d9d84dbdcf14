//! A daemon never has two tasks on one instance, one that cannot be reached included.

use std::collections::BTreeSet;

use seawall_model::ServiceId;
use seawall_state::is_daemon;

use super::Invariant;
use crate::world::Seen;

/// See the module.
pub struct OneDaemonAnInstance;

impl Invariant for OneDaemonAnInstance {
    fn name(&self) -> &'static str {
        "a daemon has one task on an instance"
    }

    fn seen(&mut self, member: &str, seen: &Seen) -> Result<(), String> {
        let Seen::Applied(entry) = seen else { return Ok(()) };
        for row in entry.state.services.iter().map(|(_, row)| row).filter(|row| is_daemon(row)) {
            let mut instances = BTreeSet::new();
            let mut tasks = entry.state.live_tasks_of_service(ServiceId(row.id));
            if let Some(second) = tasks.find(|task| !instances.insert(task.instance_id)) {
                let (name, instance) = (&row.name, second.instance_id);
                return Err(format!("{member} at {}: {name} has two on instance {instance}", entry.index));
            }
        }
        Ok(())
    }
}
