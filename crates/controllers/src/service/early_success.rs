//! `earlySuccessCriteria`: a rollout counts as done once enough tasks are healthy.
//!
//! The rest of the new tasks start as ever. DEFERRED completes the deployment at once, and what it replaces goes as ever.
//! BLOCKING completes it when that has gone: it is not needed any more, and goes within the minimum.

use seawall_proto::v1::DeploymentEarlySuccessCriteria;

use super::view::{Condition, View};

/// What the source revisions' tasks mean for completion.
const DEFERRED: &str = "DEFERRED";

/// Whether the tasks of older deployments are to go for that of the primary to be complete.
pub(crate) fn needs_no_others(view: &View<'_>) -> bool {
    is_met(view) && cleanup(view) != DEFERRED
}

/// Whether enough tasks of the primary deployment are healthy. False where nobody asked for it.
fn is_met(view: &View<'_>) -> bool {
    let healthy = view.good.iter().filter(|m| m.condition == Condition::Healthy).count();
    percent(view).is_some_and(|percent| healthy >= (view.desired() * percent).div_ceil(100))
}

/// Whether the deployment is complete, `others` saying that tasks of older ones are left.
pub(crate) fn is_complete(view: &View<'_>, others: bool) -> bool {
    is_met(view) && (!others || cleanup(view) == DEFERRED)
}

fn percent(view: &View<'_>) -> Option<usize> {
    let asked = criteria(view).filter(|asked| asked.enable())?;
    asked.healthy_percent.and_then(|percent| usize::try_from(percent).ok())
}

fn cleanup<'a>(view: &View<'a>) -> &'a str {
    criteria(view).map_or("", |asked| asked.source_service_revision_cleanup())
}

fn criteria<'a>(view: &View<'a>) -> Option<&'a DeploymentEarlySuccessCriteria> {
    view.service.spec.as_ref()?.deployment_configuration.as_ref()?.early_success_criteria.as_ref()
}
