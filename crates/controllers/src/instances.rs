//! Forgets instances that have been silent for long.
//!
//! Until then what their tasks hold stays reserved, for they may still run there. Their standalone tasks are left alone
//! before that too: nobody promised to start them elsewhere.

use seawall_proto::internal::v1::{DeregisterInstance, InstanceRow, command};
use seawall_state::State;

use crate::{ControllerPlan, Now};

/// Instances that one pass forgets; the rest follow at once.
pub const FORGOTTEN_PER_PASS: usize = 64;

/// Deregisters every instance that fell silent `forget_after_ms` ago.
pub fn plan(state: &State, now: Now, forget_after_ms: i64) -> ControllerPlan {
    let mut plan = ControllerPlan::default();
    for row in state.instances.iter().map(|(_, row)| row).filter(|row| is_silent(row)) {
        let due_ms = row.disconnected_at_ms.saturating_add(forget_after_ms);
        if due_ms > now.cluster_time_ms || plan.commands.len() >= FORGOTTEN_PER_PASS {
            plan.wake(due_ms.max(now.cluster_time_ms));
            continue;
        }
        let forget = DeregisterInstance { instance_id: row.id, force: true, forgotten: true };
        plan.commands.push(command::Kind::DeregisterInstance(forget));
        let silent_s = (now.cluster_time_ms - row.disconnected_at_ms) / 1000;
        plan.say(format_args!("forget instance {}: silent for {silent_s} s", row.id));
    }
    plan
}

fn is_silent(row: &InstanceRow) -> bool {
    !row.connected && row.disconnected_at_ms != 0
}
