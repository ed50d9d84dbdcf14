//! The planner's placements, checked again: no instance is overcommitted at any index, however stale the plan was.

use std::collections::BTreeMap;

use prost::Message;
use seawall_model::{ApiError, ClusterId, DeploymentId, ErrorCode, Id128, InstanceId, ServiceId};
use seawall_proto::internal::v1::{
    Decision, DecisionRow, InstanceRow, InstanceStatus, PlaceTasks, Placed, ServiceRow, ServiceStatusCode,
    TaskDefinitionRow, TaskDefinitionStatus, TaskRow, TaskSize, TaskStatus, place_tasks::Placement, reply,
};

use super::{
    Apply, Outcome, Rejection,
    refusal::{checked_tags, cut, definition_inactive},
};
use crate::{
    DECISION_BYTES_MAX, PLACEMENTS_MAX, Usage, effective_size, fixed_ports, has_guard, is_at_most_one, service_group,
    task_id, task_id_message,
};

const NOTE_BYTES_MAX: usize = 200;

/// What earlier placements of this command took of an instance.
#[derive(Default)]
pub(super) struct Taken {
    cpu: u32,
    memory: u32,
    tasks: u32,
}

impl Apply<'_> {
    pub(super) fn place_tasks(&mut self, it: &PlaceTasks) -> Outcome {
        self.active_cluster(it.cluster_id)?;
        let service = self.placing_service(it)?;
        let is_guarded = service.is_some_and(is_at_most_one);
        if is_guarded {
            self.check_alone(it)?;
        }
        self.check_placing_job(it)?;
        let definition = self.definition(it.task_definition_id)?;
        if service.is_none() && it.job_id == 0 && definition.status() != TaskDefinitionStatus::Active {
            return Err(definition_inactive().into());
        }
        let base = self.checked_base(it)?;
        let size = effective_size(definition, it.overrides.as_ref())?;
        let template =
            TaskRow { tags: checked_tags(&it.tags)?, ..template(it, service, definition, &size, self.now_ms) };
        let mut unplaced = self.unplaced(it, &size);
        if is_guarded && unplaced.is_empty() && !it.placements.iter().all(|to| self.has_guard(to)) {
            unplaced.push(0);
        }
        let (waiting, rejected): (Vec<u32>, Vec<u32>) =
            unplaced.into_iter().partition(|position| self.may_wait(it, *position));
        if !it.partial && !rejected.is_empty() {
            return Ok(reply::Kind::Placed(Placed { rejected, ..Placed::default() }));
        }
        self.check_waiting_room(it.cluster_id, waiting.len())?;
        let fencing_token = if is_guarded && rejected.is_empty() { self.next_fencing_token(it.service_id) } else { 0 };
        let template = TaskRow { fencing_token, ..template };
        let tasks = self.place_all(it, base, &template, &Fates { waiting, rejected: &rejected });
        if !tasks.is_empty() {
            let row = DecisionRow { base: it.base, tasks: it.placements.len() as u32, ..DecisionRow::default() };
            self.keep_decision(it.decision.as_ref(), row);
        }
        Ok(reply::Kind::Placed(Placed { tasks, rejected, failures: it.failures.clone() }))
    }

    /// Completes the row of a decision and keeps it. One that is too long is not kept: it is for people, and the leader cuts its
    /// own.
    pub(super) fn keep_decision(&mut self, decision: Option<&Decision>, row: DecisionRow) {
        let Some(decision) = decision.filter(|d| d.encoded_len() <= DECISION_BYTES_MAX) else { return };
        let decision = decision.encode_to_vec().into();
        self.state.put_decision(DecisionRow { placed_index: self.index, decision, ..row });
    }

    /// The service that the tasks are for, as the planner saw it.
    fn placing_service(&self, it: &PlaceTasks) -> Result<Option<&ServiceRow>, Rejection> {
        if it.service_id == 0 {
            return Ok(None);
        }
        let id = ServiceId(it.service_id);
        let stale = |what: &str| Rejection::Stale(format!("service {id} {what}"));
        let row = self.state.services.get(&id).filter(|row| row.cluster_id == it.cluster_id);
        let row = row.ok_or_else(|| stale("is gone"))?;
        if row.status() != ServiceStatusCode::Active {
            return Err(stale("is not ACTIVE"));
        }
        if it.service_version != 0 && it.service_version != row.changed {
            return Err(stale("has changed"));
        }
        let of_deployment =
            row.deployments.iter().any(|d| d.id == it.deployment_id && d.task_definition_id == it.task_definition_id);
        if !of_deployment {
            return Err(stale("has no such deployment"));
        }
        if it.wanted_before != 0 && self.state.service_counts(id).wanted > it.wanted_before - 1 {
            return Err(stale("has more tasks than the planner saw"));
        }
        Ok(Some(row))
    }

    /// Of such a service one task starts, and only where none may be alive.
    fn check_alone(&self, it: &PlaceTasks) -> Result<(), Rejection> {
        let id = ServiceId(it.service_id);
        if it.placements.len() > 1 || self.state.service_counts(id).live > 0 {
            return Err(Rejection::Stale(format!("service {id} may have a task alive")));
        }
        Ok(())
    }

    fn has_guard(&self, placement: &Placement) -> bool {
        self.state.instances.get(&InstanceId(placement.instance_id)).is_some_and(|row| has_guard(row))
    }

    /// Larger than the one before, and than those of services of the same name before this one. The service's version stays: the
    /// plan that places has more to say of the same version.
    fn next_fencing_token(&mut self, service_id: u64) -> u64 {
        let Some(row) = self.state.services.get(&ServiceId(service_id)) else { return 0 };
        let fencing_token = row.fencing_token.saturating_add(1).max(self.index);
        let row = ServiceRow { fencing_token, ..ServiceRow::clone(row) };
        self.state.put_service(row);
        fencing_token
    }

    /// Ids are given out once: the same command a second time must not become other tasks.
    fn checked_base(&self, it: &PlaceTasks) -> Result<Id128, ApiError> {
        let count = it.placements.len();
        if !(1..=PLACEMENTS_MAX as usize).contains(&count) {
            return Err(ApiError::invalid(format!("A placement has 1 to {PLACEMENTS_MAX} tasks.")));
        }
        let base = it.base.as_ref().map(task_id).ok_or_else(|| ApiError::invalid("The placement has no task id."))?;
        if base.0.checked_add(count as u128).is_none() {
            return Err(ApiError::invalid("The placement's task ids are used up."));
        }
        let ids = (0..count as u32).map(|ordinal| base.offset(ordinal));
        let taken: Vec<Id128> = ids.filter(|id| self.state.tasks.get(id).is_some()).take(1).collect();
        match taken.first() {
            None => Ok(base),
            Some(id) => Err(ApiError::new(ErrorCode::Conflict, format!("The task id {id} is taken already."))),
        }
    }

    /// Positions of placements that do not fit.
    fn unplaced(&self, it: &PlaceTasks, size: &TaskSize) -> Vec<u32> {
        let mut taken: BTreeMap<u64, Taken> = BTreeMap::new();
        let mut unplaced = Vec::new();
        for (placement, position) in it.placements.iter().zip(0u32..) {
            let taken = taken.entry(placement.instance_id).or_default();
            if self.fits(it.cluster_id, InstanceId(placement.instance_id), size, taken) {
                taken.cpu += size.cpu;
                taken.memory += size.memory;
                taken.tasks += 1;
            } else {
                unplaced.push(position);
            }
        }
        unplaced
    }

    /// Whether a task that does not fit waits for room instead of being left out. A service's do not: it starts what it lacks.
    fn may_wait(&self, it: &PlaceTasks, position: u32) -> bool {
        let provider = it.placements.get(position as usize).map_or("", |placement| &placement.capacity_provider);
        it.wait.is_some() && it.service_id == 0 && self.state.has_managed_scaling(ClusterId(it.cluster_id), provider)
    }

    pub(super) fn fits(&self, cluster_id: u64, instance: InstanceId, size: &TaskSize, taken: &Taken) -> bool {
        let Some(row) = self.state.instances.get(&instance) else { return false };
        let Some(usage) = self.state.usage(instance) else { return false };
        row.cluster_id == cluster_id
            && row.status() == InstanceStatus::Active
            && row.connected
            && has_room(row, usage, size, taken)
            && has_ports(row, usage, size, taken)
    }

    fn place_all(
        &mut self,
        it: &PlaceTasks,
        base: Id128,
        template: &TaskRow,
        fates: &Fates<'_>,
    ) -> Vec<seawall_proto::internal::v1::TaskId> {
        let mut tasks = Vec::with_capacity(it.placements.len() - fates.rejected.len());
        for (placement, position) in it.placements.iter().zip(0u32..) {
            if fates.rejected.binary_search(&position).is_ok() {
                continue;
            }
            let id = task_id_message(base.offset(position));
            let row =
                TaskRow { id: Some(id), capacity_provider: placement.capacity_provider.clone(), ..template.clone() };
            if fates.waiting.binary_search(&position).is_ok() {
                self.put_task(waiting_row(row, it));
            } else {
                self.put_task(placed_row(row, placement.instance_id, &placement.note));
            }
            tasks.push(id);
        }
        tasks
    }
}

