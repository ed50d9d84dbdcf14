//! The deployment circuit breaker: gives up a rollout whose tasks fail, and goes back where it is asked to.
//!
//! It watches the primary deployment until that is COMPLETED. A task fails that never runs, that stops by itself soon after it
//! did, or that is stopped for its health checks; tasks that find no place do not, for a zone that is lost is no fault of the
//! new revision. A rollback is not watched: there is nothing left to go back to, so it goes on trying.

use seawall_proto::internal::v1::{DeploymentFailure, DeploymentReturn, RolloutState, ServiceEventCode};
use seawall_state::CircuitBreaker;

use super::{
    step::Step,
    view::{Condition, View},
};
use crate::ControllerPlan;

/// The breaker that watches the service's rollout, if one does.
pub(crate) fn watching(view: &View<'_>) -> Option<CircuitBreaker> {
    let primary = view.primary;
    let is_watched =
        primary.rollout_state() == RolloutState::InProgress && primary.returned() == DeploymentReturn::None;
    CircuitBreaker::of(view.service.spec.as_ref()).filter(|_| is_watched)
}

/// Whether the primary deployment was given up.
pub(crate) fn has_tripped(view: &View<'_>) -> bool {
    view.primary.rollout_state() == RolloutState::Failed
}

/// Forgives failures once a task is healthy; at the threshold gives the deployment up. True in the pass that does.
pub(crate) fn judge(view: &View<'_>, step: &mut Step, plan: &mut ControllerPlan) -> bool {
    let Some(breaker) = watching(view) else { return false };
    wake_for_proof(view, plan);
    let threshold = breaker.threshold(view.desired() as u32);
    let is_healthy = view.good.iter().any(|m| m.condition == Condition::Healthy);
    let Some(primary) = step.deployments.iter_mut().find(|d| d.primary) else { return false };
    if breaker.reset_on_healthy_task && is_healthy {
        primary.breaker_failures = 0;
    }
    if primary.breaker_failures < threshold {
        return false;
    }
    primary.set_rollout_state(RolloutState::Failed);
    primary.set_failure(DeploymentFailure::CircuitBreaker);
    primary.updated_at_ms = view.now.cluster_time_ms;
    let failures = primary.breaker_failures;
    step.event(view, ServiceEventCode::DeploymentFailed, failures, String::new());
    if breaker.rollback
        && let Some(target) = view.state.rollback_target(view.service)
    {
        step.rolling_back(view, target.id);
    }
    true
}

/// Tasks that run and have not run for long enough become healthy without anybody saying so.
fn wake_for_proof(view: &View<'_>, plan: &mut ControllerPlan) {
    let young = view.good.iter().filter(|m| m.condition == Condition::Starting);
    let due = young.map(|m| view.proven_at_ms(m.task)).filter(|at| *at > view.now.cluster_time_ms).min();
    if let Some(due_ms) = due {
        plan.wake(due_ms);
    }
}
