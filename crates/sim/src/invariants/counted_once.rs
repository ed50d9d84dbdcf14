//! runningCount is the number of tasks that run where they can be reached: a task that was replaced while it was cut off
//! never counts beside its replacement, and a service never wants more tasks than its percentages allow.

use std::collections::BTreeSet;

use seawall_model::ServiceId;
use seawall_proto::internal::v1::{ServiceRow, ServiceStatusCode, TaskStatus};
use seawall_state::State;

use super::Invariant;
use crate::world::Seen;

/// See the module.
pub struct CountedOnce;

impl Invariant for CountedOnce {
    fn name(&self) -> &'static str {
        "a task is counted once"
    }

    fn seen(&mut self, member: &str, seen: &Seen) -> Result<(), String> {
        let Seen::Applied(entry) = seen else { return Ok(()) };
        let rows = entry.state.services.iter().map(|(_, row)| row);
        for row in rows.filter(|row| row.status() == ServiceStatusCode::Active) {
            check(&entry.state, row).map_err(|why| format!("{member} at {}, {}: {why}", entry.index, row.name))?;
        }
        Ok(())
    }
}

fn check(state: &State, row: &ServiceRow) -> Result<(), String> {
    let id = ServiceId(row.id);
    let of_service = state.tasks.iter().filter(|(_, task)| task.service_id == row.id);
    let reachable: BTreeSet<_> = of_service
        .filter(|(_, task)| task.last_status() == TaskStatus::Running && task.unreachable_since_ms == 0)
        .map(|(id, _)| *id)
        .collect();
    let counts = state.service_counts(id);
    if counts.running as usize != reachable.len() {
        return Err(format!("runningCount is {}, {} tasks run and can be reached", counts.running, reachable.len()));
    }
    Ok(())
}
