//! What was proposed and is not applied yet.
//!
//! Plans follow each other faster than the log applies them. Without the overlay the second plan would hand out what the
//! first took, and `apply` would refuse it. It holds reservations and counts only, never a second state, and may be dropped
//! at any time: the worst that follows is a refused placement.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, ordmap::DiffItem};
use seawall_model::{ClusterId, DeploymentId, InstanceId, ServiceId, TaskDefinitionId, TaskId};
use seawall_proto::internal::v1::{
    PlaceTasks, ServiceStep, StopTasks, TaskSize, command, place_tasks::Placement, place_waiting,
};
use seawall_state::{State, effective_size, fixed_ports, size_of, task_id};

use crate::Spread;

/// What proposals hold of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// CPU units.
    pub cpu: u32,
    /// MiB.
    pub memory: u32,
    /// Fixed TCP host ports.
    pub ports_tcp: OrdSet<u16>,
    /// Fixed UDP host ports.
    pub ports_udp: OrdSet<u16>,
}

/// One [`PlaceTasks`] that is on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The cluster.
    pub cluster: ClusterId,
    /// The service; 0 for standalone tasks.
    pub service: ServiceId,
    /// The deployment; 0 for standalone tasks.
    pub deployment: DeploymentId,
    /// The task group.
    pub group: Arc<str>,
    /// What each task takes.
    pub size: TaskSize,
    /// One for each task.
    pub instances: Vec<InstanceId>,
    /// Capacity providers of the tasks that have one.
    pub providers: Vec<String>,
}

/// Who the tasks of a proposal count for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Service(ServiceId),
    Group(ClusterId, Arc<str>),
}

impl Key {
    fn of(cluster: ClusterId, spread: &Spread) -> Self {
        match spread {
            Spread::Service(service) => Key::Service(*service),
            Spread::Group(group) => Key::Group(cluster, group.as_str().into()),
        }
    }
}

/// Placements and stops that are proposed but not applied. Dropped when they are applied or lost. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Overlay {
    proposals: OrdMap<TaskId, Arc<Proposal>>,
    by_service: OrdSet<(ServiceId, TaskId)>,
    held: OrdMap<InstanceId, Held>,
    counts: OrdMap<(Key, InstanceId), u32>,
    /// Groups of the proposed tasks, by instance.
    groups: OrdMap<(InstanceId, Arc<str>), u32>,
    stopping: OrdMap<TaskId, u32>,
    /// Tasks that are told to make room, with the service that it is for.
    victims: OrdMap<TaskId, ServiceId>,
    /// Services that are said to wait for a place.
    waiting: OrdMap<ServiceId, u32>,
}

