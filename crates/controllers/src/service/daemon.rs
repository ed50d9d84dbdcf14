//! DAEMON: exactly one task on each instance where one belongs.
//!
//! A task belongs on an instance that is ACTIVE, can be reached, and has what the task asks for. Nothing takes the place of
//! one whose instance is lost. A rollout stops an instance's task and then starts the new one there, on as many instances at
//! once as the minimum allows. On an instance that drains the daemon stops when no task of another service is left.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::InstanceId;

use super::{
    Stops, backoff, breaker, events, place,
    rollout::{self, Limits, Starts},
    scale,
    step::Step,
    view::{Condition, Member, View},
};
use crate::ControllerPlan;

/// Starts what is missing; what to stop.
pub(crate) fn plan<'a>(
    view: &View<'a>,
    belongs: &BTreeSet<InstanceId>,
    step: &mut Step,
    plan: &mut ControllerPlan,
) -> Stops<'a> {
    step.desired_count = belongs.len() as u32;
    let missing = missing(view, belongs);
    let starts = Starts { missing: missing.len(), room: missing.len() };
    let allowed = backoff::allowed(view, &step.backoff, starts, plan);
    let starting = place::place_on_each(view, &missing[..allowed], step, plan) > 0;
    stops(view, belongs, starting, step)
}

/// Instances without a task, those where fewer of the last tasks ended first: one that is sick keeps no other waiting.
fn missing(view: &View<'_>, belongs: &BTreeSet<InstanceId>) -> Vec<InstanceId> {
    if breaker::has_tripped(view) {
        return Vec::new();
    }
    let mut ended: BTreeMap<InstanceId, u32> = BTreeMap::new();
    for task in &view.stopped {
        *ended.entry(InstanceId(task.instance_id)).or_default() += 1;
    }
    let live: BTreeSet<_> = view.live().map(|task| InstanceId(task.instance_id)).collect();
    let proposed = |id: &InstanceId| view.overlay.has_task_of(view.id(), *id);
    let mut missing: Vec<_> = belongs.difference(&live).copied().filter(|id| !proposed(id)).collect();
    missing.sort_by_key(|id| (ended.get(id).copied().unwrap_or(0), *id));
    missing
}

fn stops<'a>(view: &View<'a>, belongs: &BTreeSet<InstanceId>, starting: bool, step: &mut Step) -> Stops<'a> {
    let at = |m: &Member<'_>| InstanceId(m.task.instance_id);
    let (here, gone): (Vec<_>, Vec<_>) = view.members().copied().partition(|m| belongs.contains(&at(m)));
    // What does not belong there goes, however many are healthy elsewhere.
    let mut chosen = scale::choose(view, &gone, gone.len(), &mut gone.len());
    let mut kept = BTreeSet::new();
    let surplus: Vec<_> =
        view.good.iter().copied().filter(|m| belongs.contains(&at(m)) && !kept.insert(at(m))).collect();
    chosen.extend(scale::choose(view, &surplus, surplus.len(), &mut surplus.len()));
    if !breaker::has_tripped(view) {
        let old: Vec<_> = view.outgoing.iter().copied().filter(|m| belongs.contains(&at(m))).collect();
        let healthy = here.iter().filter(|m| m.condition == Condition::Healthy).count();
        chosen.extend(rollout::one_by_one(view, starting, 0, roll(view, &old, healthy, step)));
    }
    let mut stops = Stops::default();
    for member in chosen {
        let list = if member.condition == Condition::Unhealthy { &mut stops.unhealthy } else { &mut stops.scaling };
        list.push(member.task);
    }
    stops
}

/// Those of the old and the unhealthy tasks that stop now.
fn roll<'a>(view: &View<'a>, old: &[Member<'a>], healthy: usize, step: &mut Step) -> Vec<Member<'a>> {
    let limits = Limits::new(view);
    events::blocked(view, limits, Starts { missing: old.len(), room: 0 }, step);
    scale::choose(view, old, old.len(), &mut healthy.saturating_sub(limits.healthy_min))
}
