//! What is asked of the planner.

use std::collections::BTreeMap;

use seawall_model::{ClusterId, InstanceId, ServiceId, TaskDefinitionId, own_tags};
use seawall_proto::{
    internal::v1::{InstanceStatus, ServiceRow, TaskRow, TaskSize},
    v1::CreateServiceRequest,
};
use seawall_state::{State, effective_size, is_at_most_one, own_tag, priority_of, service_group, size_of};

use crate::{Constraints, Fargate, Overlay, Pool, Share, Strategy, pool};

/// The tasks that count when tasks are spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Tasks of the same service.
    Service(ServiceId),
    /// Tasks of the same task group ("family:web"): RunTask.
    Group(String),
}

/// What an instance must offer to take one task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requirement {
    /// What the task takes, overrides applied: [`crate::effective_size`].
    pub size: TaskSize,
    /// The definition's and the request's together.
    pub constraints: Constraints,
    /// Whose instances.
    pub pool: Pool,
}

/// Tasks to place.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceRequest {
    /// Where.
    pub cluster: ClusterId,
    /// What each task needs.
    pub requirement: Requirement,
    /// How many. Not looked at where `only` is given.
    pub count: u32,
    /// Among which tasks to spread.
    pub spread: Spread,
    /// Of the tasks of the spread, those that are being replaced, by instance. Looked at where there is a maximum for an instance, or
    /// a skew.
    pub outgoing: BTreeMap<InstanceId, u32>,
    /// The task group that they will have.
    pub group: String,
    /// Which of the instances that fit.
    pub strategy: Strategy,
    /// Capacity providers among which the tasks are shared out; their pools take the place of the requirement's. Empty: none.
    pub shares: Vec<Share>,
    /// Their class: room that a higher one waits for is not theirs.
    pub priority: u32,
    /// What serves tasks for FARGATE, also those that wait in a higher class.
    pub fargate: Fargate,
    /// StartTask: one task on each of these, whatever its attributes, constraints and strategy.
    pub only: Option<Vec<InstanceId>>,
}

impl PlaceRequest {
    /// Tasks of a group that are no service's, as they are placed by default.
    pub fn of_group(cluster: ClusterId, group: &str, requirement: Requirement, count: u32) -> Self {
        PlaceRequest {
            cluster,
            requirement,
            count,
            spread: Spread::Group(group.to_owned()),
            outgoing: BTreeMap::new(),
            group: group.to_owned(),
            strategy: Strategy::default(),
            shares: Vec::new(),
            priority: own_tags::PRIORITY_DEFAULT,
            fargate: Fargate::default(),
            only: None,
        }
    }

    /// A task that waits for room of its capacity provider.
    ///
    /// # Errors
    /// What of it or of its definition makes no request: both were checked when they were taken.
    pub fn of_waiting(state: &State, task: &TaskRow, fargate: Fargate) -> Result<Self, String> {
        let definition = state.task_definitions.get(&TaskDefinitionId(task.task_definition_id));
        let definition = definition.ok_or("the task definition is gone")?;
        let asked = task.waiting.as_ref().ok_or("the task does not wait")?;
        let cluster = ClusterId(task.cluster_id);
        let requirement = Requirement {
            size: size_of(task, Some(definition)).cloned().ok_or("nothing says what the task takes")?,
            constraints: Constraints::of(definition, &asked.constraints)?,
            pool: Pool::of(state, cluster, &task.capacity_provider, fargate),
        };
        let seed = task.id.as_ref().map_or(0, |id| id.lo);
        let strategy = Strategy::parse(&asked.strategy, seed)?;
        let priority = priority_of(&task.tags);
        let request = PlaceRequest::of_group(cluster, &task.group, requirement, 1);
        Ok(PlaceRequest { strategy, priority, fargate, ..request })
    }

    /// What the next of its tasks needs: where they are shared out, of the capacity provider whose turn it is.
    pub(crate) fn next_requirement(&self) -> Requirement {
        let turn = pool::split(&self.shares, 1).iter().position(|count| *count > 0);
        let pool = turn.map_or(&self.requirement.pool, |at| &self.shares[at].pool);
        Requirement { pool: pool.clone(), ..self.requirement.clone() }
    }

    /// Tasks of a revision of a service, as the service's spec is now.
    ///
    /// # Errors
    /// What of the spec or the definition makes no request: both are checked when they are taken.
    pub fn of_service(
        state: &State,
        overlay: &Overlay,
        service: &ServiceRow,
        definition: TaskDefinitionId,
        count: u32,
        fargate: Fargate,
    ) -> Result<Self, String> {
        let definition = state.task_definitions.get(&definition).ok_or("the task definition is gone")?;
        let unasked = CreateServiceRequest::default();
        let spec = service.spec.as_ref().unwrap_or(&unasked);
        let (id, cluster) = (ServiceId(service.id), ClusterId(service.cluster_id));
        let strategy = &spec.capacity_provider_strategy;
        let launch = if strategy.is_empty() { spec.launch_type() } else { "" };
        let max_per_instance = own_tag(service, own_tags::MAX_PER_INSTANCE);
        let max_zone_skew = own_tag(service, own_tags::MAX_ZONE_SKEW);
        let counts_staying = max_per_instance.is_some() || max_zone_skew.is_some();
        let tasks = |provider: &str| tasks_of_provider(state, overlay, id, provider);
        Ok(PlaceRequest {
            cluster,
            requirement: Requirement {
                size: effective_size(definition, None).map_err(|e| e.to_string())?,
                constraints: Constraints {
                    max_per_instance,
                    max_zone_skew,
                    guarded: is_at_most_one(service),
                    ..Constraints::of(definition, &spec.placement_constraints)?
                },
                pool: Pool::of_launch_type(state, cluster, launch, fargate),
            },
            count,
            spread: Spread::Service(id),
            outgoing: if counts_staying { outgoing(state, service) } else { BTreeMap::new() },
            group: service_group(&service.name),
            // Another draw for each task: what is placed already differs from what is placed next.
            strategy: Strategy::parse(&spec.placement_strategy, service.id ^ service.changed)?,
            shares: Share::of(state, cluster, strategy, fargate, tasks),
            priority: priority_of(&service.tags),
            fargate,
            only: None,
        })
    }
}

/// Wanted tasks that others take the place of, by instance: of older deployments, or on an instance that drains.
fn outgoing(state: &State, service: &ServiceRow) -> BTreeMap<InstanceId, u32> {
    let primary = service.deployments.iter().find(|d| d.primary).map_or(0, |d| d.id);
    let drains = |id| state.instances.get(&id).is_some_and(|row| row.status() != InstanceStatus::Active);
    let mut outgoing = BTreeMap::new();
    let wanted = state.live_tasks_of_service(ServiceId(service.id));
    for task in wanted.filter(|task| task.desired_running && task.unreachable_since_ms == 0) {
        let instance = InstanceId(task.instance_id);
        if task.deployment_id != primary || drains(instance) {
            *outgoing.entry(instance).or_default() += 1;
        }
    }
    outgoing
}

/// Tasks of the service that want to run for the provider, proposed ones included.
fn tasks_of_provider(state: &State, overlay: &Overlay, service: ServiceId, provider: &str) -> u32 {
    let tasks =
        state.live_tasks_of_service(service).filter(|task| task.desired_running && task.capacity_provider == provider);
    let proposed = overlay.proposals_of(service).flat_map(|proposal| &proposal.providers);
    (tasks.count() + proposed.filter(|name| *name == provider).count()) as u32
}
