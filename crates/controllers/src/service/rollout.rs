//! How many tasks may start and which may stop, within minimumHealthyPercent and maximumPercent.
//!
//! Start first: new tasks start while the maximum has room, and an old one stops when the service has more healthy tasks
//! than it needs. Healthy tasks go below the desired count, down to the minimum, only where nothing can start before:
//! where the maximum leaves no room beyond the desired count, or where no instance has room.
//!
//! Tasks that were told to stop count against the maximum until they have stopped: with a maximum of 100 % nothing new
//! runs beside what it replaces. Unreachable tasks count for nothing, but where at most one task may be alive: there they count
//! until they have surely ended.

use std::collections::BTreeMap;

use seawall_model::{InstanceId, LossPolicy};
use seawall_proto::internal::v1::TaskRow;
use seawall_scheduler::{Reserved, fits_after};

use super::{
    Stops, backoff, breaker, early_success, rebalance, scale,
    view::{Condition, Member, View},
};

/// The percentages as counts of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Healthy tasks that must remain: rounded up.
    pub healthy_min: usize,
    /// Tasks that may exist: rounded down, never below the desired count.
    pub total_max: usize,
}

impl Limits {
    /// Of the service as it is.
    pub fn new(view: &View<'_>) -> Self {
        if view.loss == LossPolicy::AtMostOne {
            return Limits { healthy_min: 0, total_max: view.desired() };
        }
        Limits::of(view.desired(), view.service.minimum_healthy_percent, view.service.maximum_percent)
    }

    fn of(desired: usize, minimum_percent: u32, maximum_percent: u32) -> Self {
        let min = (desired * minimum_percent as usize).div_ceil(100);
        let max = desired * maximum_percent as usize / 100;
        Limits { healthy_min: min.min(desired), total_max: max.max(desired) }
    }
}

/// Tasks to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Starts {
    /// To have as many good ones as desired.
    pub missing: usize,
    /// Of those, how many the maximum has room for.
    pub room: usize,
}

impl Starts {
    /// How many may start now.
    pub fn now(self) -> usize {
        self.missing.min(self.room)
    }
}

/// What is missing, and what may start.
pub(crate) fn starts(view: &View<'_>, limits: Limits) -> Starts {
    // What was given up starts nothing more, until the service is updated.
    let desired = if breaker::has_tripped(view) { 0 } else { view.desired() };
    let held = if view.now.hold_replacement { view.unreachable.len() } else { view.awaited().count() };
    let have = view.good.len() + view.proposed as usize;
    let silent = if view.loss == LossPolicy::AtMostOne { view.unreachable.len() + view.abandoned.len() } else { 0 };
    let existing = have + view.outgoing.len() + view.leaving.len() + view.proposed_old as usize + silent;
    Starts { missing: desired.saturating_sub(have + held), room: limits.total_max.saturating_sub(existing) }
}

/// What to stop. `unplaced` of the starts found no instance.
pub(crate) fn stops<'a>(view: &View<'a>, limits: Limits, starts: Starts, unplaced: usize) -> Stops<'a> {
    let mut budget = view.healthy().saturating_sub(limits.healthy_min);
    let mut stops = Stops::default();
    let surplus = view.good.len().saturating_sub(view.desired());
    let leaving = match rebalance::is_moving(view) {
        true => rebalance::leaving(view, surplus),
        false => surplus_of(view, surplus, &mut budget),
    };
    stops.scaling.extend(leaving.iter().map(|member| member.task));
    for member in outgoing_stops(view, limits, starts, unplaced, &mut budget) {
        let list = if member.condition == Condition::Unhealthy { &mut stops.unhealthy } else { &mut stops.scaling };
        list.push(member.task);
    }
    stops.unreachable = replaced(view);
    stops
}

/// Which of the tasks that stay are too many. Where a silent task is kept until its replacement is healthy, it is the replacement
/// that goes once the task is back first.
fn surplus_of<'a>(view: &View<'a>, surplus: usize, budget: &mut usize) -> Vec<Member<'a>> {
    if view.loss != LossPolicy::Keep {
        return scale::choose(view, &view.good, surplus, budget);
    }
    let (healthy, others): (Vec<_>, Vec<_>) =
        view.good.iter().copied().partition(|m| m.condition == Condition::Healthy);
    let mut chosen = scale::choose(view, &others, surplus, budget);
    chosen.extend(scale::choose(view, &healthy, surplus - chosen.len(), budget));
    chosen
}

