//! Whose tasks stop so that one of a higher class finds room.
//!
//! Only tasks of strictly lower classes, on one instance where the task then fits, and only where nothing that is stopping
//! already leaves the room. Of the instances the one is taken whose victims are of the lowest class, then the fewest, then the
//! youngest; no victim could be left out. Who gives way has said so: a service down to its minimumHealthyPercent, a task that
//! nothing replaces (RunTask) or that would begin again (a job's) by a priority of its own. Protected tasks and daemons stay.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use seawall_model::{InstanceId, ServiceId, TaskId};
use seawall_proto::internal::v1::{TaskRow, TaskStatus};
use seawall_state::{State, is_daemon, priority_said, task_id};

use crate::{
    Candidate, Overlay, PlaceRequest, Requirement, Reserved,
    daemon::passes,
    filters::{BELONGS, PIPELINE},
    skew::Skew,
    spread,
};

/// Tasks that one preemption stops at most.
pub const VICTIMS_MAX: usize = 16;

/// What may be done to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Tasks of the request that lack a place.
    pub tasks: u32,
    /// Victims that the cluster's budget has left.
    pub victims: usize,
    /// The cluster time, for protections that have ended.
    pub now_ms: i64,
}

/// Tasks that stop on one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// Where a task then fits.
    pub instance: InstanceId,
    /// The tasks, the lowest class first.
    pub victims: Vec<TaskId>,
    /// The highest of their classes.
    pub priority: u32,
}

/// Tasks of lower classes that stay, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared {
    /// Scale-in protection.
    pub protected: u32,
    /// Their service would fall below its minimumHealthyPercent.
    pub at_minimum: u32,
    /// Nothing takes their place, or they would begin again, and they have no priority of their own.
    pub unsaid: u32,
}

/// What would make room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreemptionPlan {
    /// In the order in which they are to be done.
    pub chosen: Vec<Preemption>,
    /// Tasks that will find room where others are stopping already.
    pub awaited: u32,
    /// More would help, and the budget is used up.
    pub is_short: bool,
    /// Tasks of lower classes that were looked at.
    pub lower: u32,
    /// Those of them that stay whatever they would make room for.
    pub spared: Spared,
}

/// Plans whose tasks stop for those of a request that fit nowhere.
pub fn preempt(state: &State, overlay: &Overlay, request: &PlaceRequest, room: Room) -> PreemptionPlan {
    let mut plan = PreemptionPlan::default();
    if room.tasks == 0 || !state.has_lower_class(request.cluster, request.priority) {
        return plan;
    }
    let mut search =
        Search { state, overlay, request, needs: request.next_requirement(), room, skew: None, spare: BTreeMap::new() };
    let reserved = Reserved::from(state, overlay, request);
    let counts = spread::counts(state, overlay, request.cluster, &request.spread);
    let belongs = |candidate: &Candidate<'_>| passes(&BELONGS, &search.needs, candidate);
    let mut candidates = Vec::new();
    for candidate in state.instances_of(request.cluster).map(|row| Candidate::new(state, overlay, row)).filter(belongs)
    {
        let tasks = counts.get(&candidate.id()).copied().unwrap_or(0);
        candidates.push(reserved.left_to(candidate, tasks, request));
    }
    search.skew = Skew::of(&search.needs, &candidates);
    let mut options = Vec::new();
    for candidate in candidates {
        match search.leaving(candidate.id()) {
            leaving if leaving.is_empty() => options.extend(search.option(&candidate, &mut plan)),
            leaving => plan.awaited += search.fit_once_left(candidate, &leaving),
        }
    }
    options.sort_by_key(|option| option.key);
    search.choose(options, &mut plan);
    plan
}

struct Search<'a> {
    state: &'a State,
    overlay: &'a Overlay,
    request: &'a PlaceRequest,
    needs: Requirement,
    room: Room,
    /// The zones that may get one more, where that is limited.
    skew: Option<Skew<'a>>,
    /// Of each service: its tasks that may go, and of the RUNNING ones.
    spare: BTreeMap<ServiceId, Spare>,
}

/// Tasks of a service above its minimum: of all, and of those that run.
#[derive(Clone, Copy)]
struct Spare {
    wanted: u32,
    running: u32,
}

/// A task that could stop, with its class.
type Victim<'a> = (u32, &'a TaskRow);

/// One instance's victims. The smallest key is taken first.
struct Choice<'a> {
    key: (u32, usize, Reverse<i64>, InstanceId),
    victims: Vec<Victim<'a>>,
}

