//! One task on each instance: where daemons' tasks belong, and the room that is kept for them.
//!
//! A daemon's task that belongs on an instance and is not there keeps what it needs: others see that much less of the
//! instance. Where it fits now, tasks of other services wait until it is placed, unless the daemon waits itself because its
//! tasks fail: a log collector that crashes must not stop a cluster. Daemons themselves do not wait for each other.

use std::collections::BTreeSet;

use seawall_model::{ClusterId, InstanceId, ServiceId};
use seawall_proto::internal::v1::{RolloutState, ServiceRow};
use seawall_state::{State, primary_deployment};

use crate::{
    Candidate, Fargate, Overlay, PlaceRequest, Placement, Plan, Requirement, Seen, Spread,
    filters::{self, Filter, LeftOut},
    first::First,
    place::closest,
};

/// Instances of the cluster where a daemon's task of this kind belongs, by id. Whether there is room is not asked.
pub fn instances_for(state: &State, cluster: ClusterId, needs: &Requirement) -> BTreeSet<InstanceId> {
    let nothing = Overlay::default();
    let candidates = state.instances_of(cluster).map(|row| Candidate::new(state, &nothing, row));
    candidates.filter(|c| passes(&filters::BELONGS, needs, c)).map(|c| c.id()).collect()
}

/// Places one task on each of the instances that has the room.
pub fn place_on_each(state: &State, overlay: &Overlay, request: &PlaceRequest, on: &[InstanceId]) -> Plan {
    let mut plan = Plan::default();
    let (mut failing, mut left_out) = (Vec::new(), LeftOut::default());
    for row in on.iter().filter_map(|id| state.instances.get(id)) {
        let candidate = Candidate::new(state, overlay, row);
        match filters::first_failing(&filters::PIPELINE, &request.requirement, &candidate) {
            None => plan.placements.push(Placement {
                instance: candidate.id(),
                note: "one on each instance".into(),
                provider: String::new(),
            }),
            Some((at, _)) => {
                left_out.add(at);
                failing.push(candidate);
            }
        }
    }
    plan.counts = left_out.counts();
    plan.obstacles = left_out.counts();
    plan.seen = Seen::of_chosen(on.len(), &plan.placements);
    plan.closest = (!failing.is_empty()).then(|| closest(&request.requirement, &failing));
    plan
}

pub(crate) fn passes(pipeline: &[&dyn Filter], needs: &Requirement, candidate: &Candidate<'_>) -> bool {
    filters::first_failing(pipeline, needs, candidate).is_none()
}

/// What a cluster's instances keep for daemons. Made once for a plan: costs what daemons there are, not their instances.
pub struct Reserved<'a> {
    pub(crate) state: &'a State,
    pub(crate) overlay: &'a Overlay,
    daemons: Vec<Daemon>,
    first: First<'a>,
}

struct Daemon {
    id: ServiceId,
    needs: Requirement,
    /// Services come after it. Not where its own tasks fail.
    comes_first: bool,
    /// Where its tasks are told to stop, or cannot be reached: what they hold is held.
    leaving: BTreeSet<InstanceId>,
}

impl<'a> Reserved<'a> {
    /// What is kept from the tasks of a request.
    pub fn from(state: &'a State, overlay: &'a Overlay, request: &PlaceRequest) -> Self {
        let (cluster, whose) = (request.cluster, &request.spread);
        let is_daemons = |row: &ServiceRow| matches!(whose, Spread::Service(id) if id.0 == row.id);
        let all = || state.daemons_of(cluster).map(AsRef::as_ref);
        let daemons = match all().any(is_daemons) {
            true => Vec::new(),
            false => all().filter_map(|row| Daemon::new(state, row, whose)).collect(),
        };
        Reserved { state, overlay, daemons, first: First::before(state, overlay, request) }
    }

    /// What they leave of an instance to a request that has so many tasks there.
    pub(crate) fn left_to<'c>(
        &self,
        mut candidate: Candidate<'c>,
        tasks: u32,
        request: &'c PlaceRequest,
    ) -> Candidate<'c> {
        // Before its tasks are known: a daemon would take them for its own.
        self.keep(&mut candidate);
        candidate.kept_for = self.first.waits_for(&candidate);
        candidate.with_tasks(tasks, request)
    }

    /// Takes out of what a candidate has free what daemons need there.
    pub(crate) fn keep(&self, candidate: &mut Candidate<'_>) {
        for daemon in &self.daemons {
            if !self.is_missing(daemon, candidate) {
                continue;
            }
            candidate.awaits_daemon |= daemon.comes_first && passes(&filters::PIPELINE, &daemon.needs, candidate);
            candidate.keep(&daemon.needs.size);
        }
    }

    fn is_missing(&self, daemon: &Daemon, candidate: &Candidate<'_>) -> bool {
        let id = candidate.id();
        passes(&filters::BELONGS, &daemon.needs, candidate)
            && candidate.could_take(&daemon.needs.size)
            && self.state.service_tasks_on_instance(daemon.id, id) == 0
            && !daemon.leaving.contains(&id)
            && !self.overlay.has_task_of(daemon.id, id)
    }
}

impl Daemon {
    /// `None` where it starts nothing: its rollout was given up.
    fn new(state: &State, row: &ServiceRow, whose: &Spread) -> Option<Self> {
        let id = ServiceId(row.id);
        let (_, definition) = primary_deployment(row)?;
        let nothing = Overlay::default();
        // Daemons have neither FARGATE nor capacity providers.
        let request = PlaceRequest::of_service(state, &nothing, row, definition, 1, Fargate::default()).ok()?;
        if row.deployments.iter().any(|d| d.primary && d.rollout_state() == RolloutState::Failed) {
            return None;
        }
        let fails = row.backoff.as_ref().is_some_and(|backoff| backoff.rounds > 0);
        let counts = state.service_counts(id);
        let mut leaving = BTreeSet::new();
        if counts.live > counts.wanted {
            leaving.extend(state.live_tasks_of_service(id).map(|task| InstanceId(task.instance_id)));
        }
        Some(Daemon {
            id,
            needs: request.requirement,
            comes_first: !fails && matches!(whose, Spread::Service(_)),
            leaving,
        })
    }
}