fn outgoing_stops<'a>(
    view: &View<'a>,
    limits: Limits,
    starts: Starts,
    unplaced: usize,
    budget: &mut usize,
) -> Vec<Member<'a>> {
    let (pending, running): (Vec<Member<'a>>, Vec<Member<'a>>) =
        view.outgoing.iter().copied().partition(|m| m.condition == Condition::Pending);
    let weak = running.iter().filter(|m| m.condition != Condition::Healthy).count();
    let replaced = (view.healthy() + weak).saturating_sub(view.desired());
    let early = if early_success::needs_no_others(view) { running.len() } else { early_stops(view, limits, starts) };
    let mut chosen = pending;
    chosen.extend(scale::choose(view, &running, replaced.max(early), budget));
    if chosen.is_empty() && unplaced > view.leaving.len() {
        let in_the_way = in_the_way(view, &running);
        chosen = scale::choose(view, &in_the_way, unplaced - view.leaving.len(), budget);
    }
    one_by_one(view, starts.now() > unplaced, replaced, chosen)
}

/// Unhealthy tasks that stop before others run in their place go one by one, each when the last one's replacement is healthy:
/// those left may recover. What another revision takes the place of need not.
pub(crate) fn one_by_one<'a>(
    view: &View<'a>,
    starting: bool,
    replaced: usize,
    chosen: Vec<Member<'a>>,
) -> Vec<Member<'a>> {
    let is_sick = |m: &Member<'_>| m.condition == Condition::Unhealthy && m.task.deployment_id == view.primary.id;
    let is_quiet = !starting
        && view.proposed == 0
        && view.good.iter().all(|m| m.condition == Condition::Healthy)
        && !view.leaving.iter().any(|task| backoff::is_unhealthy(task));
    let (mut sick, mut others): (Vec<_>, Vec<_>) = chosen.into_iter().partition(is_sick);
    sick.truncate(replaced.max(usize::from(is_quiet)));
    others.extend(sick);
    others
}

/// Stops ahead of the starts, where the maximum leaves no room to start first: so many that with what is on its way all
/// that is missing can start.
fn early_stops(view: &View<'_>, limits: Limits, starts: Starts) -> usize {
    if limits.total_max > view.desired() {
        return 0;
    }
    starts.missing.saturating_sub(starts.room + view.leaving.len())
}

/// Tasks on instances that have no room for a new one and would have it without them: stopping others would cost health and
/// gain nothing.
fn in_the_way<'a>(view: &View<'a>, running: &[Member<'a>]) -> Vec<Member<'a>> {
    let Ok(request) = view.request(1) else { return Vec::new() };
    let mut by_instance: BTreeMap<u64, Vec<Member<'a>>> = BTreeMap::new();
    for member in running {
        by_instance.entry(member.task.instance_id).or_default().push(*member);
    }
    let reserved = Reserved::from(view.state, view.overlay, &request);
    let fits = |id: u64, stopped: &[&TaskRow]| fits_after(&reserved, &request, InstanceId(id), stopped);
    by_instance.retain(|id, members| {
        let tasks: Vec<&TaskRow> = members.iter().map(|m| m.task).collect();
        !fits(*id, &[]) && fits(*id, &tasks)
    });
    by_instance.into_values().flatten().collect()
}

/// Unreachable tasks whose places are taken: they stop when they come back. Those that nothing replaces yet stay wanted,
/// for their instance may return first, and so do protected ones. Proposals do not count: they may be refused. Where the service
/// keeps silent tasks, what is not healthy replaces none.
fn replaced<'a>(view: &View<'a>) -> Vec<&'a TaskRow> {
    let present = match view.loss {
        LossPolicy::Keep => view.healthy(),
        LossPolicy::Replace { .. } | LossPolicy::AtMostOne => view.good.len() + view.outgoing.len(),
    };
    let keep = view.desired().saturating_sub(present);
    let mut tasks = if view.now.hold_replacement { Vec::new() } else { view.to_replace() };
    tasks.sort_by_key(|t| (t.deployment_id == view.primary.id, t.unreachable_since_ms, t.id.map(|id| (id.hi, id.lo))));
    let surplus = tasks.len().saturating_sub(keep);
    tasks.truncate(surplus);
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_is_rounded_up_and_the_maximum_down() {
        for (desired, minimum, maximum, healthy_min, total_max) in [
            (4, 50, 200, 2, 8),
            (3, 50, 150, 2, 4),
            (3, 66, 134, 2, 4),
            (3, 67, 133, 3, 3),
            (10, 1, 109, 1, 10),
            (10, 0, 110, 0, 11),
            (1, 1, 199, 1, 1),
            (1, 0, 200, 0, 2),
            (7, 100, 100, 7, 7),
            (0, 100, 200, 0, 0),
            (5000, 99, 101, 4950, 5050),
        ] {
            let limits = Limits::of(desired, minimum, maximum);
            assert_eq!(limits, Limits { healthy_min, total_max }, "{minimum} and {maximum} % of {desired}");
        }
    }
}
