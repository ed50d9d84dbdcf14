//! Choosing instances for tasks.

use std::{cmp::Reverse, collections::BTreeMap};

use seawall_model::{Id128, InstanceId};
use seawall_proto::internal::v1::TaskRow;
use seawall_state::State;

use crate::{
    Candidate, Failure, FilterCount, Overlay, PlaceRequest, Placement, Plan, Pool, Requirement, Reserved, Seen, Share,
    choose::Chooser,
    filters::{self, Filter, LeftOut},
    pool,
    skew::Skew,
    spread,
};

/// The end of ECS's event where there is no instance at all.
pub const NO_INSTANCES: &str = "Reason: No Container Instances were found in your cluster.";
/// Failures that one plan lists: an answer with ten thousand of them helps nobody.
pub const FAILURES_MAX: usize = 100;

/// Chooses an instance for each task of the request.
pub fn place(state: &State, overlay: &Overlay, request: &PlaceRequest) -> Plan {
    match &request.only {
        Some(only) => place_chosen(state, overlay, request, only),
        None => place_best(state, overlay, request),
    }
}

fn place_best(state: &State, overlay: &Overlay, request: &PlaceRequest) -> Plan {
    let mut candidates = candidates(state, overlay, request);
    if request.shares.is_empty() {
        return place_some(&mut candidates, request, &request.requirement, request.count);
    }
    let mut plan = Plan::default();
    for (share, count) in request.shares.iter().zip(pool::split(&request.shares, request.count)) {
        if count == 0 {
            continue;
        }
        let needs = Requirement { pool: share.pool.clone(), ..request.requirement.clone() };
        let some = match is_behind(state, request, share) {
            true => Plan::default(),
            false => place_some(&mut candidates, request, &needs, count),
        };
        plan.add(some, share, count);
    }
    plan
}

/// Whether tasks of the same group wait for this capacity provider already: those come first.
fn is_behind(state: &State, request: &PlaceRequest, share: &Share) -> bool {
    let is_ahead = |task: &TaskRow| task.capacity_provider == share.provider && task.group == request.group;
    share.waits && state.waiting_tasks(request.cluster).any(|task| is_ahead(task))
}

/// Takes the best of the instances that fit, `count` times.
fn place_some(candidates: &mut [Candidate<'_>], request: &PlaceRequest, needs: &Requirement, count: u32) -> Plan {
    let (fitting, counts) = fitting(needs, candidates);
    let mut chooser = Chooser::new(&request.strategy, candidates, &fitting, Skew::of(needs, candidates));
    let looked_at = candidates.len() as u32;
    let best = chooser.best(candidates);
    let seen = Seen { instances: looked_at, looked_at, fitted: fitting.len() as u32, best };
    let mut placements = Vec::with_capacity((count as usize).min(fitting.len() * 16));
    let of = format!("{} of {} fit", fitting.len(), candidates.len());
    while placements.len() < count as usize {
        let Some(choice) = chooser.take() else { break };
        let candidate = &mut candidates[choice.candidate];
        let note = format!("{}; {of}", chooser.why(&choice));
        placements.push(Placement { instance: candidate.id(), note, provider: String::new() });
        candidate.take(&needs.size);
        let fits = filters::first_failing(&filters::PIPELINE, needs, candidate).is_none();
        chooser.put_back(&choice, candidate, fits);
    }
    if placements.len() >= count as usize {
        return Plan { placements, counts, seen, ..Plan::default() };
    }
    if let Some(skew) = chooser.skew {
        skew.mark(candidates);
    }
    let (failures, obstacles) = failures(needs, candidates);
    Plan { placements, failures, counts, closest: Some(closest(needs, candidates)), obstacles, seen, ..Plan::default() }
}

fn place_chosen(state: &State, overlay: &Overlay, request: &PlaceRequest, only: &[InstanceId]) -> Plan {
    let mut plan = Plan::default();
    let mut left_out = LeftOut::default();
    let reserved = Reserved::from(state, overlay, request);
    for &instance in only {
        let row = state.instances.get(&instance).filter(|row| row.cluster_id == request.cluster.0);
        let Some(row) = row else {
            plan.failures.push(Failure { instance, reason: "MISSING", detail: "no such container instance".into() });
            continue;
        };
        let mut candidate = Candidate::new(state, overlay, row);
        reserved.keep(&mut candidate);
        match filters::first_failing(&filters::CHOSEN, &request.requirement, &candidate) {
            None => plan.placements.push(Placement {
                instance,
                note: "chosen by the caller".into(),
                provider: String::new(),
            }),
            Some((_, filter)) => {
                left_out.add(filters::place_of(filter));
                plan.failures.push(failure(filter, &request.requirement, &candidate));
            }
        }
    }
    plan.counts = left_out.counts();
    plan.obstacles = left_out.counts();
    plan.seen = Seen::of_chosen(only.len(), &plan.placements);
    plan
}

/// The instances of the cluster, by id, with their counts.
pub(crate) fn candidates<'a>(state: &'a State, overlay: &'a Overlay, request: &'a PlaceRequest) -> Vec<Candidate<'a>> {
    let counts = spread::counts(state, overlay, request.cluster, &request.spread);
    let reserved = Reserved::from(state, overlay, request);
    let candidate = |row: &'a std::sync::Arc<_>| {
        let candidate = Candidate::new(state, overlay, row);
        let tasks = counts.get(&candidate.id()).copied().unwrap_or(0);
        reserved.left_to(candidate, tasks, request)
    };
    state.instances_of(request.cluster).map(candidate).collect()
}

