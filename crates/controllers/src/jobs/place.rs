//! Starting tasks: asks the planner and turns its plan into a command.

use seawall_proto::internal::v1::{JobStep, PlaceTasks, command};
use seawall_scheduler::{PlaceRequest, ask, is_same_obstacle};

use super::{RETRY_MS, TASKS_PER_PASS, view::View};
use crate::ControllerPlan;

/// Who started a job's tasks, before its name.
const STARTED_BY: &str = "job/";

/// Proposes up to `count` placements.
///
/// # Errors
/// Why no task of it can ever run.
pub(crate) fn place(view: &View<'_>, count: usize, plan: &mut ControllerPlan) -> Result<(), String> {
    if count == 0 {
        note_unplaced(view, "", Vec::new(), plan);
        return Ok(());
    }
    let now = count.min(TASKS_PER_PASS);
    let request = PlaceRequest::of_job(view.fleet.state(), view.job, now as u32, view.now.fargate)?;
    let placed = view.fleet.place_again(&request);
    match placed.closest {
        Some(_) => plan.wake(view.now.cluster_time_ms.saturating_add(RETRY_MS)),
        None if now < count => plan.wake(view.now.cluster_time_ms),
        None => {}
    }
    for placement in &placed.placements {
        plan.say(format_args!("start one on {}: {}", placement.instance, placement.note));
    }
    let left_out = placed.obstacles();
    if !placed.placements.is_empty() {
        let decision = Some(request.decision(&placed));
        let template = view.job.template.clone().unwrap_or_default();
        plan.commands.push(command::Kind::PlaceTasks(PlaceTasks {
            cluster_id: view.job.cluster_id,
            task_definition_id: view.job.task_definition_id,
            job_id: view.job.id,
            placements: placed.placements.into_iter().map(Into::into).collect(),
            group: request.group,
            started_by: format!("{STARTED_BY}{}", view.job.name),
            launch_type: template.launch_type().to_owned(),
            overrides: template.overrides,
            tags: template.tags,
            network_configuration: template.network_configuration,
            partial: true,
            decision,
            ask: Some(ask(now as u32, view.now.fargate)),
            ..PlaceTasks::default()
        }));
    }
    note_unplaced(view, placed.closest.as_deref().unwrap_or_default(), left_out, plan);
    Ok(())
}

/// Said once, and again when another filter is in the way. Last in the plan: it raises the job's version.
fn note_unplaced(view: &View<'_>, closest: &str, left_out: Vec<u32>, plan: &mut ControllerPlan) {
    if is_same_obstacle(closest, &view.job.unplaced_reason) {
        return;
    }
    plan.say(format_args!("unplaced: {closest:?}"));
    plan.commands.push(command::Kind::JobStep(JobStep {
        unplaced_reason: Some(closest.to_owned()),
        unplaced_left_out: left_out,
        ..view.step()
    }));
}
