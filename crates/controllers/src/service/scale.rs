//! Which tasks go when some must: the mirror of the service's placement strategy.
//!
//! By default from the zone with the most tasks of the service, on the instance with the most; pending before running, the
//! newest first. Unhealthy tasks and those on instances that drain go before any other.

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{InstanceStatus, ZoneState};
use seawall_scheduler::{Mirror, Rank};
use seawall_state::task_id;

use super::view::{Condition, Member, View};

/// Chooses up to `count` of `from`. Each healthy one takes one of `budget`, the healthy tasks that may go.
pub(crate) fn choose<'a>(view: &View<'a>, from: &[Member<'a>], count: usize, budget: &mut usize) -> Vec<Member<'a>> {
    if count == 0 || from.is_empty() {
        return Vec::new();
    }
    let strategy = view.strategy();
    let all = view.members().map(|m| InstanceId(m.task.instance_id));
    let mut mirror = Mirror::new(&strategy, view.state, view.overlay, all);
    let mut left: Vec<(u8, Member<'a>)> = from.iter().map(|m| (urgency(view, m), *m)).collect();
    let mut chosen = Vec::new();
    while chosen.len() < count {
        let allowed = |m: &Member<'_>| (*budget > 0 || m.condition != Condition::Healthy) && !is_protected(view, m);
        let best = (0..left.len()).filter(|&i| allowed(&left[i].1)).max_by_key(|&i| rank(&mirror, &left[i]));
        let Some(best) = best else { break };
        let (_, member) = left.swap_remove(best);
        mirror.remove(InstanceId(member.task.instance_id), member.task.cpu, member.task.memory);
        if member.condition == Condition::Healthy {
            *budget -= 1;
        }
        chosen.push(member);
    }
    chosen
}

/// The largest goes first.
fn rank(mirror: &Mirror<'_, '_>, (urgency, member): &(u8, Member<'_>)) -> (u8, Rank, bool, u128) {
    let id = member.task.id.as_ref().map(task_id).unwrap_or_default();
    let pending = member.condition == Condition::Pending;
    (*urgency, mirror.rank(InstanceId(member.task.instance_id)), pending, id.0)
}

/// Scale-in protection holds for what is well: an unhealthy task is replaced all the same.
pub(crate) fn is_protected(view: &View<'_>, member: &Member<'_>) -> bool {
    member.condition != Condition::Unhealthy && view.is_protected(member.task)
}

fn urgency(view: &View<'_>, member: &Member<'_>) -> u8 {
    let instance = view.state.instances.get(&InstanceId(member.task.instance_id));
    let drains = instance.is_some_and(|row| {
        row.status() != InstanceStatus::Active || view.state.zone_state(&row.zone) == ZoneState::Evacuating
    });
    match member.condition {
        Condition::Unhealthy => 3,
        Condition::Starting if drains => 2,
        _ if drains => 1,
        _ => 0,
    }
}
