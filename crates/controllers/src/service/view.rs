//! A service's tasks, sorted by what they mean for it.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::{ClusterId, DeploymentId, InstanceId, LossPolicy, ServiceId, TaskDefinitionId, own_tags};
use seawall_proto::internal::v1::{
    DeploymentRow, Health, InstanceRow, InstanceStatus, ServiceRow, ServiceStatusCode, TaskDefinitionRow, TaskRow,
    TaskStatus, ZoneState,
};
use seawall_scheduler::{Fleet, Overlay, PlaceRequest, Strategy, instances_for};
use seawall_state::{State, is_daemon, loss_policy, own_tag, task_id};

use super::{backoff::STABLE_MS, breaker};
use crate::Now;

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Not RUNNING yet.
    Pending,
    /// RUNNING; its essential containers' health checks have not passed yet. Where it has none: not for as long as the
    /// service or the circuit breaker asks for.
    Starting,
    /// RUNNING and, where there are health checks, HEALTHY.
    Healthy,
    /// A health check fails, and not in the grace period.
    Unhealthy,
}

/// A task that should run and can be reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    pub task: &'a TaskRow,
    pub zone: &'a str,
    pub condition: Condition,
}

/// Pulls that took longer are not believed.
const PULL_MAX_MS: i64 = 15 * 60 * 1000;

/// One look at a service.
pub(crate) struct View<'a> {
    pub fleet: &'a Fleet,
    pub state: &'a State,
    pub overlay: &'a Overlay,
    pub now: Now,
    pub service: &'a ServiceRow,
    pub primary: &'a DeploymentRow,
    /// Of a daemon: the instances where its tasks belong.
    pub belongs: Option<BTreeSet<InstanceId>>,
    /// How long a task without a health check has to last until it counts as healthy, where the service says so.
    pub healthy_after_ms: Option<i64>,
    /// What becomes of tasks on instances that fall silent.
    pub loss: LossPolicy,
    /// Of the primary deployment, on an ACTIVE instance, not unhealthy: they stay unless there are too many.
    pub good: Vec<Member<'a>>,
    /// Of an old deployment, on an instance that drains, or unhealthy: they go when others have taken their place.
    pub outgoing: Vec<Member<'a>>,
    /// Reachable, told to stop, not stopped yet.
    pub leaving: Vec<&'a TaskRow>,
    /// Should run, on an instance that fell silent.
    pub unreachable: Vec<&'a TaskRow>,
    /// Told to stop, on an instance that fell silent: nothing waits for them.
    pub abandoned: Vec<&'a TaskRow>,
    /// Of a daemon, on an instance that drains and still has tasks of others: the daemon stops last, and nothing waits for it.
    pub lingering: Vec<&'a TaskRow>,
    /// Stopped, and still in the state.
    pub stopped: Vec<&'a TaskRow>,
    /// Tasks that count as wanted in the state: what apply compares with (`wanted_before`).
    pub wanted: u32,
    /// Tasks of the primary deployment whose placement is on its way.
    pub proposed: u32,
    /// The same, of older deployments.
    pub proposed_old: u32,
}

impl<'a> View<'a> {
    /// `None` where there is no such service or it is deleted.
    pub fn new(fleet: &'a Fleet, service: ServiceId, now: Now) -> Option<Self> {
        let (state, overlay) = (fleet.state(), fleet.overlay());
        let service = state.services.get(&service)?;
        let primary = service.deployments.iter().find(|d| d.primary)?;
        if service.status() == ServiceStatusCode::Inactive {
            return None;
        }
        let mut view = View {
            fleet,
            state,
            overlay,
            now,
            service,
            primary,
            belongs: None,
            healthy_after_ms: own_tag(service, own_tags::HEALTHY_AFTER).map(|seconds| i64::from(seconds) * 1000),
            loss: loss_policy(service),
            good: Vec::new(),
            outgoing: Vec::new(),
            leaving: Vec::new(),
            unreachable: Vec::new(),
            abandoned: Vec::new(),
            lingering: Vec::new(),
            stopped: Vec::new(),
            wanted: 0,
            proposed: 0,
            proposed_old: 0,
        };
        if is_daemon(service) {
            let cluster = ClusterId(service.cluster_id);
            // Where its tasks belong cannot be said: nothing is started, and above all nothing stopped.
            let request = view.request(1).ok()?;
            view.belongs = Some(instances_for(state, cluster, &request.requirement));
        }
        view.count_proposals();
        view.sort_tasks();
        Some(view)
    }

