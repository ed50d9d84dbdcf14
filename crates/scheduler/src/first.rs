//! Who comes first: what waits for a place in a higher class, and the room that is being made for a service.
//!
//! Room that is free goes to the highest class that waits and that it fits; what has a lower one is not placed where such a task
//! would go. Where tasks stop to make room for a service, that instance is kept from its own class too until they have stopped
//! and its task is there. All of it is read from the state, so an election changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::{ClusterId, InstanceId, ServiceId, TaskId};
use seawall_proto::internal::v1::{JobRow, JobStatus, RolloutState, ServiceRow, ServiceStatusCode, TaskRow};
use seawall_state::{State, Waiter, is_daemon, places, primary_deployment, priority_of, task_id};

use crate::{
    Candidate, Fargate, Overlay, PlaceRequest, Requirement, Spread, daemon::passes, filters, skew::Skew, spread,
};

/// Of those that wait in higher classes, so many are looked at, the highest first.
pub const WAITERS_MAX: usize = 32;

/// Tasks that make room on an instance.
type Victims<'a> = BTreeMap<TaskId, &'a TaskRow>;

/// Those who come before a request.
pub(crate) struct First<'a> {
    state: &'a State,
    overlay: &'a Overlay,
    waiting: Vec<Waiting<'a>>,
}

/// One that waits for a place.
struct Waiting<'a> {
    request: PlaceRequest,
    needs: Requirement,
    /// Zones that `seawall:max-zone-skew` closes to it.
    closed: BTreeSet<String>,
    /// It has a higher class. Else only the room that is made for it is kept.
    is_higher: bool,
    victims: BTreeMap<InstanceId, Victims<'a>>,
}

impl<'a> First<'a> {
    /// Who comes before the request. Who starts a task on an instance of his choice waits for nobody.
    pub fn before(state: &'a State, overlay: &'a Overlay, request: &PlaceRequest) -> Self {
        let mut first = First { state, overlay, waiting: Vec::new() };
        if request.only.is_some() {
            return first;
        }
        let mut made = room_being_made(state, overlay, request.cluster);
        for waiter in higher(state, overlay, request) {
            let victims = match waiter {
                Waiter::Service(id) => made.remove(&id).unwrap_or_default(),
                Waiter::Job(_) => BTreeMap::new(),
            };
            first.add(waiter, true, request.fargate, victims);
        }
        for (id, victims) in made {
            let row = state.services.get(&id);
            let priority = row.map_or(0, |row| priority_of(&row.tags));
            if request.spread != Spread::Service(id) && priority >= request.priority {
                first.add(Waiter::Service(id), priority > request.priority, request.fargate, victims);
            }
        }
        first
    }

    fn add(&mut self, waiter: Waiter, is_higher: bool, fargate: Fargate, victims: BTreeMap<InstanceId, Victims<'a>>) {
        let request = match waiter {
            Waiter::Service(id) => of_service(self.state, self.overlay, id, fargate),
            Waiter::Job(id) => {
                let job = self.state.jobs.get(&id);
                job.and_then(|job| of_job(self.state, self.overlay, job, fargate))
            }
        };
        if let Some(request) = request {
            let needs = request.next_requirement();
            let closed = self.closed(&request, &needs);
            self.waiting.push(Waiting { request, needs, closed, is_higher, victims });
        }
    }

    /// Zones that have too many of the request's tasks for one more.
    fn closed(&self, request: &PlaceRequest, needs: &Requirement) -> BTreeSet<String> {
        if needs.constraints.max_zone_skew.is_none() {
            return BTreeSet::new();
        }
        let counts = spread::counts(self.state, self.overlay, request.cluster, &request.spread);
        let candidate = |row| {
            let candidate = Candidate::new(self.state, self.overlay, row);
            let tasks = counts.get(&candidate.id()).copied().unwrap_or(0);
            candidate.with_tasks(tasks, request)
        };
        let candidates: Vec<_> = self.state.instances_of(request.cluster).map(|row| candidate(row)).collect();
        let skew = Skew::of(needs, &candidates);
        let is_closed = |zone: &&str| skew.as_ref().is_some_and(|skew| !skew.may_grow(zone));
        self.state.zones_of(request.cluster).filter(is_closed).map(str::to_owned).collect()
    }

    /// The class of the first of them that would take what is free on an instance.
    pub fn waits_for(&self, candidate: &Candidate<'_>) -> Option<u32> {
        self.waiting.iter().find(|waiting| self.goes_to(waiting, candidate)).map(|waiting| waiting.request.priority)
    }