impl<'a> Search<'a> {
    /// Tasks on an instance that are stopping and hold what they have.
    fn leaving(&self, instance: InstanceId) -> Vec<&'a TaskRow> {
        let tasks = self.state.tasks_of_instance(instance).map(AsRef::as_ref);
        tasks.filter(|task| !task.released && self.is_stopping(task)).collect()
    }

    fn is_stopping(&self, task: &TaskRow) -> bool {
        !task.desired_running || self.overlay.is_stopping(id_of(task))
    }

    /// How many tasks fit where others have stopped.
    fn fit_once_left(&mut self, mut candidate: Candidate<'_>, leaving: &[&TaskRow]) -> u32 {
        leaving.iter().for_each(|task| candidate.give_back_task(task));
        let zone = &candidate.row.zone;
        let mut fit = 0;
        while fit < self.room.tasks && self.may_grow(zone) && passes(&PIPELINE, &self.needs, &candidate) {
            candidate.take(&self.needs.size);
            self.grow(zone);
            fit += 1;
        }
        fit
    }

    fn may_grow(&self, zone: &str) -> bool {
        self.skew.as_ref().is_none_or(|skew| skew.may_grow(zone))
    }

    fn grow(&mut self, zone: &str) {
        if let Some(skew) = &mut self.skew {
            skew.add(zone);
        }
    }

    /// The victims on an instance after which one more task fits: none of them could be left out.
    fn option(&mut self, candidate: &Candidate<'_>, plan: &mut PreemptionPlan) -> Option<Choice<'a>> {
        let mut lower = self.lower(candidate.id(), plan);
        if !self.fits(candidate, &lower) {
            return None;
        }
        lower.sort_by_key(|(class, task)| (*class, Reverse(task.created_at_ms), Reverse(id_of(task))));
        let enough = self.enough(candidate, &lower, &mut plan.spared).or_else(|| {
            // A service may spare few of its tasks: then the larger ones.
            lower.sort_by_key(|(class, task)| (*class, Reverse(task.cpu), Reverse(task.memory)));
            self.enough(candidate, &lower, &mut Spared::default())
        });
        let victims = self.without_needless(candidate, enough?);
        let class = victims.iter().map(|(class, _)| *class).max()?;
        let oldest = victims.iter().map(|(_, task)| task.created_at_ms).min()?;
        let key = (class, victims.len(), Reverse(oldest), candidate.id());
        (victims.len() <= VICTIMS_MAX).then_some(Choice { key, victims })
    }

    /// Tasks of lower classes on an instance that may be told to stop.
    fn lower(&self, instance: InstanceId, plan: &mut PreemptionPlan) -> Vec<Victim<'a>> {
        let mut lower = Vec::new();
        for task in self.state.tasks_of_instance(instance).map(AsRef::as_ref) {
            let class = self.state.priority_of_task(task);
            let service = self.state.services.get(&ServiceId(task.service_id));
            if class >= self.request.priority || task.released || service.is_some_and(|row| is_daemon(row)) {
                continue;
            }
            plan.lower += 1;
            if task.protected_until_ms > self.room.now_ms {
                plan.spared.protected += 1;
            } else if task.service_id == 0 && priority_said(&task.tags).is_none() {
                plan.spared.unsaid += 1;
            } else {
                lower.push((class, task));
            }
        }
        lower
    }

    /// The first of the victims, in their order, after which a task fits.
    fn enough(
        &mut self,
        candidate: &Candidate<'_>,
        all: &[Victim<'a>],
        spared: &mut Spared,
    ) -> Option<Vec<Victim<'a>>> {
        let mut spare = BTreeMap::new();
        let mut victims: Vec<Victim<'a>> = Vec::new();
        for victim in all {
            if self.fits(candidate, &victims) {
                break;
            }
            let service = ServiceId(victim.1.service_id);
            let left = *spare.entry(service).or_insert_with(|| self.spare_of(service));
            match left.without(victim.1) {
                Some(fewer) => {
                    spare.insert(service, fewer);
                    victims.push(*victim);
                }
                None => spared.at_minimum += 1,
            }
        }
        self.fits(candidate, &victims).then_some(victims)
    }

    /// Leaves out whom it does not need: the highest classes first, then the smallest, then the oldest.
    fn without_needless(&self, candidate: &Candidate<'_>, mut victims: Vec<Victim<'a>>) -> Vec<Victim<'a>> {
        let mut order: Vec<Victim<'a>> = victims.clone();
        order.sort_by_key(|(class, task)| (Reverse(*class), task.cpu, task.memory, task.created_at_ms, id_of(task)));
        for (_, needless) in order {
            let fewer: Vec<_> = victims.iter().copied().filter(|(_, task)| task.id != needless.id).collect();
            if self.fits(candidate, &fewer) {
                victims = fewer;
            }
        }
        victims
    }

    fn fits(&self, candidate: &Candidate<'_>, without: &[Victim<'_>]) -> bool {
        let mut candidate = candidate.clone();
        without.iter().for_each(|(_, task)| candidate.give_back_task(task));
        passes(&PIPELINE, &self.needs, &candidate)
    }

    /// What a service may spare: tasks on their way to stop are gone already.
    fn spare_of(&mut self, service: ServiceId) -> Spare {
        let (state, overlay) = (self.state, self.overlay);
        *self.spare.entry(service).or_insert_with(|| Spare::of(state, overlay, service))
    }

    /// Takes the best while tasks lack a place, services may spare the victims and the budget lasts.
    fn choose(&mut self, options: Vec<Choice<'a>>, plan: &mut PreemptionPlan) {
        let mut victims_left = self.room.victims;
        for Choice { key: (priority, count, _, instance), victims } in options {
            if plan.awaited + plan.chosen.len() as u32 >= self.room.tasks {
                return;
            }
            if count > victims_left {
                plan.is_short = true;
                continue;
            }
            let zone = self.state.instances.get(&instance).map_or("", |row| &row.zone);
            let Some(spare) = self.spare_without(&victims).filter(|_| self.may_grow(zone)) else { continue };
            self.spare.extend(spare);
            self.grow(zone);
            victims_left -= count;
            let victims = victims.iter().map(|(_, task)| id_of(task)).collect();
            plan.chosen.push(Preemption { instance, victims, priority });
        }
    }

    /// What is left to spare once these have stopped; `None`: too little.
    fn spare_without(&mut self, victims: &[Victim<'a>]) -> Option<BTreeMap<ServiceId, Spare>> {
        let mut spare: BTreeMap<ServiceId, Spare> = BTreeMap::new();
        for (_, task) in victims {
            let service = ServiceId(task.service_id);
            let left = spare.get(&service).copied().unwrap_or_else(|| self.spare_of(service));
            spare.insert(service, left.without(task)?);
        }
        Some(spare)
    }
}