/// What becomes of placements that do not fit, by position.
struct Fates<'a> {
    waiting: Vec<u32>,
    rejected: &'a [u32],
}

/// The task on its instance.
pub(super) fn placed_row(row: TaskRow, instance_id: u64, note: &str) -> TaskRow {
    TaskRow {
        instance_id,
        placement_note: cut(note, NOTE_BYTES_MAX).to_owned(),
        last_status: TaskStatus::Pending.into(),
        waiting: None,
        ..row
    }
}

fn waiting_row(row: TaskRow, it: &PlaceTasks) -> TaskRow {
    TaskRow { last_status: TaskStatus::Provisioning.into(), waiting: it.wait.clone(), ..row }
}

/// What all tasks of one placement share.
fn template(
    it: &PlaceTasks,
    service: Option<&ServiceRow>,
    definition: &TaskDefinitionRow,
    size: &TaskSize,
    now_ms: i64,
) -> TaskRow {
    let group = match service {
        Some(row) => service_group(&row.name),
        None if it.group.is_empty() => format!("family:{}", definition.family),
        None => it.group.clone(),
    };
    let started_by = match service {
        Some(_) if it.started_by.is_empty() => format!("ecs-svc/{}", DeploymentId(it.deployment_id)),
        _ => it.started_by.clone(),
    };
    TaskRow {
        cluster_id: it.cluster_id,
        task_definition_id: it.task_definition_id,
        service_id: it.service_id,
        deployment_id: if service.is_some() { it.deployment_id } else { 0 },
        last_status: TaskStatus::Pending.into(),
        desired_running: true,
        group,
        started_by,
        cpu: size.cpu,
        memory: size.memory,
        size: (definition.size.as_ref() != Some(size)).then(|| size.clone()),
        overrides: it.overrides.clone(),
        launch_type: it.launch_type.clone(),
        network_configuration: it.network_configuration.clone(),
        job_id: it.job_id,
        created_at_ms: now_ms,
        ..TaskRow::default()
    }
}

fn has_room(row: &InstanceRow, usage: &Usage, size: &TaskSize, taken: &Taken) -> bool {
    let fits = |has: u32, used: u32, taken: u32, more: u32| {
        u64::from(used) + u64::from(taken) + u64::from(more) <= u64::from(has)
    };
    row.registered.as_ref().is_some_and(|has| {
        fits(has.cpu, usage.cpu, taken.cpu, size.cpu) && fits(has.memory, usage.memory, taken.memory, size.memory)
    })
}

fn has_ports(row: &InstanceRow, usage: &Usage, size: &TaskSize, taken: &Taken) -> bool {
    fixed_ports(size).all(|(port, udp)| {
        let used = if udp { &usage.ports_udp } else { &usage.ports_tcp };
        let reserved = row.registered.as_ref().map(|has| if udp { &has.ports_udp } else { &has.ports_tcp });
        let port_reserved = reserved.is_some_and(|ports| ports.binary_search(&u32::from(port)).is_ok());
        taken.tasks == 0 && !used.contains(&port) && !port_reserved
    })
}
