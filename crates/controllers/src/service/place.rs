//! Starting tasks: asks the planner and turns its plan into a command.

use seawall_model::InstanceId;
use seawall_proto::{
    internal::v1::{PlaceAsk, PlaceTasks, ServiceEventCode, TaskDefinitionRow, command},
    v1::Tag,
};
use seawall_scheduler::{PlaceRequest, Plan, ask, is_same_obstacle};
use seawall_state::service_group;

use super::{PLACEMENTS_PER_PASS, RETRY_MS, step::Step, view::View};
use crate::ControllerPlan;

/// Proposes up to `count` placements; how many of them found no instance.
pub(crate) fn place(view: &View<'_>, count: usize, step: &mut Step, plan: &mut ControllerPlan) -> usize {
    if count == 0 {
        if view.good.len() + view.proposed as usize >= view.desired() {
            step.unplaced_reason.clear();
        }
        return 0;
    }
    let now = (count as u32).min(PLACEMENTS_PER_PASS);
    let Some((definition, request)) = request(view, now, step) else { return count };
    let placed = view.fleet.place_again(&request);
    let unplaced = now as usize - placed.placements.len();
    // Where some find no place the rest would not either: to look again at once would be for ever.
    if (now as usize) < count && unplaced == 0 {
        plan.wake(view.now.cluster_time_ms);
    }
    note_unplaced(view, &placed, unplaced, step, plan);
    propose(view, definition, &request, placed, plan);
    unplaced
}

/// Proposes one on each of the instances that has the room; how many.
pub(crate) fn place_on_each(view: &View<'_>, on: &[InstanceId], step: &mut Step, plan: &mut ControllerPlan) -> usize {
    let Some((definition, request)) = request(view, on.len() as u32, step) else { return 0 };
    let mut placed = seawall_scheduler::place_on_each(view.state, view.overlay, &request, on);
    note_unplaced(view, &placed, on.len() - placed.placements.len(), step, plan);
    let mut now = on.to_vec();
    if placed.placements.len() > PLACEMENTS_PER_PASS as usize {
        plan.wake(view.now.cluster_time_ms);
        // By themselves, as they are decided again from what they were asked for.
        now = placed.placements.iter().take(PLACEMENTS_PER_PASS as usize).map(|p| p.instance).collect();
        placed = seawall_scheduler::place_on_each(view.state, view.overlay, &request, &now);
    }
    let count = placed.placements.len();
    if count > 0 {
        let ask = PlaceAsk { on: now.iter().map(|id| id.0).collect(), ..ask(request.count, view.now.fargate) };
        propose_as(view, definition, &request, ask, placed, plan);
    }
    count
}

/// Proposes one if the planner would put it into a zone that is `wanted`; which.
pub(crate) fn place_one<'a>(
    view: &View<'a>,
    wanted: impl FnOnce(&str) -> bool,
    step: &mut Step,
    plan: &mut ControllerPlan,
) -> Option<&'a str> {
    let (definition, request) = request(view, 1, step)?;
    let placed = view.fleet.place(&request);
    let zone = &view.state.instances.get(&placed.placements.first()?.instance)?.zone;
    if !wanted(zone) {
        return None;
    }
    propose(view, definition, &request, placed, plan);
    Some(zone)
}

/// Proposes one on the instance of the zone that the planner would take, if it is `wanted`; which.
pub(crate) fn place_near(
    view: &View<'_>,
    zone: Option<&str>,
    wanted: impl FnOnce(InstanceId) -> bool,
    step: &mut Step,
    plan: &mut ControllerPlan,
) -> Option<InstanceId> {
    let (definition, request) = request(view, 1, step)?;
    let placed = view.fleet.place_near(&request, zone)?;
    let instance = placed.placements.first()?.instance;
    if !wanted(instance) {
        return None;
    }
    let ask = PlaceAsk { near: Some(zone.unwrap_or_default().to_owned()), ..ask(1, view.now.fargate) };
    propose_as(view, definition, &request, ask, placed, plan);
    Some(instance)
}