    /// Desired tasks.
    pub fn desired(&self) -> usize {
        self.belongs.as_ref().map_or(self.service.desired_count as usize, BTreeSet::len)
    }

    /// Tasks that should run and can be reached.
    pub fn members(&self) -> impl Iterator<Item = &Member<'a>> {
        self.good.iter().chain(&self.outgoing)
    }

    /// Of those, the healthy ones.
    pub fn healthy(&self) -> usize {
        self.members().filter(|m| m.condition == Condition::Healthy).count()
    }

    /// Every task of it that is not known to have stopped.
    pub fn live(&self) -> impl Iterator<Item = &'a TaskRow> {
        let members = self.members().map(|m| m.task);
        let others = [&self.leaving, &self.unreachable, &self.abandoned, &self.lingering];
        members.chain(others.into_iter().flatten().copied())
    }

    /// Every task that the state has of it, stopped ones included.
    pub fn all(&self) -> impl Iterator<Item = &'a TaskRow> {
        self.live().chain(self.stopped.iter().copied())
    }

    /// Tasks on silent instances whose place others are to take for good. A daemon's has no other place; one that is protected
    /// goes on if its instance comes back.
    pub fn to_replace(&self) -> Vec<&'a TaskRow> {
        let is_given_up = |task: &&TaskRow| self.belongs.is_none() && !self.is_protected(task);
        self.unreachable.iter().copied().filter(is_given_up).collect()
    }

    /// Those of them that nothing takes the place of yet: their instance may be back before the service's wait is over.
    pub fn awaited(&self) -> impl Iterator<Item = &'a TaskRow> {
        let now_ms = self.now.cluster_time_ms;
        self.unreachable.iter().copied().filter(move |task| self.awaited_until_ms(task).is_some_and(|at| at > now_ms))
    }

    /// Cluster time until which the instance of a silent task is waited for. What goes anyway, by a rollout or an operator's
    /// word, is not.
    fn awaited_until_ms(&self, task: &TaskRow) -> Option<i64> {
        let LossPolicy::Replace { after_s: after_s @ 1.. } = self.loss else { return None };
        let instance = self.state.instances.get(&InstanceId(task.instance_id))?;
        let stays = task.deployment_id == self.primary.id && self.takes_tasks(instance);
        stays.then(|| task.unreachable_since_ms.saturating_add(i64::from(after_s) * 1000))
    }

    /// Whether tasks may stay on an instance as far as operators say.
    fn takes_tasks(&self, instance: &InstanceRow) -> bool {
        let is_evacuating = self.state.zone_state(&instance.zone) == ZoneState::Evacuating;
        instance.status() == InstanceStatus::Active && !is_evacuating
    }

    /// No scale-in or deployment stops the task now.
    pub fn is_protected(&self, task: &TaskRow) -> bool {
        task.protected_until_ms > self.now.cluster_time_ms
    }

    /// Whether anything is left of the deployment that somebody waits for.
    pub fn has_tasks(&self, deployment: u64) -> bool {
        let live = self.members().map(|m| m.task).chain(self.leaving.iter().copied());
        live.chain(self.to_replace()).any(|t| t.deployment_id == deployment)
            || self.overlay.proposals_of(self.id()).any(|p| p.deployment == DeploymentId(deployment))
    }

    /// The service's id.
    pub fn id(&self) -> ServiceId {
        ServiceId(self.service.id)
    }

    /// The primary deployment's task definition.
    pub fn definition(&self) -> Option<&'a TaskDefinitionRow> {
        self.state.task_definitions.get(&TaskDefinitionId(self.primary.task_definition_id)).map(AsRef::as_ref)
    }

    /// Asks the planner for `count` tasks of the primary deployment.
    ///
    /// # Errors
    /// As [`PlaceRequest::of_service`].
    pub fn request(&self, count: u32) -> Result<PlaceRequest, String> {
        let definition = TaskDefinitionId(self.primary.task_definition_id);
        PlaceRequest::of_service(self.state, self.overlay, self.service, definition, count, self.now.fargate)
    }

    /// The service's placement strategy; the default for one that was checked by other rules. Where zones may not get ahead of each
    /// other, they come first.
    pub fn strategy(&self) -> Strategy {
        let asked = self.service.spec.as_ref().map_or(&[][..], |spec| &spec.placement_strategy);
        let strategy = Strategy::parse(asked, self.service.id).unwrap_or_default();
        match own_tag(self.service, own_tags::MAX_ZONE_SKEW) {
            Some(_) => strategy.zones_first(),
            None => strategy,
        }
    }

    fn count_proposals(&mut self) {
        for proposal in self.overlay.proposals_of(self.id()) {
            let count = proposal.instances.len() as u32;
            if proposal.deployment == DeploymentId(self.primary.id) {
                self.proposed += count;
            } else {
                self.proposed_old += count;
            }
        }
    }

    fn sort_tasks(&mut self) {
        let mut checked = BTreeMap::new();
        for task in self.state.tasks_of_service(self.id()) {
            let instance = self.state.instances.get(&InstanceId(task.instance_id));
            self.sort_task(task, instance.map(AsRef::as_ref), &mut checked);
        }
    }

    fn sort_task(&mut self, task: &'a TaskRow, instance: Option<&'a InstanceRow>, checked: &mut BTreeMap<u64, bool>) {
        let wanted =
            task.desired_running && !self.overlay.is_stopping(task.id.as_ref().map(task_id).unwrap_or_default());
        let reachable = instance.filter(|_| task.unreachable_since_ms == 0);
        if task.last_status() == TaskStatus::Stopped {
            return self.stopped.push(task);
        }
        if wanted && task.unreachable_since_ms == 0 {
            self.wanted += 1;
        }
        let Some(instance) = reachable else {
            return if wanted { self.unreachable.push(task) } else { self.abandoned.push(task) };
        };
        if !wanted {
            return self.leaving.push(task);
        }
        if self.belongs.is_some() && instance.status() != InstanceStatus::Active && self.has_others(instance) {
            return self.lingering.push(task);
        }
        let has_check = *checked
            .entry(task.task_definition_id)
            .or_insert_with(|| has_essential_check(self.state, TaskDefinitionId(task.task_definition_id)));
        let member = Member { task, zone: &instance.zone, condition: self.condition(task, has_check) };
        let stays = task.deployment_id == self.primary.id
            && self.takes_tasks(instance)
            && member.condition != Condition::Unhealthy;
        if stays { self.good.push(member) } else { self.outgoing.push(member) }
    }

    /// Whether an instance has tasks of services that are no daemons.
    fn has_others(&self, instance: &InstanceRow) -> bool {
        let is_others = |task: &TaskRow| {
            let service = self.state.services.get(&ServiceId(task.service_id));
            task.service_id != 0 && service.is_none_or(|row| !is_daemon(row))
        };
        self.state.tasks_of_instance(InstanceId(instance.id)).any(|task| is_others(task))
    }

    fn condition(&self, task: &TaskRow, has_check: bool) -> Condition {
        if task.last_status() != TaskStatus::Running {
            return Condition::Pending;
        }
        match task.health() {
            Health::Unhealthy if self.is_in_grace(task) => Condition::Starting,
            Health::Unhealthy => Condition::Unhealthy,
            Health::Unknown if has_check || self.is_unproven(task) => Condition::Starting,
            Health::Unknown | Health::Healthy => Condition::Healthy,
        }
    }

    /// Whether a task may still crash at once: what it replaces stays until then. Where the service does not say how long, that
    /// is asked of a rollout that the circuit breaker watches.
    fn is_unproven(&self, task: &TaskRow) -> bool {
        let is_asked = self.healthy_after_ms.is_some()
            || (task.deployment_id == self.primary.id && breaker::watching(self).is_some());
        is_asked && self.now.cluster_time_ms < self.healthy_at_ms(task)
    }

    /// When the next task changes without anybody saying so: it has lasted, or its grace, its protection or the wait for its
    /// instance is over.
    pub fn next_change_ms(&self) -> Option<i64> {
        let young = self.members().filter(|m| m.condition == Condition::Starting);
        let change_ms = |task: &TaskRow| match task.health() {
            Health::Unhealthy => self.grace_ends_ms(task),
            Health::Unknown | Health::Healthy => self.healthy_at_ms(task),
        };
        let protected = self.members().map(|m| m.task.protected_until_ms);
        let awaited = self.unreachable.iter().filter_map(|task| self.awaited_until_ms(task));
        let changes = young.map(|m| change_ms(m.task)).chain(protected).chain(awaited);
        changes.filter(|at_ms| *at_ms > self.now.cluster_time_ms).min()
    }

    /// From when on a task without a health check counts as healthy. What the breaker counts as crashed was not healthy before.
    fn healthy_at_ms(&self, task: &TaskRow) -> i64 {
        match self.healthy_after_ms {
            Some(ms) if breaker::watching(self).is_none() => after_placement(task, ms),
            _ => self.lasted_at_ms(task),
        }
    }

    /// From when on a task counts as one that did not fail at once.
    pub fn lasted_at_ms(&self, task: &TaskRow) -> i64 {
        after_placement(task, STABLE_MS.max(self.healthy_after_ms.unwrap_or(0)))
    }

    fn is_in_grace(&self, task: &TaskRow) -> bool {
        self.now.cluster_time_ms < self.grace_ends_ms(task)
    }

    /// `healthCheckGracePeriodSeconds`, counted in cluster time from the placement.
    fn grace_ends_ms(&self, task: &TaskRow) -> i64 {
        let spec = self.service.spec.as_ref();
        let grace_s = spec.and_then(|s| s.health_check_grace_period_seconds).unwrap_or(0);
        task.created_at_ms.saturating_add(i64::from(grace_s) * 1000)
    }
}

/// Cluster time so long after a task was placed. How long the pull took is the agent's word, one clock's, and only ever adds to
/// it.
fn after_placement(task: &TaskRow, ms: i64) -> i64 {
    let pulled = task.pull_started_at_ms != 0 && task.pull_stopped_at_ms != 0;
    let pull_ms = if pulled { task.pull_stopped_at_ms.saturating_sub(task.pull_started_at_ms) } else { 0 };
    task.created_at_ms + ms + pull_ms.clamp(0, PULL_MAX_MS)
}

/// Whether an essential container of the definition has a health check.
fn has_essential_check(state: &State, definition: TaskDefinitionId) -> bool {
    let definition = state.task_definitions.get(&definition).and_then(|row| row.definition.as_ref());
    definition.is_some_and(|d| {
        d.container_definitions.iter().any(|c| c.essential.unwrap_or(true) && c.health_check.is_some())
    })
}

/// A task, in a plan's text.
pub(crate) fn label(task: &TaskRow) -> String {
    let id = task.id.as_ref().map(task_id).unwrap_or_default();
    format!("task {id} on {}", task.instance_id)
}