impl Spare {
    fn of(state: &State, overlay: &Overlay, id: ServiceId) -> Self {
        // A task of no service has nothing that it would fall short of.
        let Some(row) = state.services.get(&id) else { return Spare { wanted: u32::MAX, running: u32::MAX } };
        let minimum = u64::from(row.desired_count) * u64::from(row.minimum_healthy_percent);
        let minimum = u32::try_from(minimum.div_ceil(100)).unwrap_or(u32::MAX).min(row.desired_count);
        let counts = state.service_counts(id);
        let mut spare =
            Spare { wanted: counts.wanted.saturating_sub(minimum), running: counts.running.saturating_sub(minimum) };
        let stops = |task: &&TaskRow| overlay.is_stopping(id_of(task)) || (!task.desired_running && is_running(task));
        for task in state.live_tasks_of_service(id).map(AsRef::as_ref).filter(stops) {
            spare.wanted = spare.wanted.saturating_sub(task.desired_running.into());
            spare.running = spare.running.saturating_sub(is_running(task).into());
        }
        spare
    }

    /// After one more has gone; `None` where it may not.
    fn without(self, task: &TaskRow) -> Option<Self> {
        let running = self.running.checked_sub(is_running(task).into())?;
        Some(Spare { wanted: self.wanted.checked_sub(1)?, running })
    }
}

impl PreemptionPlan {
    /// Why, in one sentence for people.
    pub fn says(&self, state: &State) -> String {
        if let Some(first) = self.chosen.first() {
            let whose: BTreeSet<String> = first.victims.iter().filter_map(|id| whose(state, *id)).collect();
            let whose = whose.into_iter().collect::<Vec<_>>().join(", ");
            let name = state.instances.get(&first.instance).map_or("", |row| &row.ec2_instance_id);
            return format!(
                "preemption: {} tasks of lower priority on instance {name} ({whose}) may stop to make room",
                first.victims.len()
            );
        }
        if self.awaited > 0 {
            return "preemption: none is needed, tasks that are stopping make room".into();
        }
        if self.is_short {
            return "preemption: the cluster's budget for this minute is used up".into();
        }
        if self.lower == 0 {
            return "preemption: no task of a lower priority stands where this one may go".into();
        }
        let Spared { protected, at_minimum, unsaid } = self.spared;
        let reasons = [
            (protected, "are protected"),
            (at_minimum, "keep their service at its minimumHealthyPercent"),
            (unsaid, "are no service's and have no priority of their own"),
        ];
        let reasons: Vec<String> =
            reasons.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
        match reasons.is_empty() {
            true => {
                format!("preemption: without the {} tasks of lower priority there it would not fit either", self.lower)
            }
            false => format!("preemption: of {} tasks of lower priority {}", self.lower, reasons.join(", ")),
        }
    }
}

impl fmt::Display for PreemptionPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Preemption { instance, victims, priority } in &self.chosen {
            let tasks: Vec<String> = victims.iter().map(ToString::to_string).collect();
            writeln!(f, "on {instance}, priority {priority} at most: stop {}", tasks.join(", "))?;
        }
        let Spared { protected, at_minimum, unsaid } = self.spared;
        writeln!(
            f,
            "{} awaited, {} lower: {protected} protected, {at_minimum} at their minimum, {unsaid} without a priority{}",
            self.awaited,
            self.lower,
            if self.is_short { "; short of budget" } else { "" }
        )
    }
}

/// Whose a task is: its service or its group.
fn whose(state: &State, id: TaskId) -> Option<String> {
    state.tasks.get(&id).map(|task| task.group.clone())
}

fn is_running(task: &TaskRow) -> bool {
    task.last_status() == TaskStatus::Running && task.unreachable_since_ms == 0
}

fn id_of(task: &TaskRow) -> TaskId {
    task.id.as_ref().map(task_id).unwrap_or_default()
}
