//! Why a service, task or instance is as it is: plain sentences, and the planner's verdict on every instance.

use seawall_model::{
    ApiError, ClusterId, ErrorCode, InstanceId, LossPolicy, ServiceId, TaskDefinitionId,
    limits::{GUARD_LEASE_MS, GUARD_STOP_MS},
    own_tags::PRIORITY_DEFAULT,
};
use seawall_proto::{
    internal::v1::{InstanceRow, ServiceRow, TaskRow, TaskStatus},
    v1::{ExplainResponse, FilterCount, InstanceVerdict},
};
use seawall_scheduler::{Explanation, Fargate, Overlay, PlaceRequest, Room, VICTIMS_MAX};
use seawall_state::State;

use crate::{render, resolve};

#[cfg(test)]
mod tests;

/// Reasons named in one summary.
const REASONS_MAX: usize = 3;

/// Explains whatever `name` names in the cluster: a service, a task or an instance, in this order.
pub(crate) fn explain(
    state: &State,
    cluster: Option<&str>,
    name: &str,
    fargate: Fargate,
) -> Result<ExplainResponse, ApiError> {
    let cluster = resolve::cluster(state, cluster)?;
    if let Some(service) = resolve::service(state, cluster, name) {
        return Ok(explain_service(state, &service, fargate));
    }
    if let Some(task) = resolve::task(state, cluster, name)? {
        return Ok(explain_task(state, &task));
    }
    if let Some(instance) = resolve::instance(state, cluster, name)? {
        return Ok(explain_instance(state, &instance));
    }
    let names: Vec<String> = state.services_of(cluster).map(|row| row.name.clone()).collect();
    let nearest = seawall_model::nearest(name, names.iter().map(String::as_str), 3).join(", ");
    let hint = if nearest.is_empty() { String::new() } else { format!(" (services: {nearest})") };
    Err(ApiError::new(ErrorCode::ResourceNotFound, format!("no service, task or instance is called {name}{hint}")))
}

fn explain_service(state: &State, row: &ServiceRow, fargate: Fargate) -> ExplainResponse {
    let id = ServiceId(row.id);
    let counts = state.service_counts(id);
    let name = &row.name;
    let mut summary = vec![format!(
        "service {name}: {} of {} running, {} pending",
        counts.running, row.desired_count, counts.pending
    )];
    if let Some(priority) = seawall_state::priority_said(&row.tags) {
        summary.push(format!(
            "its priority is {priority}; what has none has {PRIORITY_DEFAULT}, and the higher comes first"
        ));
    }
    if !row.unplaced_reason.is_empty() {
        summary.push(row.unplaced_reason.clone());
    }
    if let Some(backoff) = row.backoff.as_ref().filter(|b| b.failures > 0) {
        summary.push(format!(
            "{} tasks in a row stopped without having run; the last: {}",
            backoff.failures, backoff.last_reason
        ));
    }
    let lost = state.tasks_of_service(id).filter(|t| t.unreachable_since_ms != 0 && is_live(t)).count();
    if lost > 0 {
        summary.push(format!("{lost} tasks stand on instances that do not answer"));
    }
    summary.extend(what_is_waited_for(state, row));
    let mut stopped: Vec<_> = state.tasks_of_service(id).filter(|t| !is_live(t)).collect();
    stopped.sort_by_key(|t| std::cmp::Reverse(t.stopped_at_ms));
    for task in stopped.iter().take(REASONS_MAX) {
        summary.push(format!("task {} stopped: {}", render::task::id(task), reason_of(task)));
    }
    let explanation = seawall_state::primary_deployment(row).and_then(|(_, definition)| {
        let none = Overlay::default();
        let request = PlaceRequest::of_service(state, &none, row, definition, 1, fargate).ok()?;
        let explained = seawall_scheduler::explain(state, &none, &request);
        let says_class = seawall_state::priority_said(&row.tags).is_some();
        let may = says_class || state.has_lower_class(request.cluster, request.priority);
        if explained.closest.is_some() && may && !seawall_state::is_daemon(row) {
            let room = Room { tasks: 1, victims: VICTIMS_MAX, now_ms: state.meta.cluster_time_ms };
            summary.push(seawall_scheduler::preempt(state, &none, &request, room).says(state));
        }
        // A daemon looks for no place for one more: what it lacks is said above.
        let closest = explained.closest.filter(|_| !seawall_state::is_daemon(row));
        Some(Explanation { closest, ..explained })
    });
    response(state, summary, explanation)
}

/// What the service's loss policy makes of tasks that do not answer.
fn what_is_waited_for(state: &State, row: &ServiceRow) -> Vec<String> {
    let policy = seawall_state::loss_policy(row);
    let tasks = state.live_tasks_of_service(ServiceId(row.id));
    let silent = tasks.filter(|task| task.unreachable_since_ms != 0).take(REASONS_MAX);
    silent.filter_map(|task| waits_for(state, policy, task)).collect()
}