    fn goes_to(&self, waiting: &Waiting<'_>, candidate: &Candidate<'_>) -> bool {
        let victims = waiting.victims.get(&candidate.id());
        if (!waiting.is_higher && victims.is_none()) || waiting.closed.contains(&candidate.row.zone) {
            return false;
        }
        let request = &waiting.request;
        let tasks = spread::count_on(self.state, self.overlay, request.cluster, &request.spread, candidate.id());
        let mut candidate = candidate.clone().with_tasks(tasks, request);
        victims.into_iter().flat_map(Victims::values).for_each(|task| candidate.give_back_task(task));
        passes(&filters::PIPELINE, &waiting.needs, &candidate)
    }
}

/// Those that wait in a higher class, steps on their way included, the highest first.
fn higher(state: &State, overlay: &Overlay, request: &PlaceRequest) -> Vec<Waiter> {
    let applied = state.waiting_in(request.cluster).take_while(|(priority, _)| *priority > request.priority);
    let mut known = BTreeSet::new();
    let mut all: Vec<(u32, Waiter)> = applied.take(WAITERS_MAX).filter(|(_, waiter)| known.insert(*waiter)).collect();
    let proposed = overlay.waiting().filter_map(|id| state.services.get(&id));
    let proposed = proposed.filter(|row| row.cluster_id == request.cluster.0);
    let proposed = proposed.map(|row| (priority_of(&row.tags), Waiter::Service(ServiceId(row.id))));
    all.extend(proposed.filter(|(priority, waiter)| *priority > request.priority && known.insert(*waiter)));
    all.sort_by_key(|(priority, waiter)| (std::cmp::Reverse(*priority), *waiter));
    all.into_iter().map(|(_, waiter)| waiter).take(WAITERS_MAX).collect()
}

/// Tasks that make room, by the service that it is for and by instance.
fn room_being_made<'a>(
    state: &'a State,
    overlay: &'a Overlay,
    cluster: ClusterId,
) -> BTreeMap<ServiceId, BTreeMap<InstanceId, Victims<'a>>> {
    let proposed = overlay.victims().filter_map(|(id, service)| Some((service, state.tasks.get(&id)?)));
    let proposed = proposed.filter(|(_, task)| task.cluster_id == cluster.0 && !task.released);
    let mut made: BTreeMap<ServiceId, BTreeMap<InstanceId, Victims<'a>>> = BTreeMap::new();
    for (service, task) in state.victims_in(cluster).chain(proposed) {
        let on = made.entry(service).or_default().entry(InstanceId(task.instance_id)).or_default();
        on.insert(task.id.as_ref().map(task_id).unwrap_or_default(), task);
    }
    made
}

/// One task of a service that would be placed now if there were room: it lacks tasks, and does not wait for anything else.
fn of_service(state: &State, overlay: &Overlay, id: ServiceId, fargate: Fargate) -> Option<PlaceRequest> {
    let row = state.services.get(&id)?;
    let (_, definition) = primary_deployment(row)?;
    let proposed: usize = overlay.proposals_of(id).map(|proposal| proposal.instances.len()).sum();
    let has = state.service_counts(id).wanted as usize + proposed;
    let asks = row.status() == ServiceStatusCode::Active
        && !is_daemon(row)
        && !starts_nothing(row)
        && has < row.desired_count as usize;
    asks.then(|| PlaceRequest::of_service(state, overlay, row, definition, 1, fargate).ok()).flatten()
}

/// Its rollout was given up, or its tasks fail: what may never run keeps nobody waiting.
fn starts_nothing(row: &ServiceRow) -> bool {
    row.backoff.as_ref().is_some_and(|backoff| backoff.rounds > 0)
        || row.deployments.iter().any(|d| d.primary && d.rollout_state() == RolloutState::Failed)
}

/// The same of a job, one whose tasks have not failed.
fn of_job(state: &State, overlay: &Overlay, job: &JobRow, fargate: Fargate) -> Option<PlaceRequest> {
    if job.status() != JobStatus::Running || job.last_failure_ms != 0 {
        return None;
    }
    let request = PlaceRequest::of_job(state, job, 1, fargate).ok()?;
    let proposed: u32 = overlay.counts(request.cluster, &request.spread).map(|(_, count)| count).sum();
    let live = state.live_tasks_of_job(job).filter(|task| task.unreachable_since_ms == 0).count();
    (live + (proposed as usize) < places(job) as usize).then_some(request)
}
