//! The deployment circuit breaker: gives up a rollout whose tasks fail, and goes back where it is asked to.
//!
//! Unless the service says at how many failures, it gives up earlier where the last [`ALIKE`] tasks ended alike and none is
//! healthy: what crashes three times with the same exit code crashes for ever.
//!
//! It watches the primary deployment until that is COMPLETED. A task fails that never runs, that stops by itself soon after it
//! did, or that is stopped for its health checks; tasks that find no place do not, for a zone that is lost is no fault of the
//! new revision. A rollback is not watched: there is nothing left to go back to, so it goes on trying.

use seawall_proto::internal::v1::{DeploymentFailure, DeploymentReturn, RolloutState, ServiceEventCode, TaskRow};
use seawall_state::CircuitBreaker;

use super::{
    backoff,
    step::Step,
    view::{Condition, View},
};

/// Tasks that ended alike are a crash loop.
pub const ALIKE: usize = 3;

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
pub(crate) fn judge(view: &View<'_>, step: &mut Step) -> bool {
    let Some(breaker) = watching(view) else { return false };
    let threshold = breaker.threshold(view.desired() as u32);
    let is_healthy = view.good.iter().any(|m| m.condition == Condition::Healthy);
    let Some(primary) = step.deployments.iter_mut().find(|d| d.primary) else { return false };
    if breaker.reset_on_healthy_task && is_healthy {
        primary.breaker_failures = 0;
    }
    let failures = primary.breaker_failures;
    let is_crash_loop = breaker.looks_for_crash_loops && !is_healthy && failures >= ALIKE as u32;
    let alike = if is_crash_loop { ended_alike(view) } else { None };
    if failures < threshold && alike.is_none() {
        return false;
    }
    primary.set_rollout_state(RolloutState::Failed);
    primary.set_failure(DeploymentFailure::CircuitBreaker);
    primary.updated_at_ms = view.now.cluster_time_ms;
    step.event(view, ServiceEventCode::DeploymentFailed, failures, alike.unwrap_or_default());
    if breaker.rollback
        && let Some(target) = view.state.rollback_target(view.service)
    {
        step.rolling_back(view, target.id);
    }
    true
}

/// How the last tasks of the primary deployment ended that ended by themselves, where all did alike. Not where all were on one
/// instance, which may be what is sick, while others of the deployment are about to run.
fn ended_alike(view: &View<'_>) -> Option<String> {
    let mut ended: Vec<&TaskRow> =
        view.stopped.iter().copied().filter(|t| t.deployment_id == view.primary.id).collect();
    ended.retain(|task| backoff::ended_by_itself(task));
    ended.sort_by_key(|task| std::cmp::Reverse(task.changed));
    let last = ended.get(..ALIKE)?;
    let signature = signature(view, last[0])?;
    let is_one_instance = last.iter().all(|task| task.instance_id == last[0].instance_id) && !view.good.is_empty();
    let is_alike = last.iter().all(|task| self::signature(view, task).as_ref() == Some(&signature));
    (is_alike && !is_one_instance).then_some(signature)
}

/// "exit code 1 of container web", else the reason.
fn signature(view: &View<'_>, task: &TaskRow) -> Option<String> {
    let exits = || task.containers.iter().zip(0..).filter_map(|(row, place)| Some((row.exit_code?, place)));
    let exit = exits().find(|(code, _)| *code != 0).or_else(|| exits().next());
    if let Some((code, place)) = exit {
        return Some(format!("exit code {code} of container {}", container_name(view, place)));
    }
    let reasons = task.containers.iter().map(|row| &row.reason).chain([&task.stopped_reason]);
    reasons.into_iter().find(|reason| !reason.is_empty()).cloned()
}

fn container_name<'a>(view: &View<'a>, place: usize) -> &'a str {
    let containers = view.definition().and_then(|row| row.definition.as_ref()).map(|d| &d.container_definitions);
    containers.and_then(|all| all.get(place)).map_or("", |container| container.name())
}
