//! Moving tasks between zones where some have more than others: what is left of a zone's loss once the zone is back.
//!
//! One task at a time: where a zone has two tasks more than another that has room, one more than desired is started there, and
//! when all are healthy one of the fuller zone is stopped. Only at rest: not during a deployment, while tasks are missing or
//! leave, or while replacement is held. Protected tasks stay. A zone where a task of the service has just failed gets none.

use std::collections::BTreeMap;

use seawall_model::{ClusterId, InstanceId};
use seawall_proto::internal::v1::{RolloutState, ServiceEventCode, ZoneState};

use super::{
    backoff, events, place,
    rollout::{Limits, Starts},
    scale,
    step::Step,
    view::{Member, View},
};
use crate::ControllerPlan;

/// A zone gets no task so long after one that failed there was placed.
pub const SHUN_MS: i64 = 5 * 60 * 1000;
/// Zones are even when they differ by no more than this.
const DIFFERENCE_MAX: usize = 1;

/// What is said of moves; never the same twice in a row.
const SAID: [ServiceEventCode; 4] = [
    ServiceEventCode::NotBalanced,
    ServiceEventCode::Balanced,
    ServiceEventCode::BalanceProtected,
    ServiceEventCode::BalanceEnded,
];

/// Whether the service's surplus was started by a move.
pub(crate) fn is_moving(view: &View<'_>) -> bool {
    view.service.rebalancing && may_move(view)
}

/// Whether it may move tasks at all.
fn may_move(view: &View<'_>) -> bool {
    let is_enabled = view.service.spec.as_ref().is_some_and(|spec| spec.availability_zone_rebalancing() == "ENABLED");
    let is_deployed = view.primary.rollout_state() == RolloutState::Completed
        && view.service.deployments.iter().all(|d| d.primary || !view.has_tasks(d.id));
    is_enabled && is_deployed && !view.now.hold_replacement
}

/// Which tasks go of a surplus that a move made: of zones with more tasks than the one that the newest task is in, once as many
/// as desired are healthy without them. Where there is none, the balance changed meanwhile, and the surplus leaves as any does.
pub(crate) fn leaving<'a>(view: &View<'a>, surplus: usize) -> Vec<Member<'a>> {
    let mut budget = view.healthy().saturating_sub(view.desired());
    let zones = zones(view);
    let newest = view.good.iter().max_by_key(|m| m.task.id.map(|id| (id.hi, id.lo)));
    let has_more = |m: &&Member<'a>| newest.is_some_and(|newest| zones[m.zone] > zones[newest.zone]);
    let fuller: Vec<_> = view.good.iter().filter(has_more).copied().collect();
    let from = if fuller.is_empty() { &view.good } else { &fuller };
    scale::choose(view, from, surplus, &mut budget)
}

/// Begins the next move, or says how the last one ended.
pub(crate) fn tend(view: &View<'_>, limits: Limits, starts: Starts, step: &mut Step, plan: &mut ControllerPlan) {
    if !may_move(view) {
        step.rebalancing = false;
        return;
    }
    let moving = view.outgoing.len() + view.leaving.len() + view.to_replace().len();
    let on_their_way = view.proposed + view.proposed_old;
    let is_even = view.good.len() == view.desired() && view.healthy() == view.desired();
    if moving > 0 || on_their_way > 0 || starts.missing > 0 || !is_even {
        return;
    }
    let zones = zones(view);
    let (fewest, most) = (zones.values().min().copied().unwrap_or(0), zones.values().max().copied().unwrap_or(0));
    if most - fewest <= DIFFERENCE_MAX {
        return end(view, ServiceEventCode::Balanced, &zones, step);
    }
    let may_start = backoff::allowed(view, &step.backoff, Starts { missing: 1, room: 1 }, plan) > 0;
    if limits.total_max <= view.desired() || !may_start {
        return end(view, ServiceEventCode::BalanceEnded, &zones, step);
    }
    begin(view, &zones, step, plan);
}

fn begin(view: &View<'_>, zones: &BTreeMap<&str, usize>, step: &mut Step, plan: &mut ControllerPlan) {
    let fuller = |zone: &str| {
        let least = zones.get(zone).copied().unwrap_or(0) + DIFFERENCE_MAX + 1;
        view.good.iter().filter(move |m| zones[m.zone] >= least)
    };
    let free = |zone: &str| fuller(zone).any(|m| !scale::is_protected(view, m));
    let mut protected = 0;
    let mut shunned_until = None;
    let takes = |zone: &str| {
        shunned_until = shunned_until_ms(view, zone);
        protected = if free(zone) { 0 } else { fuller(zone).count() };
        shunned_until.is_none() && free(zone)
    };
    let began = place::place_one(view, takes, step, plan).is_some();
    if let Some(at_ms) = shunned_until {
        plan.wake(at_ms);
    }
    match (began, protected) {
        (true, _) if !step.rebalancing => {
            step.rebalancing = true;
            say(view, ServiceEventCode::NotBalanced, 0, described(zones), step);
        }
        (true, _) => {}
        (false, 0) => end(view, ServiceEventCode::BalanceEnded, zones, step),
        (false, protected) => {
            step.rebalancing = false;
            say(view, ServiceEventCode::BalanceProtected, protected as u32, String::new(), step);
        }
    }
}

fn end(view: &View<'_>, code: ServiceEventCode, zones: &BTreeMap<&str, usize>, step: &mut Step) {
    if std::mem::take(&mut step.rebalancing) {
        say(view, code, 0, described(zones), step);
    }
}

fn say(view: &View<'_>, code: ServiceEventCode, count: u32, detail: String, step: &mut Step) {
    if events::last_of(view, &SAID) != Some(code) {
        step.event(view, code, count, detail);
    }
}

/// Good tasks by zone, of those with an instance that takes tasks too.
fn zones<'a>(view: &View<'a>) -> BTreeMap<&'a str, usize> {
    let open = view
        .state
        .zones_of(ClusterId(view.service.cluster_id))
        .filter(|zone| view.state.zone_state(zone) == ZoneState::Open);
    let mut zones: BTreeMap<&str, usize> = open.map(|zone| (zone, 0)).collect();
    for member in &view.good {
        *zones.entry(member.zone).or_default() += 1;
    }
    zones
}

/// "3 tasks in a, 1 tasks in b", as ECS has it.
fn described(zones: &BTreeMap<&str, usize>) -> String {
    zones.iter().map(|(zone, tasks)| format!("{tasks} tasks in {zone}")).collect::<Vec<_>>().join(", ")
}

/// Until when a zone gets no task, since one that was placed there failed.
fn shunned_until_ms(view: &View<'_>, zone: &str) -> Option<i64> {
    let is_there = |id| view.state.instances.get(&InstanceId(id)).is_some_and(|row| row.zone == zone);
    let of_primary = view.stopped.iter().filter(|task| task.deployment_id == view.primary.id);
    let failed = of_primary.filter(|task| backoff::ended_by_itself(task) && is_there(task.instance_id));
    let until_ms = failed.map(|task| task.created_at_ms.saturating_add(SHUN_MS)).max();
    until_ms.filter(|at_ms| *at_ms > view.now.cluster_time_ms)
}
