//! Which tasks go when some must: the mirror of spreading.
//!
//! From the zone with the most tasks of the service, on the instance with the most, pending before running, the newest
//! first. Unhealthy tasks and those on instances that drain go before any other.

use std::collections::BTreeMap;

use seawall_model::InstanceId;
use seawall_proto::internal::v1::InstanceStatus;
use seawall_state::task_id;

use super::view::{Condition, Member, View};

/// Chooses up to `count` of `from`. Each healthy one takes one of `budget`, the healthy tasks that may go.
pub(crate) fn choose<'a>(view: &View<'a>, from: &[Member<'a>], count: usize, budget: &mut usize) -> Vec<Member<'a>> {
    let mut crowd = Crowd::new(view);
    let mut left: Vec<Entry<'a>> = from.iter().map(|m| Entry::new(view, &mut crowd, *m)).collect();
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let allowed =
            |e: &Entry<'_>| (*budget > 0 || e.member.condition != Condition::Healthy) && !is_protected(view, &e.member);
        let best = (0..left.len()).filter(|&i| allowed(&left[i])).max_by_key(|&i| left[i].rank(&crowd));
        let Some(best) = best else { break };
        let entry = left.swap_remove(best);
        crowd.remove(&entry);
        if entry.member.condition == Condition::Healthy {
            *budget -= 1;
        }
        chosen.push(entry.member);
    }
    chosen
}

/// Tasks by zone and by instance, numbered so that each step of the choice is an array look-up.
struct Crowd<'a> {
    zones: Vec<u32>,
    instances: Vec<u32>,
    zone_numbers: BTreeMap<&'a str, usize>,
    instance_numbers: BTreeMap<u64, usize>,
}

impl<'a> Crowd<'a> {
    fn new(view: &View<'a>) -> Self {
        let mut crowd = Crowd {
            zones: Vec::new(),
            instances: Vec::new(),
            zone_numbers: BTreeMap::new(),
            instance_numbers: BTreeMap::new(),
        };
        for member in view.members() {
            let (zone, instance) = crowd.place(member);
            crowd.zones[zone] += 1;
            crowd.instances[instance] += 1;
        }
        crowd
    }

    fn place(&mut self, member: &Member<'a>) -> (usize, usize) {
        let zone = *self.zone_numbers.entry(member.zone).or_insert(self.zones.len());
        let instance = *self.instance_numbers.entry(member.task.instance_id).or_insert(self.instances.len());
        self.zones.resize(self.zones.len().max(zone + 1), 0);
        self.instances.resize(self.instances.len().max(instance + 1), 0);
        (zone, instance)
    }

    fn remove(&mut self, entry: &Entry<'_>) {
        self.zones[entry.zone] -= 1;
        self.instances[entry.instance] -= 1;
    }
}

struct Entry<'a> {
    member: Member<'a>,
    first: u8,
    zone: usize,
    instance: usize,
}

impl<'a> Entry<'a> {
    fn new(view: &View<'_>, crowd: &mut Crowd<'a>, member: Member<'a>) -> Self {
        let (zone, instance) = crowd.place(&member);
        Entry { first: urgency(view, &member), member, zone, instance }
    }

    /// The largest goes first.
    fn rank(&self, crowd: &Crowd<'_>) -> (u8, u32, u32, bool, u128) {
        let id = self.member.task.id.as_ref().map(task_id).unwrap_or_default();
        let pending = self.member.condition == Condition::Pending;
        (self.first, crowd.zones[self.zone], crowd.instances[self.instance], pending, id.0)
    }
}

/// Scale-in protection holds for what is well: an unhealthy task is replaced all the same.
pub(crate) fn is_protected(view: &View<'_>, member: &Member<'_>) -> bool {
    member.condition != Condition::Unhealthy && view.is_protected(member.task)
}

fn urgency(view: &View<'_>, member: &Member<'_>) -> u8 {
    let instance = view.state.instances.get(&InstanceId(member.task.instance_id));
    let drains = instance.is_some_and(|row| row.status() != InstanceStatus::Active);
    match member.condition {
        Condition::Unhealthy => 3,
        Condition::Starting if drains => 2,
        _ if drains => 1,
        _ => 0,
    }
}
