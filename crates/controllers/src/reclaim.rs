//! Ends what is left on spot capacity once its notice is over.
//!
//! From the notice on the instance drains, so services replace its tasks at once, and standalone tasks are told until when they
//! have. What is still there then is stopped; the instance leaves the cluster once its agent has fallen silent.

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{DeregisterInstance, InstanceRow, StopCode, StopTasks, command};
use seawall_state::State;

use crate::{ControllerPlan, Now};

/// ECS's words.
pub const REASON: &str = "Your Spot Task was interrupted.";
/// Tasks that one pass stops on one instance; the rest follow at once.
pub const TASKS_PER_PASS: usize = 256;

/// Stops the tasks of every instance whose time has come.
pub fn plan(state: &State, now: Now) -> ControllerPlan {
    let mut plan = ControllerPlan::default();
    for (id, row) in state.instances.iter().filter(|(_, row)| row.reclaim_at_ms != 0) {
        if row.reclaim_at_ms > now.cluster_time_ms {
            plan.wake(row.reclaim_at_ms);
        } else {
            end(state, *id, row, &mut plan);
        }
    }
    plan
}

fn end(state: &State, id: InstanceId, row: &InstanceRow, plan: &mut ControllerPlan) {
    let left = state.tasks_of_instance(id).filter(|task| task.desired_running);
    let tasks: Vec<_> = left.filter_map(|task| task.id).take(TASKS_PER_PASS).collect();
    if !tasks.is_empty() {
        plan.say(format_args!("stop {} tasks of the reclaimed instance {id}", tasks.len()));
        plan.commands.push(command::Kind::StopTasks(StopTasks {
            tasks,
            code: StopCode::SpotInterruption.into(),
            reason: REASON.to_owned(),
            ..StopTasks::default()
        }));
    }
    // An agent that still answers would register again at once, as an instance that takes tasks.
    if !row.connected && row.disconnected_at_ms != 0 {
        plan.say(format_args!("the reclaimed instance {id} is gone"));
        let gone = DeregisterInstance { instance_id: id.0, force: true, forgotten: true };
        plan.commands.push(command::Kind::DeregisterInstance(gone));
    }
}