impl Overlay {
    /// Nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.proposals.is_empty() && self.stopping.is_empty()
    }

    /// Whether plans heed a command that is on its way.
    pub fn heeds(kind: &command::Kind) -> bool {
        use command::Kind;
        matches!(kind, Kind::PlaceTasks(_) | Kind::PlaceWaiting(_) | Kind::StopTasks(_) | Kind::ServiceStep(_))
    }

    /// A command is on its way.
    pub fn note(&mut self, state: &State, kind: &command::Kind) {
        match kind {
            command::Kind::PlaceTasks(place) => self.add(state, place),
            command::Kind::PlaceWaiting(place) => place.items.iter().for_each(|item| self.add_waiting(state, item)),
            command::Kind::StopTasks(stop) => self.add_stop(stop),
            command::Kind::ServiceStep(step) => self.add_step(step),
            _ => {}
        }
    }

    /// It was applied, refused or lost.
    pub fn forget(&mut self, kind: &command::Kind) {
        match kind {
            command::Kind::PlaceTasks(place) => self.remove(place),
            command::Kind::PlaceWaiting(place) => place.items.iter().for_each(|item| self.remove_waiting(item)),
            command::Kind::StopTasks(stop) => self.remove_stop(stop),
            command::Kind::ServiceStep(step) => self.remove_step(step),
            _ => {}
        }
    }

    /// Adds a placement, known by its `base`. One of an unknown definition is left out: `apply` refuses it too.
    pub fn add(&mut self, state: &State, place: &PlaceTasks) {
        let definition = state.task_definitions.get(&TaskDefinitionId(place.task_definition_id));
        let size = definition.and_then(|d| effective_size(d, place.overrides.as_ref()).ok());
        if let Some(size) = size {
            self.add_sized(size, place);
        }
    }

    /// The same with what each task takes.
    pub fn add_sized(&mut self, size: TaskSize, place: &PlaceTasks) {
        let base = base_of(place);
        let proposal = Proposal {
            cluster: ClusterId(place.cluster_id),
            service: ServiceId(place.service_id),
            deployment: DeploymentId(place.deployment_id),
            group: place.group.as_str().into(),
            size,
            // What waits is for no instance yet.
            instances: place.placements.iter().map(|p| InstanceId(p.instance_id)).filter(|id| id.0 != 0).collect(),
            providers: place
                .placements
                .iter()
                .map(|p| &p.capacity_provider)
                .filter(|p| !p.is_empty())
                .cloned()
                .collect(),
        };
        self.remove(place);
        for &instance in &proposal.instances {
            self.hold(instance, &proposal.size);
            for key in keys_of(&proposal) {
                *self.counts.entry((key, instance)).or_default() += 1;
            }
            *self.groups.entry((instance, proposal.group.clone())).or_default() += 1;
        }
        if proposal.service != ServiceId(0) {
            self.by_service.insert((proposal.service, base));
        }
        self.proposals.insert(base, Arc::new(proposal));
    }

    /// Adds a task that waits no more, known by its id.
    pub fn add_waiting(&mut self, state: &State, item: &place_waiting::Item) {
        let Some(task) = item.task.as_ref().and_then(|id| state.tasks.get(&task_id(id))) else { return };
        let definition = state.task_definitions.get(&TaskDefinitionId(task.task_definition_id));
        let Some(size) = size_of(task, definition.map(AsRef::as_ref)) else { return };
        let place = PlaceTasks {
            cluster_id: task.cluster_id,
            base: item.task,
            group: task.group.clone(),
            placements: vec![Placement { instance_id: item.instance_id, ..Placement::default() }],
            ..PlaceTasks::default()
        };
        self.add_sized(size.clone(), &place);
    }

    /// Takes it out: it was applied, refused or lost.
    pub fn remove_waiting(&mut self, item: &place_waiting::Item) {
        self.remove(&PlaceTasks { base: item.task, ..PlaceTasks::default() });
    }

    /// Takes a placement out: it was applied, refused or lost.
    pub fn remove(&mut self, place: &PlaceTasks) {
        let Some(proposal) = self.proposals.remove(&base_of(place)) else { return };
        self.by_service.remove(&(proposal.service, base_of(place)));
        for &instance in &proposal.instances {
            self.release(instance, &proposal.size);
            for key in keys_of(&proposal) {
                decrement(&mut self.counts, &(key, instance));
            }
            decrement(&mut self.groups, &(instance, proposal.group.clone()));
        }
    }

    /// Adds a stop. Its tasks count as stopping for the controllers; what they hold stays held.
    pub fn add_stop(&mut self, stop: &StopTasks) {
        for task in &stop.tasks {
            *self.stopping.entry(task_id(task)).or_default() += 1;
            if stop.preempted_by != 0 {
                self.victims.insert(task_id(task), ServiceId(stop.preempted_by));
            }
        }
    }

    /// Takes a stop out.
    pub fn remove_stop(&mut self, stop: &StopTasks) {
        for task in &stop.tasks {
            decrement(&mut self.stopping, &task_id(task));
            if stop.preempted_by != 0 {
                self.victims.remove(&task_id(task));
            }
        }
    }

    /// Adds a service's step: what waits for a place counts at once for those who come after it.
    pub fn add_step(&mut self, step: &ServiceStep) {
        if says_it_waits(step) {
            *self.waiting.entry(ServiceId(step.service_id)).or_default() += 1;
        }
    }

    /// Takes a step out.
    pub fn remove_step(&mut self, step: &ServiceStep) {
        if says_it_waits(step) {
            decrement(&mut self.waiting, &ServiceId(step.service_id));
        }
    }

    /// Whether somebody who comes first, by what was on its way `before`, does so no more by what is now.
    pub(crate) fn comes_first_no_more(&self, before: &Self) -> bool {
        before.waiting.keys().any(|id| !self.waiting.contains_key(id))
            || before.victims.keys().any(|id| !self.victims.contains_key(id))
    }

    /// Services of steps on their way that say that they wait for a place.
    pub fn waiting(&self) -> impl Iterator<Item = ServiceId> {
        self.waiting.keys().copied()
    }

    /// Tasks of stops on their way that make room, with the service that it is for.
    pub fn victims(&self) -> impl Iterator<Item = (TaskId, ServiceId)> {
        self.victims.iter().map(|(task, service)| (*task, *service))
    }

    /// What proposals hold of an instance.
    pub fn held(&self, instance: InstanceId) -> Option<&Held> {
        self.held.get(&instance)
    }

    /// Instances of which proposals hold something else than they did `before`.
    pub fn held_changed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = InstanceId> {
        before.held.diff(&self.held).map(|item| match item {
            DiffItem::Add(id, _) | DiffItem::Remove(id, _) | DiffItem::Update { new: (id, _), .. } => *id,
        })
    }

    /// Whether a stop of this task is on its way.
    pub fn is_stopping(&self, task: TaskId) -> bool {
        self.stopping.contains_key(&task)
    }

    /// Placements of a service that are on their way.
    pub fn proposals_of(&self, service: ServiceId) -> impl Iterator<Item = &Proposal> {
        let range = (service, TaskId::default())..(ServiceId(service.0 + 1), TaskId::default());
        self.by_service.range(range).filter_map(|(_, base)| self.proposals.get(base)).map(Arc::as_ref)
    }

    /// Whether a task of this service is on its way to this instance.
    pub fn has_task_of(&self, service: ServiceId, instance: InstanceId) -> bool {
        self.counts.contains_key(&(Key::Service(service), instance))
    }

    /// Proposed tasks that count for `spread`, by instance.
    pub fn counts(&self, cluster: ClusterId, spread: &Spread) -> impl Iterator<Item = (InstanceId, u32)> {
        let key = Key::of(cluster, spread);
        let range = (key.clone(), InstanceId(0))..=(key, InstanceId(u64::MAX));
        self.counts.range(range).map(|((_, instance), count)| (*instance, *count))
    }

    /// Proposed tasks on one instance that count for `spread`.
    pub fn count_on(&self, cluster: ClusterId, spread: &Spread, instance: InstanceId) -> u32 {
        self.counts.get(&(Key::of(cluster, spread), instance)).copied().unwrap_or(0)
    }

    /// Groups of the tasks that are proposed for an instance.
    pub fn groups_on(&self, instance: InstanceId) -> impl Iterator<Item = &str> {
        let range = (instance, Arc::from(""))..(InstanceId(instance.0 + 1), Arc::from(""));
        self.groups.range(range).map(|((_, group), _)| &**group)
    }

    fn hold(&mut self, instance: InstanceId, size: &TaskSize) {
        let held = self.held.entry(instance).or_default();
        held.cpu = held.cpu.saturating_add(size.cpu);
        held.memory = held.memory.saturating_add(size.memory);
        for (port, udp) in fixed_ports(size) {
            if udp {
                held.ports_udp.insert(port)
            } else {
                held.ports_tcp.insert(port)
            };
        }
    }

    fn release(&mut self, instance: InstanceId, size: &TaskSize) {
        let Some(held) = self.held.get_mut(&instance) else { return };
        held.cpu = held.cpu.saturating_sub(size.cpu);
        held.memory = held.memory.saturating_sub(size.memory);
        for (port, udp) in fixed_ports(size) {
            if udp {
                held.ports_udp.remove(&port)
            } else {
                held.ports_tcp.remove(&port)
            };
        }
        if *held == Held::default() {
            self.held.remove(&instance);
        }
    }
}

fn says_it_waits(step: &ServiceStep) -> bool {
    step.unplaced_reason.as_ref().is_some_and(|reason| !reason.is_empty())
}

fn base_of(place: &PlaceTasks) -> TaskId {
    place.base.as_ref().map(task_id).unwrap_or_default()
}

fn keys_of(proposal: &Proposal) -> impl Iterator<Item = Key> {
    let service = (proposal.service != ServiceId(0)).then_some(Key::Service(proposal.service));
    service.into_iter().chain([Key::Group(proposal.cluster, proposal.group.clone())])
}

fn decrement<K: Ord + Clone>(counts: &mut OrdMap<K, u32>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count = count.saturating_sub(1);
    if *count == 0 {
        counts.remove(key);
    }
}