/// What the planner is asked: so many tasks of the primary deployment. Where that makes no request, the service says why.
fn request<'a>(view: &View<'a>, count: u32, step: &mut Step) -> Option<(&'a TaskDefinitionRow, PlaceRequest)> {
    match view.request(count) {
        Ok(request) => Some((view.definition()?, request)),
        Err(why) => {
            cannot_be_asked(view, count, why, step);
            None
        }
    }
}

fn propose(
    view: &View<'_>,
    definition: &TaskDefinitionRow,
    request: &PlaceRequest,
    placed: Plan,
    plan: &mut ControllerPlan,
) {
    if !placed.placements.is_empty() {
        propose_as(view, definition, request, ask(request.count, view.now.fargate), placed, plan);
    }
}

fn propose_as(
    view: &View<'_>,
    definition: &TaskDefinitionRow,
    request: &PlaceRequest,
    ask: PlaceAsk,
    placed: Plan,
    plan: &mut ControllerPlan,
) {
    for placement in &placed.placements {
        plan.say(format_args!(
            "start one of deployment {} on {}: {}",
            view.primary.id, placement.instance, placement.note
        ));
    }
    let decision = Some(request.decision(&placed));
    let command = PlaceTasks { decision, ask: Some(ask), ..command(view, definition, placed) };
    plan.commands.push(command::Kind::PlaceTasks(command));
}

/// What it asks for was checked when it was taken: another version of the checks is at work.
fn cannot_be_asked(view: &View<'_>, count: u32, why: String, step: &mut Step) {
    if step.unplaced_reason != why {
        step.event(view, ServiceEventCode::UnableToPlace, count, why.clone());
        step.unplaced_reason = why;
    }
}

/// The event comes once, and again when another filter is in the way.
fn note_unplaced(view: &View<'_>, placed: &Plan, unplaced: usize, step: &mut Step, plan: &mut ControllerPlan) {
    let Some(closest) = &placed.closest else { return step.unplaced_reason.clear() };
    plan.wake(view.now.cluster_time_ms.saturating_add(RETRY_MS));
    if !is_same_obstacle(closest, &step.unplaced_reason) {
        step.event(view, ServiceEventCode::UnableToPlace, unplaced as u32, closest.clone());
        step.unplaced_reason.clone_from(closest);
        step.unplaced_left_out = placed.obstacles();
    }
}

fn command(view: &View<'_>, definition: &TaskDefinitionRow, placed: Plan) -> PlaceTasks {
    let spec = view.service.spec.as_ref();
    PlaceTasks {
        cluster_id: view.service.cluster_id,
        task_definition_id: view.primary.task_definition_id,
        service_id: view.service.id,
        deployment_id: view.primary.id,
        service_version: view.service.changed,
        base: None,
        placements: placed.placements.into_iter().map(Into::into).collect(),
        group: service_group(&view.service.name),
        started_by: format!("ecs-svc/{}", view.primary.id),
        overrides: None,
        tags: propagated_tags(view, definition),
        launch_type: spec.and_then(|s| s.launch_type.clone()).unwrap_or_else(|| "EC2".into()),
        network_configuration: spec.and_then(|s| s.network_configuration.clone()),
        chosen: false,
        partial: true,
        // What is on its way is applied before; refused ones make it fewer, which is no harm.
        wanted_before: view.wanted + view.proposed + view.proposed_old + 1,
        // What the service lacks is in its row.
        failures: Vec::new(),
        ..PlaceTasks::default()
    }
}

fn propagated_tags(view: &View<'_>, definition: &TaskDefinitionRow) -> Vec<Tag> {
    match view.service.spec.as_ref().and_then(|s| s.propagate_tags.as_deref()) {
        Some("SERVICE") => view.service.tags.clone(),
        Some("TASK_DEFINITION") => definition.tags.clone(),
        _ => Vec::new(),
    }
}
