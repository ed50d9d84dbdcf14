//! Why a service, task or instance is as it is: plain sentences, and the planner's verdict on every instance.

use seawall_model::{
    ApiError, ClusterId, ErrorCode, InstanceId, JobId, LossPolicy, ServiceId, TaskDefinitionId,
    limits::{GUARD_LEASE_MS, GUARD_STOP_MS},
    own_tags::PRIORITY_DEFAULT,
};
use seawall_proto::{
    internal::v1::{DecisionRow, HistoryRow, InstanceRow, ServiceRow, TaskRow, TaskStatus},
    v1::{ExplainRequest, ExplainResponse, FilterCount, InstanceVerdict},
};
use seawall_scheduler::{
    Constraints, Explanation, Fargate, Overlay, PlaceRequest, Pool, Requirement, Room, VICTIMS_MAX, effective_size,
    is_fargate,
};
use seawall_state::State;

use crate::{render, resolve};

#[cfg(test)]
mod tests;

/// Reasons named in one summary.
const REASONS_MAX: usize = 3;

/// Explains whatever is named in the cluster: a service, a task or an instance, in this order.
pub(crate) fn explain(state: &State, ask: &ExplainRequest, fargate: Fargate) -> Result<ExplainResponse, ApiError> {
    let cluster = resolve::cluster(state, ask.cluster.as_deref())?;
    let name = ask.resource.as_str();
    if let Some(service) = resolve::service(state, cluster, name) {
        return Ok(explain_service(state, &service, fargate));
    }
    if let Some(task) = resolve::task(state, cluster, name)? {
        let decision = task.id.as_ref().and_then(|id| state.decision_of(seawall_state::task_id(id)));
        let now = if ask.all || task.waiting.is_some() { as_it_is_now(state, &task, fargate) } else { None };
        return explain_task(state, &task, decision.map(AsRef::as_ref), now);
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
    if !row.unplaced_left_out.is_empty() {
        let left_out = render::decision::left_out_in_words(&row.unplaced_left_out);
        summary.push(format!("when that was first said instances were left out so: {left_out}"));
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

/// A task that has left the state.
///
/// # Errors
/// The record does not hold one.
pub(crate) fn explain_retired(state: &State, record: &HistoryRow) -> Result<ExplainResponse, ApiError> {
    let task = render::history::task_row(record)?;
    let decision = record.task.as_ref().and_then(|seen| seen.decision.as_ref());
    explain_task(state, &task, decision, None)
}

/// What every instance says to one more task like this now. Of a standalone one: as its definition asks, since what its call asked
/// is not kept.
fn as_it_is_now(state: &State, task: &TaskRow, fargate: Fargate) -> Option<Explanation> {
    let none = Overlay::default();
    if task.waiting.is_some() {
        let request = PlaceRequest::of_waiting(state, task, fargate).ok()?;
        return Some(seawall_scheduler::explain(state, &none, &request));
    }
    let definition = TaskDefinitionId(task.task_definition_id);
    let request = match (state.services.get(&ServiceId(task.service_id)), state.jobs.get(&JobId(task.job_id))) {
        (Some(row), _) => PlaceRequest::of_service(state, &none, row, definition, 1, fargate).ok()?,
        (None, Some(job)) => PlaceRequest::of_job(state, job, 1, fargate).ok()?,
        (None, None) => {
            let definition = state.task_definitions.get(&definition)?;
            let cluster = ClusterId(task.cluster_id);
            let launch = if task.capacity_provider.is_empty() { &task.launch_type } else { &task.capacity_provider };
            let requirement = Requirement {
                size: effective_size(definition, task.overrides.as_ref()).ok()?,
                constraints: Constraints::of(definition, &[]).ok()?,
                pool: Pool::of_launch_type(state, cluster, launch, fargate),
            };
            PlaceRequest::of_group(cluster, &task.group, requirement, 1)
        }
    };
    Some(seawall_scheduler::explain(state, &none, &request))
}

fn explain_task(
    state: &State,
    task: &TaskRow,
    decision: Option<&DecisionRow>,
    now: Option<Explanation>,
) -> Result<ExplainResponse, ApiError> {
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
    let recorded = decision.map(|row| Ok::<_, ApiError>((row, render::decision::decoded(row)?))).transpose()?;
    if let Some((row, recorded)) = &recorded {
        summary.extend(render::decision::in_words(row, recorded));
    }
    let instance = state.instances.get(&InstanceId(task.instance_id));
    // The task does not name it.
    if let Some(row) = instance.filter(|row| is_live(task) && is_fargate(&row.capacity_provider)) {
        summary.push(format!("it stands on the instance {} of {}", row.ec2_instance_id, row.capacity_provider));
    }
    if task.reclaim_at_ms != 0 && is_live(task) {
        summary.push("its spot capacity is reclaimed: it is interrupted when the notice is over".into());
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
    let now = match task.waiting {
        None => now,
        Some(_) => {
            summary.push(format!("it waits for room of the capacity provider {}", task.capacity_provider));
            let closest = now.as_ref().and_then(|now| now.closest.clone());
            summary.extend(closest.map(|closest| format!("it fits nowhere now. {closest}")));
            now.map(|now| Explanation { closest: None, ..now })
        }
    };
    let on = InstanceId(task.instance_id);
    let decision = recorded.map(|(row, recorded)| render::decision::render(state, row, &recorded, on));
    Ok(ExplainResponse { decision, ..response(state, summary, now) })
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
        decision: None,
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
