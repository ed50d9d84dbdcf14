//! Moving tasks to where the service has fewer: what is left of a zone's loss once the zone is back, and of instances that were
//! full once others have joined or have room again.
//!
//! One task at a time, and no more in a minute than the cluster may: one more than desired is started where it is better placed, and
//! when all are healthy one of where there are more is stopped. Zones come first ([`zones`]), then the instances of a zone
//! ([`instances`]). Only at rest: not during a deployment, while tasks are missing or leave, or while replacement is held. Protected
//! tasks stay. A zone where a task of the service has just failed gets none.

mod instances;
mod zones;

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{RolloutState, ServiceEventCode};

use super::{
    backoff, events,
    rollout::{Limits, Starts},
    scale,
    step::Step,
    view::{Member, View},
};
use crate::ControllerPlan;

/// A zone gets no task so long after one that failed there was placed.
pub const SHUN_MS: i64 = 5 * 60 * 1000;
/// Where the cluster has made as many moves as it may, a service asks again after so long.
pub const BUDGET_RETRY_MS: i64 = 5_000;
/// Zones, and instances, are even when they differ by no more than this.
const DIFFERENCE_MAX: usize = 1;

/// What is said of moves; never the same twice in a row.
const SAID: [ServiceEventCode; 6] = [
    ServiceEventCode::NotBalanced,
    ServiceEventCode::Balanced,
    ServiceEventCode::BalanceProtected,
    ServiceEventCode::BalanceEnded,
    ServiceEventCode::NotEven,
    ServiceEventCode::Even,
];

/// What became of looking for a move.
enum Move {
    /// It began; what is said of it, once for all that follow.
    Began(ServiceEventCode, String),
    /// So many tasks would have to go that are protected.
    Protected(usize),
    /// There is none to make.
    Nothing,
}

/// Whether the service's surplus was started by a move.
pub(crate) fn is_moving(view: &View<'_>) -> bool {
    view.service.rebalancing && may_move(view)
}

/// Whether it may move tasks at all.
fn may_move(view: &View<'_>) -> bool {
    let is_deployed = view.primary.rollout_state() == RolloutState::Completed
        && view.service.deployments.iter().all(|d| d.primary || !view.has_tasks(d.id));
    (zones::are_moved(view) || instances::are_moved(view)) && is_deployed && !view.now.hold_replacement
}

/// Which tasks go of a surplus that a move made: of zones with more tasks than the one that the newest task is in, else of instances
/// with more than the one that it is on; once as many as desired are healthy without them. Where there is none, the balance changed
/// meanwhile, and the surplus leaves as any does.
pub(crate) fn leaving<'a>(view: &View<'a>, surplus: usize) -> Vec<Member<'a>> {
    let mut budget = view.healthy().saturating_sub(view.desired());
    let newest = view.good.iter().max_by_key(|m| m.task.id.map(|id| (id.hi, id.lo)));
    let fuller = newest.map(|newest| {
        let of_zones = zones::fuller(view, newest);
        if of_zones.is_empty() { instances::fuller(view, newest) } else { of_zones }
    });
    let from = fuller.filter(|fuller| !fuller.is_empty()).unwrap_or_else(|| view.good.clone());
    scale::choose(view, &from, surplus, &mut budget)
}

/// Begins the next move, or says how the last one ended.
pub(crate) fn tend(view: &View<'_>, limits: Limits, starts: Starts, step: &mut Step, plan: &mut ControllerPlan) {
    if !may_move(view) {
        step.rebalancing = false;
        return;
    }
    let moving = view.outgoing.len() + view.leaving.len() + view.to_replace().len();
    let on_their_way = view.proposed + view.proposed_old;
    let is_whole = view.good.len() == view.desired() && view.healthy() == view.desired();
    if moving > 0 || on_their_way > 0 || starts.missing > 0 || !is_whole {
        return;
    }
    if !zones::are_uneven(view) && !instances::may_be_uneven(view) {
        return end(view, step);
    }
    let may_start = backoff::allowed(view, &step.backoff, Starts { missing: 1, room: 1 }, plan) > 0;
    if limits.total_max <= view.desired() || !may_start {
        return end(view, step);
    }
    if view.now.hold_moves {
        return plan.wake(view.now.cluster_time_ms.saturating_add(BUDGET_RETRY_MS));
    }
    begin(view, step, plan);
}

fn begin(view: &View<'_>, step: &mut Step, plan: &mut ControllerPlan) {
    let of_zones = zones::begin(view, step, plan);
    let found = match of_zones {
        Move::Nothing => instances::begin(view, step, plan),
        found => found,
    };
    match found {
        Move::Began(code, detail) => {
            plan.moves += 1;
            if !std::mem::replace(&mut step.rebalancing, true) {
                say(view, code, 0, detail, step);
            }
        }
        Move::Protected(tasks) => {
            step.rebalancing = false;
            say(view, ServiceEventCode::BalanceProtected, tasks as u32, String::new(), step);
        }
        Move::Nothing => end(view, step),
    }
}

/// Says how the moves ended that it had begun.
fn end(view: &View<'_>, step: &mut Step) {
    if !std::mem::take(&mut step.rebalancing) {
        return;
    }
    let was_of_instances = events::last_of(view, &SAID) == Some(ServiceEventCode::NotEven);
    match (zones::are_uneven(view), was_of_instances) {
        (true, _) => say(view, ServiceEventCode::BalanceEnded, 0, zones::described(view), step),
        (false, true) => say(view, ServiceEventCode::Even, 0, String::new(), step),
        (false, false) => say(view, ServiceEventCode::Balanced, 0, zones::described(view), step),
    }
}

fn say(view: &View<'_>, code: ServiceEventCode, count: u32, detail: String, step: &mut Step) {
    if events::last_of(view, &SAID) != Some(code) {
        step.event(view, code, count, detail);
    }
}

/// Until when a zone gets no task, since one that was placed there failed.
fn shunned_until_ms(view: &View<'_>, zone: &str) -> Option<i64> {
    let is_there = |id| view.state.instances.get(&InstanceId(id)).is_some_and(|row| row.zone == zone);
    let of_primary = view.stopped.iter().filter(|task| task.deployment_id == view.primary.id);
    let failed = of_primary.filter(|task| backoff::ended_by_itself(task) && is_there(task.instance_id));
    let until_ms = failed.map(|task| task.created_at_ms.saturating_add(SHUN_MS)).max();
    until_ms.filter(|at_ms| *at_ms > view.now.cluster_time_ms)
}
