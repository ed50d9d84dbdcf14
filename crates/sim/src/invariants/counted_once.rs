//! runningCount is the number of tasks that run where they can be reached: a task that was replaced while it was cut off
//! never counts beside its replacement. And no entry makes a service want more tasks than its percentages allow, but by
//! those that came back.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::ServiceId;
use seawall_proto::internal::v1::{ServiceRow, ServiceStatusCode, TaskStatus};
use seawall_state::{State, task_id};

use super::Invariant;
use crate::world::Seen;

/// See the module.
#[derive(Default)]
pub struct CountedOnce {
    /// Of each member, what it applied last.
    last: BTreeMap<String, (u64, State)>,
}

impl Invariant for CountedOnce {
    fn name(&self) -> &'static str {
        "a task is counted once"
    }

    fn seen(&mut self, member: &str, seen: &Seen) -> Result<(), String> {
        let Seen::Applied(entry) = seen else { return Ok(()) };
        let before = self.last.insert(member.to_owned(), (entry.index, entry.state.clone()));
        let before = before.filter(|(index, _)| index + 1 == entry.index).map(|(_, state)| state);
        let rows = entry.state.services.iter().map(|(_, row)| row);
        for row in rows.filter(|row| row.status() == ServiceStatusCode::Active) {
            let counted = running_count(&entry.state, row).and_then(|()| match &before {
                Some(before) => growth(before, &entry.state, row),
                None => Ok(()),
            });
            counted.map_err(|why| format!("{member} at {}, {}: {why}", entry.index, row.name))?;
        }
        Ok(())
    }
}

fn running_count(state: &State, row: &ServiceRow) -> Result<(), String> {
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

fn growth(before: &State, state: &State, row: &ServiceRow) -> Result<(), String> {
    let id = ServiceId(row.id);
    let (was, is) = (before.service_counts(id).wanted, state.service_counts(id).wanted);
    let most = row.desired_count.max(row.desired_count * row.maximum_percent / 100);
    let came_back = before.live_tasks_of_service(id).filter(|task| {
        let now = task.id.as_ref().and_then(|id| state.tasks.get(&task_id(id)));
        task.unreachable_since_ms != 0 && now.is_some_and(|now| now.unreachable_since_ms == 0 && now.desired_running)
    });
    let grown = is.saturating_sub(came_back.count() as u32);
    if grown > was && grown > most {
        return Err(format!("it wanted {was} tasks and now {is}, at most {most}"));
    }
    Ok(())
}
