//! Moves between instances: where one has two tasks of the service more than another that has room, in the same zone where
//! the strategy spreads over zones.
//!
//! Looked for where the service spreads over instances, as it does by default. A few instances are asked in each zone, those that
//! the planner would look at first: one that has just joined, or is the emptiest, is among them.

use std::collections::BTreeMap;

use seawall_model::{InstanceId, own_tags};
use seawall_proto::internal::v1::ServiceEventCode;
use seawall_state::own_tag;

use super::{DIFFERENCE_MAX, Move, shunned_until_ms, zones};
use crate::{
    ControllerPlan,
    service::{
        place, scale,
        step::Step,
        view::{Member, View},
    },
};

/// `seawall:rebalance`; without it as zones are.
pub(super) fn are_moved(view: &View<'_>) -> bool {
    let is_asked = own_tag(view.service, own_tags::REBALANCE).map_or_else(|| zones::are_moved(view), |asked| asked > 0);
    is_asked && view.strategy().spreads_instances()
}

/// Whether some instance may have more tasks than it should beside another.
pub(super) fn may_be_uneven(view: &View<'_>) -> bool {
    are_moved(view) && Crowds::of(view).groups.values().any(Crowd::may_be_uneven)
}

/// Tasks of the newest one's zone on instances with more of them than the one that it is on.
pub(super) fn fuller<'a>(view: &View<'a>, newest: &Member<'a>) -> Vec<Member<'a>> {
    let crowds = Crowds::of(view);
    let Some(crowd) = crowds.groups.get(crowds.zone_of(newest)) else { return Vec::new() };
    let is_there = |m: &&Member<'a>| crowds.zone_of(m) == crowds.zone_of(newest);
    let is_fuller = |m: &&Member<'a>| crowd.tasks(m.task.instance_id) > crowd.tasks(newest.task.instance_id);
    view.good.iter().filter(is_there).filter(is_fuller).copied().collect()
}

/// Starts one on an instance that has two fewer than another.
pub(super) fn begin(view: &View<'_>, step: &mut Step, plan: &mut ControllerPlan) -> Move {
    if !are_moved(view) {
        return Move::Nothing;
    }
    let crowds = Crowds::of(view);
    for (zone, crowd) in crowds.groups.iter().filter(|(_, crowd)| crowd.may_be_uneven()) {
        let movable = view.good.iter().filter(|m| crowds.zone_of(m) == *zone && !scale::is_protected(view, m));
        let fullest = movable.map(|m| m.task.instance_id).max_by_key(|id| (crowd.tasks(*id), *id));
        let Some(from) = fullest else { continue };
        let mut shunned_until = None;
        let takes = |to: InstanceId| {
            let zone = view.state.instances.get(&to).map_or("", |row| &row.zone);
            shunned_until = shunned_until_ms(view, zone);
            shunned_until.is_none() && crowd.tasks(from) > crowd.tasks(to.0) + DIFFERENCE_MAX
        };
        let within = crowds.by_zone.then_some(*zone);
        let to = place::place_near(view, within, takes, step, plan);
        if let Some(at_ms) = shunned_until {
            plan.wake(at_ms);
        }
        if let Some(to) = to {
            return Move::Began(ServiceEventCode::NotEven, crowd.described(view, from, to.0));
        }
    }
    Move::Nothing
}

/// Good tasks by instance: for each zone where the strategy spreads over them, else for all together.
struct Crowds<'a> {
    by_zone: bool,
    groups: BTreeMap<&'a str, Crowd>,
}

/// Tasks by instance.
#[derive(Default)]
struct Crowd(BTreeMap<u64, usize>);

impl<'a> Crowds<'a> {
    fn of(view: &View<'a>) -> Self {
        let mut crowds = Crowds { by_zone: view.strategy().spreads_zones_first(), groups: BTreeMap::new() };
        for member in &view.good {
            let Crowd(instances) = crowds.groups.entry(crowds.zone_of(member)).or_default();
            *instances.entry(member.task.instance_id).or_default() += 1;
        }
        crowds
    }

    fn zone_of(&self, member: &Member<'a>) -> &'a str {
        if self.by_zone { member.zone } else { "" }
    }
}

impl Crowd {
    fn tasks(&self, instance: u64) -> usize {
        self.0.get(&instance).copied().unwrap_or(0)
    }

    /// An instance that is not among them has none.
    fn may_be_uneven(&self) -> bool {
        self.0.values().any(|tasks| *tasks > DIFFERENCE_MAX)
    }

    /// "3 tasks on i-1, 0 on i-2".
    fn described(&self, view: &View<'_>, from: u64, to: u64) -> String {
        let name = |id| view.state.instances.get(&InstanceId(id)).map_or("", |row| &row.ec2_instance_id);
        format!("{} tasks on {}, {} on {}", self.tasks(from), name(from), self.tasks(to), name(to))
    }
}
