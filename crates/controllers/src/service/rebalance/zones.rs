//! Moves between zones, as ECS makes them: where one has two tasks more than another that has room.

use std::collections::BTreeMap;

use seawall_model::ClusterId;
use seawall_proto::internal::v1::{ServiceEventCode, ZoneState};

use super::{DIFFERENCE_MAX, Move, shunned_until_ms};
use crate::{
    ControllerPlan,
    service::{
        place, scale,
        step::Step,
        view::{Member, View},
    },
};

/// `availabilityZoneRebalancing`.
pub(super) fn are_moved(view: &View<'_>) -> bool {
    view.service.spec.as_ref().is_some_and(|spec| spec.availability_zone_rebalancing() == "ENABLED")
}

/// Whether some zone has more tasks than it should beside another.
pub(super) fn are_uneven(view: &View<'_>) -> bool {
    let zones = tasks(view);
    let (fewest, most) = (zones.values().min().copied().unwrap_or(0), zones.values().max().copied().unwrap_or(0));
    are_moved(view) && most - fewest > DIFFERENCE_MAX
}

/// Tasks in zones with more of them than the zone that the newest is in.
pub(super) fn fuller<'a>(view: &View<'a>, newest: &Member<'a>) -> Vec<Member<'a>> {
    let zones = tasks(view);
    view.good.iter().filter(|m| zones[m.zone] > zones[newest.zone]).copied().collect()
}

/// Starts one where the planner would put it, if another zone has two more.
pub(super) fn begin(view: &View<'_>, step: &mut Step, plan: &mut ControllerPlan) -> Move {
    if !are_uneven(view) {
        return Move::Nothing;
    }
    let zones = &tasks(view);
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
        (true, _) => Move::Began(ServiceEventCode::NotBalanced, described(view)),
        (false, 0) => Move::Nothing,
        (false, protected) => Move::Protected(protected),
    }
}

/// "3 tasks in a, 1 tasks in b", as ECS has it.
pub(super) fn described(view: &View<'_>) -> String {
    tasks(view).iter().map(|(zone, tasks)| format!("{tasks} tasks in {zone}")).collect::<Vec<_>>().join(", ")
}

/// Good tasks by zone, of those with an instance that takes tasks too.
fn tasks<'a>(view: &View<'a>) -> BTreeMap<&'a str, usize> {
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