/// Tasks of the spread by zone, on instances that do not fit too.
pub(crate) fn zone_tasks<'a>(candidates: &[Candidate<'a>]) -> BTreeMap<&'a str, u32> {
    let mut zones = BTreeMap::new();
    for candidate in candidates.iter().filter(|c| c.tasks > 0) {
        *zones.entry(candidate.row.zone.as_str()).or_default() += candidate.tasks;
    }
    zones
}

/// Places of the candidates that fit, and how many each filter left out.
pub(crate) fn fitting(needs: &Requirement, candidates: &[Candidate<'_>]) -> (Vec<usize>, Vec<FilterCount>) {
    let mut left_out = LeftOut::default();
    let mut fitting = Vec::with_capacity(candidates.len());
    for (i, candidate) in candidates.iter().enumerate() {
        match filters::first_failing(&filters::PIPELINE, needs, candidate) {
            None => fitting.push(i),
            Some((at, _)) => left_out.add(at),
        }
    }
    (fitting, left_out.counts())
}

/// The instances that do not fit, the closest matches first: those that got furthest, then the emptiest.
pub(crate) fn failing<'c>(
    needs: &Requirement,
    candidates: &'c [Candidate<'c>],
) -> Vec<(&'c Candidate<'c>, &'static dyn Filter)> {
    let objection = |c| filters::first_failing(&filters::PIPELINE, needs, c).map(|(at, filter)| (at, c, filter));
    let mut failing: Vec<_> = candidates.iter().filter_map(objection).collect();
    failing.sort_by_key(|(at, c, _)| (Reverse(*at), Reverse(c.free_share()), c.id()));
    failing.into_iter().map(|(_, c, filter)| (c, filter)).collect()
}

/// The closest matches, and in the last one's words how many more there are, by reason; and how many instances each filter left
/// out.
fn failures(needs: &Requirement, candidates: &[Candidate<'_>]) -> (Vec<Failure>, Vec<FilterCount>) {
    let all = failing(needs, candidates);
    let (shown, more) = all.split_at(all.len().min(FAILURES_MAX));
    let mut failures: Vec<Failure> = shown.iter().map(|(c, filter)| failure(*filter, needs, c)).collect();
    let mut left_out = LeftOut::default();
    all.iter().for_each(|(_, filter)| left_out.add(filters::place_of(*filter)));
    if let Some(last) = failures.last_mut().filter(|_| !more.is_empty()) {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, filter) in more {
            *reasons.entry(filter.reason()).or_default() += 1;
        }
        let counts: Vec<String> = reasons.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        last.detail = format!("{}; {} more instances: {}", last.detail, more.len(), counts.join(", "));
    }
    (failures, left_out.counts())
}

/// ECS's sentence about the instance that came closest.
pub(crate) fn closest(needs: &Requirement, candidates: &[Candidate<'_>]) -> String {
    failing(needs, candidates).first().map_or_else(
        || NO_INSTANCES.to_owned(),
        |(c, filter)| {
            let id = Id128::from_halves(c.row.arn_hi, c.row.arn_lo);
            format!("The closest matching (container-instance {id}) {}", filter.closest())
        },
    )
}

/// Whether two sentences of [`Plan::closest`] tell of the same filter: which instance comes closest changes all the time.
pub fn is_same_obstacle(one: &str, other: &str) -> bool {
    let without_instance = |sentence| str::split_once(sentence, ") ").map_or(sentence, |(_, filter)| filter);
    without_instance(one) == without_instance(other)
}

/// Whether the instance takes one more task of the request once these tasks have stopped on it.
pub fn fits_after(reserved: &Reserved<'_>, request: &PlaceRequest, instance: InstanceId, stopped: &[&TaskRow]) -> bool {
    let (state, overlay) = (reserved.state, reserved.overlay);
    let Some(row) = state.instances.get(&instance) else { return false };
    let tasks = spread::count_on(state, overlay, request.cluster, &request.spread, instance);
    let mut candidate = reserved.left_to(Candidate::new(state, overlay, row), tasks, request);
    for task in stopped {
        candidate.give_back_task(task);
        candidate.tasks = candidate.tasks.saturating_sub(1);
    }
    let pools = request.shares.iter().map(|share| &share.pool);
    let is_refused = |pool: &Pool| {
        let needs = Requirement { pool: pool.clone(), ..request.requirement.clone() };
        filters::first_failing(&filters::PIPELINE, &needs, &candidate).is_some()
    };
    match request.shares.is_empty() {
        true => !is_refused(&request.requirement.pool),
        false => !pools.into_iter().all(is_refused),
    }
}

fn failure(filter: &dyn Filter, needs: &Requirement, candidate: &Candidate<'_>) -> Failure {
    Failure { instance: candidate.id(), reason: filter.reason(), detail: filter.explain(needs, candidate) }
}
