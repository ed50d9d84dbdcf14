//! Places tasks that wait for room of a capacity provider with managed scaling.
//!
//! Groups take turns, from the one after that whose task found room last: a backlog holds up no other group's single task. In a
//! group the oldest comes first, and one that fits nowhere holds up none that needs something else. Tasks of services are not
//! here: a service starts what it lacks by itself, within the percentages of its rollout, which count tasks that exist.

use std::collections::BTreeMap;

use seawall_model::ClusterId;
use seawall_proto::internal::v1::{FargateServedBy, PlaceWaiting, TaskRow, command, place_waiting::Item};
use seawall_scheduler::{Fleet, Overlay, PlaceRequest, Placement};
use seawall_state::task_id;

use crate::{ControllerPlan, Now};

/// Tasks that one pass places; the rest follow at once.
pub const TASKS_PER_PASS: usize = 256;
/// Waiting tasks are looked at this often, even if nobody wakes their cluster.
pub const RETRY_MS: i64 = 15_000;

/// Places what has room now.
pub fn plan(fleet: &Fleet, cluster: ClusterId, now: Now) -> ControllerPlan {
    let mut plan = ControllerPlan::default();
    let waiting: Vec<&TaskRow> = fleet.state().waiting_tasks(cluster).map(AsRef::as_ref).collect();
    if waiting.is_empty() {
        return plan;
    }
    plan.wake(now.cluster_time_ms.saturating_add(RETRY_MS));
    let last = fleet.state().clusters.get(&cluster).map_or("", |row| row.waiting_turn.as_str());
    let items = items(fleet, in_turns(&waiting, last), now);
    for item in &items {
        let id = item.task.as_ref().map(task_id).unwrap_or_default();
        plan.say(format_args!("waiting task {id} goes to {}: {}", item.instance_id, item.note));
    }
    if !items.is_empty() {
        let fargate = FargateServedBy::from(now.fargate).into();
        plan.commands.push(command::Kind::PlaceWaiting(PlaceWaiting { cluster_id: cluster.0, items, fargate }));
    }
    plan
}

/// The oldest of each group, then the second of each and so on, from the group after `last` on.
fn in_turns<'a>(waiting: &[&'a TaskRow], last: &str) -> Vec<&'a TaskRow> {
    let mut groups: BTreeMap<(bool, &str), Vec<&TaskRow>> = BTreeMap::new();
    for task in waiting {
        let group = task.group.as_str();
        groups.entry((group <= last, group)).or_default().push(task);
    }
    let longest = groups.values().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|round| groups.values().filter_map(move |tasks| tasks.get(round).copied())).collect()
}

/// A place for each that has one, on what those before it left.
fn items<'a>(given: &Fleet, waiting: impl IntoIterator<Item = &'a TaskRow>, now: Now) -> Vec<Item> {
    let mut room = Room { given, own: None };
    let mut items = Vec::new();
    let mut without_room: Vec<&TaskRow> = Vec::new();
    for task in waiting {
        if items.len() == TASKS_PER_PASS {
            break;
        }
        if without_room.iter().any(|other| is_alike(task, other)) {
            continue;
        }
        match room.find(task, now) {
            None => without_room.push(task),
            Some(item) => {
                room.take(&item);
                items.push(item);
            }
        }
    }
    items
}

/// Whether two tasks have room in the same places.
fn is_alike(one: &TaskRow, other: &TaskRow) -> bool {
    one.task_definition_id == other.task_definition_id
        && one.group == other.group
        && one.capacity_provider == other.capacity_provider
        && one.size == other.size
        && one.waiting == other.waiting
}

/// The fleet less what this plan took. A copy of it is made once there is something to take.
struct Room<'a> {
    given: &'a Fleet,
    own: Option<(Fleet, Overlay)>,
}

impl Room<'_> {
    fn fleet(&self) -> &Fleet {
        self.own.as_ref().map_or(self.given, |(fleet, _)| fleet)
    }

    fn find(&self, task: &TaskRow, now: Now) -> Option<Item> {
        let request = PlaceRequest::of_waiting(self.given.state(), task, now.fargate).ok()?;
        let plan = self.fleet().find(&request)?;
        let decision = Some(request.decision(&plan));
        let Placement { instance, note, .. } = plan.placements.into_iter().next()?;
        Some(Item { task: task.id, instance_id: instance.0, note, decision })
    }

    fn take(&mut self, item: &Item) {
        let state = self.given.state();
        let own = || {
            let overlay = self.given.overlay().clone();
            (Fleet::new(state, &overlay), overlay)
        };
        let (fleet, overlay) = self.own.get_or_insert_with(own);
        overlay.add_waiting(state, item);
        fleet.sync(state, overlay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_take_turns_from_the_one_after_the_last() {
        let task = |group: &str, cpu| TaskRow { group: group.into(), cpu, ..TaskRow::default() };
        let rows = [task("b", 1), task("b", 2), task("b", 3), task("a", 4), task("c", 5), task("c", 6)];
        let all: Vec<&TaskRow> = rows.iter().collect();
        let order = |last| in_turns(&all, last).iter().map(|task| task.cpu).collect::<Vec<_>>();
        assert_eq!(order(""), [4, 1, 5, 2, 6, 3]);
        assert_eq!(order("a"), [1, 5, 4, 2, 6, 3]);
        assert_eq!(order("b"), [5, 4, 1, 6, 2, 3]);
        assert_eq!(order("c"), [4, 1, 5, 2, 6, 3]);
    }
}
