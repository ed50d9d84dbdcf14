//! Deployments' progress, and steady state.

use seawall_model::DeploymentId;
use seawall_proto::internal::v1::{RolloutState, ServiceEventCode};

use super::{
    backoff, early_success,
    step::Step,
    view::{Condition, View},
};
use crate::ControllerPlan;

/// Lets old deployments leave when their last task stopped, completes the primary, and notes steady state.
///
/// An old deployment whose last tasks are on silent instances keeps its place in the list, for those tasks are not known to
/// have stopped; but nothing waits for them, so the rollout completes.
pub(crate) fn advance(view: &View<'_>, step: &mut Step, plan: &mut ControllerPlan) {
    let live = |id| view.state.deployment_counts(view.id(), DeploymentId(id)).live > 0;
    step.deployments.retain(|d| d.primary || view.has_tasks(d.id) || live(d.id));
    let others = step.deployments.iter().any(|d| !d.primary && view.has_tasks(d.id));
    let healthy = view.good.iter().filter(|m| m.condition == Condition::Healthy).count();
    let full = healthy == view.desired() && view.good.len() == view.desired();
    if (full && !others) || early_success::is_complete(view, others) {
        complete(view, step);
    }
    let moving = view.outgoing.len() + view.leaving.len() + view.to_replace().len() + view.proposed as usize;
    step.steady = full && !others && moving == 0 && !step.rebalancing;
    if !step.steady {
        return;
    }
    if !view.service.steady {
        step.event(view, ServiceEventCode::SteadyState, 0, String::new());
    }
    backoff::forgive(view, step, plan);
}

fn complete(view: &View<'_>, step: &mut Step) {
    let primary = step.deployments.iter_mut().find(|d| d.primary && d.rollout_state() == RolloutState::InProgress);
    let Some(primary) = primary else { return };
    primary.set_rollout_state(RolloutState::Completed);
    primary.updated_at_ms = view.now.cluster_time_ms;
    step.event(view, ServiceEventCode::DeploymentCompleted, 0, String::new());
}