fn waits_for(state: &State, policy: LossPolicy, task: &TaskRow) -> Option<String> {
    let instance = state.instances.get(&InstanceId(task.instance_id));
    let on = instance.map_or("an instance that was deregistered", |row| &row.ec2_instance_id);
    let id = render::task::id(task);
    match policy {
        LossPolicy::Replace { after_s: 0 } => None,
        LossPolicy::Replace { after_s } => {
            let silent_s = (state.meta.cluster_time_ms - task.unreachable_since_ms) / 1000;
            Some(format!(
                "loss policy replace-after: task {id} on {on} is waited for, for {after_s} s; {silent_s} s ago it was lost"
            ))
        }
        LossPolicy::Keep => Some(format!("loss policy keep: task {id} on {on} stays wanted until another is healthy")),
        LossPolicy::AtMostOne => Some(format!(
            "loss policy at-most-one: another task waits until its guard has surely ended task {id}, which may still run on {on}: \
             {} s after its agent's last grant, or after an election",
            (GUARD_LEASE_MS + GUARD_LEASE_MS / 10 + GUARD_STOP_MS).div_ceil(1000)
        )),
    }
}

fn explain_task(state: &State, task: &TaskRow) -> ExplainResponse {
    let mut summary = vec![format!(
        "task {} is {}, wanted {}",
        render::task::id(task),
        render::task::status(task.last_status),
        if task.desired_running { "RUNNING" } else { "STOPPED" }
    )];
    if let Some(priority) = seawall_state::priority_said(&task.tags).filter(|_| task.service_id == 0) {
        summary.push(format!(
            "its priority is {priority}; what has none has {PRIORITY_DEFAULT}, and the higher comes first"
        ));
    }
    if task.fencing_token != 0 {
        summary.push(format!(
            "its fencing token is {}: that of a task of the service after it is larger",
            task.fencing_token
        ));
    }
    if !task.placement_note.is_empty() {
        summary.push(format!("placed: {}", task.placement_note));
    }
    if !is_live(task) {
        summary.push(format!("stopped: {}", reason_of(task)));
    }
    if task.unreachable_since_ms != 0 {
        summary.push("its instance does not answer: the task may still run there".into());
    }
    for (container, ordinal) in task.containers.iter().zip(0..).filter(|(c, _)| !c.reason.is_empty()) {
        summary.push(format!("container {}: {}", container_name(state, task, ordinal), container.reason));
    }
    response(state, summary, None)
}

fn explain_instance(state: &State, row: &InstanceRow) -> ExplainResponse {
    let id = InstanceId(row.id);
    let counts = state.instance_counts(id);
    let usage = state.usage(id).cloned().unwrap_or_default();
    let registered = row.registered.clone().unwrap_or_default();
    let connected = if row.connected { "connected" } else { "not connected" };
    let mut summary = vec![
        format!(
            "instance {} in zone {} is {}, its agent is {connected}",
            row.ec2_instance_id,
            row.zone,
            render::instance::status(row.status)
        ),
        format!(
            "{} of {} CPU units and {} of {} MiB are taken by {} running and {} pending tasks",
            usage.cpu, registered.cpu, usage.memory, registered.memory, counts.running, counts.pending
        ),
    ];
    if !row.status_reason.is_empty() {
        summary.push(row.status_reason.clone());
    }
    response(state, summary, None)
}

fn is_live(task: &TaskRow) -> bool {
    task.last_status() != TaskStatus::Stopped
}

fn reason_of(task: &TaskRow) -> String {
    let container = task.containers.iter().find(|c| !c.reason.is_empty()).map(|c| c.reason.as_str());
    match (task.stopped_reason.as_str(), container) {
        ("", None) => "no reason was reported".into(),
        ("", Some(reason)) => reason.into(),
        (reason, Some(container)) if reason.contains(container) => reason.into(),
        (reason, None) => reason.into(),
        (reason, Some(container)) => format!("{reason} ({container})"),
    }
}

fn container_name(state: &State, task: &TaskRow, ordinal: usize) -> String {
    let definition = state.task_definitions.get(&TaskDefinitionId(task.task_definition_id));
    let containers = definition.and_then(|row| row.definition.as_ref()).map(|d| d.container_definitions.as_slice());
    containers.and_then(|all| all.get(ordinal)?.name.clone()).unwrap_or_default()
}

fn response(state: &State, mut summary: Vec<String>, explanation: Option<Explanation>) -> ExplainResponse {
    let Some(explanation) = explanation else { return ExplainResponse { summary, ..Default::default() } };
    summary.extend(explanation.closest.iter().map(|closest| format!("one more task fits nowhere now. {closest}")));
    ExplainResponse {
        summary,
        filters: explanation
            .counts
            .iter()
            .map(|c| FilterCount {
                filter: c.filter.into(),
                instances: c.instances,
                detail: explanation.lacking.get(c.filter).cloned().unwrap_or_default(),
            })
            .collect(),
        instances: explanation.instances.iter().filter_map(|i| verdict(state, i)).collect(),
        next: String::new(),
    }
}

fn verdict(state: &State, of: &seawall_scheduler::InstanceExplanation) -> Option<InstanceVerdict> {
    let row = state.instances.get(&of.instance)?;
    let cluster = state.clusters.get(&ClusterId(row.cluster_id))?;
    let (reason, detail) = of.left_out.clone().unwrap_or_default();
    Some(InstanceVerdict {
        container_instance_arn: state
            .arns()
            .instance(&cluster.name, seawall_model::Id128::from_halves(row.arn_hi, row.arn_lo)),
        ec2_instance_id: row.ec2_instance_id.clone(),
        zone: of.zone.clone(),
        fits: of.left_out.is_none(),
        reason: reason.into(),
        detail,
        service_tasks_in_zone: of.zone_tasks,
        service_tasks_on_instance: of.instance_tasks,
    })
}
