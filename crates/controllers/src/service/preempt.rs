//! Makes room for tasks that fit nowhere: tasks of lower classes stop, as few as it takes, and as any task stops.
//!
//! Which ones is the planner's to say ([`seawall_scheduler::preempt`]). The room is the service's by its class: what waits in a
//! higher one comes first, and an instance where tasks make room is kept from the service's own class too. So nothing is
//! remembered here, and an election in between changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::{ClusterId, ServiceId, TaskId};
use seawall_proto::internal::v1::{ServiceEventCode, StopCode, StopTasks, TaskRow, command};
use seawall_scheduler::Room;
use seawall_state::priority_of;

use super::{backoff::FORGIVE_MS, step::Step, view::View};
use crate::ControllerPlan;

/// Tasks that may make room in any minute, of all services of a cluster.
pub const PREEMPTIONS_A_MINUTE: usize = 60;
/// Members of older versions do not know what it writes.
const SINCE_VERSION: u32 = 2;
const MINUTE_MS: i64 = 60_000;
/// What found nobody to stop looks again no sooner.
pub const LOOK_AGAIN_MS: i64 = 1_000;
/// Services that one event names.
const NAMED_MAX: usize = 3;

/// Stops tasks of others so that up to `unplaced` find room.
pub(crate) fn make_room(view: &View<'_>, unplaced: usize, step: &mut Step, plan: &mut ControllerPlan) {
    let has = view.wanted + view.proposed + view.proposed_old;
    let lacking = (view.desired()).saturating_sub(has as usize).min(unplaced);
    if lacking == 0 || !may_ask(view) {
        return;
    }
    let Ok(request) = view.request(1) else { return };
    let now_ms = view.now.cluster_time_ms;
    let room = Room { tasks: lacking as u32, victims: budget(view), now_ms };
    let Some(found) = view.fleet.preempt(&request, room, LOOK_AGAIN_MS) else {
        return plan.wake(now_ms.saturating_add(LOOK_AGAIN_MS));
    };
    if found.chosen.is_empty() {
        if found.is_short {
            plan.wake(now_ms.saturating_add(LOOK_AGAIN_MS));
        }
        return;
    }
    let victims: Vec<TaskId> = found.chosen.into_iter().flat_map(|preemption| preemption.victims).collect();
    stop(view, &victims, step, plan);
}

/// What fails does not push others out, nor does anybody while it is not known who is lost.
fn may_ask(view: &View<'_>) -> bool {
    let fails = view.service.backoff.as_ref().is_some_and(|backoff| {
        backoff.rounds > 0 && view.now.cluster_time_ms < backoff.last_failure_ms.saturating_add(FORGIVE_MS)
    });
    view.state.meta.cluster_version >= SINCE_VERSION && !view.now.hold_replacement && !fails
}

/// Victims that may stop now. Those on their way count from the moment they are proposed.
fn budget(view: &View<'_>) -> usize {
    let since_ms = view.now.cluster_time_ms.saturating_sub(MINUTE_MS);
    let applied = view.state.preempted_since(ClusterId(view.service.cluster_id), since_ms);
    PREEMPTIONS_A_MINUTE.saturating_sub(applied + view.overlay.victims().count())
}

/// Proposes the stops, those of each service by themselves: each is checked again by how many tasks that one has.
fn stop(view: &View<'_>, victims: &[TaskId], step: &mut Step, plan: &mut ControllerPlan) {
    let priority = priority_of(&view.service.tags);
    let mut of: BTreeMap<u64, Vec<&TaskRow>> = BTreeMap::new();
    for task in victims.iter().filter_map(|id| view.state.tasks.get(id)) {
        of.entry(task.service_id).or_default().push(task);
    }
    let whose: BTreeSet<&str> = of.values().flatten().map(|task| task.group.as_str()).collect();
    let named: Vec<&str> = whose.iter().copied().take(NAMED_MAX).collect();
    step.event(view, ServiceEventCode::Preempting, victims.len() as u32, named.join(", "));
    for (service, tasks) in of {
        let reason = format!("Preempted by (service {}), whose seawall:priority is {priority}", view.service.name);
        plan.say(format_args!("preempt {} of service {service}: {}", tasks.len(), labels(&tasks)));
        plan.commands.push(command::Kind::StopTasks(StopTasks {
            tasks: tasks.iter().filter_map(|task| task.id).collect(),
            code: StopCode::ServiceSchedulerInitiated.into(),
            reason,
            service_id: service,
            service_version: 0,
            wanted_before: if service == 0 { 0 } else { still_wanted(view, ServiceId(service)) + 1 },
            preempted_by: view.service.id,
        }));
    }
}

/// Tasks of a service that want to run and are not about to be told otherwise.
fn still_wanted(view: &View<'_>, service: ServiceId) -> u32 {
    let stopping = |task: &&TaskRow| {
        let id = task.id.as_ref().map(seawall_state::task_id).unwrap_or_default();
        task.desired_running && task.unreachable_since_ms == 0 && view.overlay.is_stopping(id)
    };
    let stopping = view.state.live_tasks_of_service(service).map(AsRef::as_ref).filter(stopping).count();
    view.state.service_counts(service).wanted.saturating_sub(stopping as u32)
}

fn labels(tasks: &[&TaskRow]) -> String {
    tasks.iter().map(|task| super::view::label(task)).collect::<Vec<_>>().join(", ")
}
