//! Cordons instances on which task after task never runs.
//!
//! A machine whose engine, disk or network is ill starts nothing, and being empty it attracts the next task: without this a service
//! loses its replacements there one by one. What counts is in the instance's row: tasks in a row that never ran here while others like
//! them run elsewhere, so a bad image cordons nobody. A cordon lasts a minute, then two, up to an hour, until a task runs
//! there again. At most a fifth of a cluster's instances are cordoned: beyond that it is no longer they that are sick.

use std::collections::BTreeMap;

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{CordonInstance, InstanceRow, InstanceStatus, command};
use seawall_state::State;

use crate::{ControllerPlan, Now};

/// Tasks in a row that never ran.
pub const FAILURES_MAX: u32 = 3;
/// One in so many instances may be cordoned.
const SHARE: usize = 5;
/// With fewer instances than this none is: the others could not do its work.
const INSTANCES_MIN: usize = 3;
/// The first cordon.
const FIRST_MS: i64 = 60_000;
/// The longest.
const LONGEST_MS: i64 = 3_600_000;

/// Cordons what is sick, and ends what has lasted.
pub fn plan(state: &State, now: Now) -> ControllerPlan {
    let mut plan = ControllerPlan::default();
    let mut room = room(state);
    for (id, row) in state.instances.iter() {
        if row.cordoned_until_ms != 0 {
            end(row, now, &mut plan);
        } else if row.failures_in_row >= FAILURES_MAX && is_of_use(row) {
            let room = room.entry(row.cluster_id).or_default();
            if *room > 0 {
                *room -= 1;
                cordon(*id, row, now, &mut plan);
            }
        }
    }
    plan
}

/// How many more instances of each cluster may be cordoned.
fn room(state: &State) -> BTreeMap<u64, usize> {
    let mut of_use: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for (_, row) in state.instances.iter().filter(|(_, row)| is_of_use(row)) {
        let (all, cordoned) = of_use.entry(row.cluster_id).or_default();
        *all += 1;
        *cordoned += usize::from(row.cordoned_until_ms != 0);
    }
    let may = |all: usize| if all < INSTANCES_MIN { 0 } else { (all / SHARE).max(1) };
    of_use.into_iter().map(|(cluster, (all, cordoned))| (cluster, may(all).saturating_sub(cordoned))).collect()
}

fn is_of_use(row: &InstanceRow) -> bool {
    row.status() == InstanceStatus::Active && row.connected
}

fn cordon(id: InstanceId, row: &InstanceRow, now: Now, plan: &mut ControllerPlan) {
    let lasts_ms = FIRST_MS.saturating_mul(1 << row.cordons.min(16)).min(LONGEST_MS);
    let until_ms = now.cluster_time_ms.saturating_add(lasts_ms);
    let reason = format!(
        "{} tasks in a row never ran here, while others like them run elsewhere; takes none for {} min",
        row.failures_in_row,
        lasts_ms / 60_000
    );
    plan.say(format_args!("cordon instance {id}: {reason}"));
    plan.commands.push(command::Kind::CordonInstance(CordonInstance { instance_id: id.0, until_ms, reason }));
}

fn end(row: &InstanceRow, now: Now, plan: &mut ControllerPlan) {
    if row.cordoned_until_ms > now.cluster_time_ms {
        return plan.wake(row.cordoned_until_ms);
    }
    plan.say(format_args!("instance {} takes tasks again", row.id));
    let end = CordonInstance { instance_id: row.id, until_ms: 0, reason: String::new() };
    plan.commands.push(command::Kind::CordonInstance(end));
}
