//! A deleted service drains: all its tasks stop, then it is INACTIVE.
//!
//! Those on silent instances are waited for: until their instance returns or is forgotten nobody knows that they stopped,
//! and a new service of the same name would run beside them.

use super::{Stops, events, step::Step, stop_tasks, view::View};
use crate::ControllerPlan;

/// Stops what runs; when nothing is left, ends the service.
pub(crate) fn plan(view: &View<'_>) -> ControllerPlan {
    let mut plan = ControllerPlan::default();
    let scaling: Vec<_> = view.members().map(|m| m.task).chain(view.lingering.iter().copied()).collect();
    let unreachable = view.unreachable.clone();
    stop_tasks(view, Stops { scaling, unreachable, ..Stops::default() }, &mut plan);
    let mut step = Step::new(view);
    events::started_and_stopped(view, &mut step);
    step.finish_delete = view.state.service_counts(view.id()).live == 0 && view.proposed + view.proposed_old == 0;
    step.finish(view, &mut plan);
    plan
}
