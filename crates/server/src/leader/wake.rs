//! Which services, schedules, jobs and waiting tasks to look at next: those that something changed for, those whose time has
//! come, and now and then all.
//!
//! Daemons come first, then schedules, then services and jobs by their class; within a class who was given places longest ago.
//! One that was given some waits until they are applied and is then behind the others, so a backlog holds up nobody.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use seawall_consensus::AppliedEntry;
use seawall_env::{Env, Instant};
use seawall_model::{ClusterId, InstanceId, JobId, ScheduleId, ServiceId};
use seawall_proto::internal::v1::{InstanceStatus, TaskRow};
use seawall_state::{Change, State, is_daemon, is_over, priority_of};
use tokio::sync::broadcast::error::RecvError;

use crate::member::Hints;

#[cfg(test)]
mod tests;

/// Everything is looked at this often, whatever hints were lost.
const EVERYTHING: Duration = Duration::from_secs(30);
/// After an entry that was refused. A leader that hands over refuses all while it still counts as the leader: planning the
/// same again and again would take the time that its successor needs.
const BACK_OFF: Duration = Duration::from_millis(20);
/// Longest sleep of the proposer.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What a controller looks at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Subject {
    Schedule(ScheduleId),
    Service(ServiceId),
    Job(JobId),
    /// Tasks of the cluster that wait for room.
    Waiting(ClusterId),
}

/// In which order subjects are looked at: the smallest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rank {
    kind: Kind,
    priority: Reverse<u32>,
    /// When it was last given places; 0: never.
    served: u64,
}

/// Others come after daemons on an instance. A schedule takes no place itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Daemon,
    Schedule,
    Other,
}

/// Level-triggered: a hint only says when to look, never what is true.
pub(super) struct Wake {
    env: Env,
    hints: Hints,
    dirty: BTreeSet<Subject>,
    /// Of the dirty ones those that are not busy, in their order, and the rank of each.
    queue: BTreeSet<(Rank, Subject)>,
    ranks: BTreeMap<Subject, Rank>,
    /// Who was given places, the last with the largest number.
    served: BTreeMap<Subject, u64>,
    places_given: u64,
    /// Their last decision is on its way.
    busy: BTreeSet<Subject>,
    timers: Timers,
    /// Could not place all their tasks when last looked at.
    waiting: BTreeSet<Subject>,
    everything_at: Instant,
    not_before: Instant,
}

impl Wake {
    pub(super) fn new(env: &Env, hints: Hints) -> Wake {
        Wake {
            env: env.clone(),
            hints,
            dirty: BTreeSet::new(),
            queue: BTreeSet::new(),
            ranks: BTreeMap::new(),
            served: BTreeMap::new(),
            places_given: 0,
            busy: BTreeSet::new(),
            timers: Timers::default(),
            waiting: BTreeSet::new(),
            everything_at: env.now(),
            not_before: Instant::default(),
        }
    }

    /// Look at everything: a new term, or hints that were lost.
    pub(super) fn everything(&mut self) {
        self.everything_at = self.env.now();
        self.busy.clear();
        self.timers = Timers::default();
    }

    /// Takes the hints of an applied entry.
    pub(super) fn note(&mut self, entry: Result<Arc<AppliedEntry>, RecvError>) {
        match entry {
            Ok(entry) => {
                for change in self.hints.of(&entry) {
                    self.note_change(&entry.state, change);
                }
            }
            Err(_) => self.everything_at = self.env.now(),
        }
    }

    fn note_change(&mut self, state: &State, change: &Change) {
        match change {
            Change::Service(id) => {
                let waits = state.services.get(id).is_some_and(|row| !row.unplaced_reason.is_empty());
                self.note_subject(Subject::Service(*id), waits);
            }
            Change::Schedule(id) => self.note_subject(Subject::Schedule(*id), false),
            Change::Job(id) => {
                let row = state.jobs.get(id);
                self.note_subject(Subject::Job(*id), row.is_some_and(|row| !row.unplaced_reason.is_empty()));
                // It may wait for the end of this one.
                if let Some(row) = row.filter(|row| row.schedule_id != 0) {
                    self.dirty.insert(Subject::Schedule(ScheduleId(row.schedule_id)));
                }
            }
            Change::Task(id) => {
                if let Some(task) = state.tasks.get(id) {
                    self.note_task(state, task);
                }
            }
            Change::TaskRetired(task) => self.dirty.extend(owner_of(task)),
            Change::Instance(id) => {
                self.dirty.extend(state.tasks_of_instance(*id).filter_map(|task| owner_of(task)));
                self.dirty.extend(&self.waiting);
                self.dirty.extend(state.daemons().map(Subject::Service));
            }
            Change::Zone(_) => self.everything_at = self.env.now(),
            Change::Meta | Change::Member(_) | Change::Cluster(_) | Change::TaskDefinition(_) => {}
            Change::ServiceEvent(..) | Change::Bookkeeping => {}
        }
    }

    fn note_task(&mut self, state: &State, task: &TaskRow) {
        self.dirty.extend(owner_of(task));
        if task.waiting.is_some() {
            self.note_subject(Subject::Waiting(ClusterId(task.cluster_id)), true);
        }
        // Where a daemon's task was placed others may follow.
        let of_daemon = state.services.get(&ServiceId(task.service_id)).is_some_and(|row| is_daemon(row));
        if task.released || of_daemon {
            self.dirty.extend(&self.waiting);
        }
        let instance = state.instances.get(&InstanceId(task.instance_id));
        if instance.is_some_and(|row| row.status() != InstanceStatus::Active) {
            // The last task of others may have left.
            self.dirty.extend(state.daemons().map(Subject::Service));
        }
    }

    fn note_subject(&mut self, subject: Subject, waits_for_a_place: bool) {
        self.dirty.insert(subject);
        if waits_for_a_place {
            self.waiting.insert(subject);
        } else if self.waiting.remove(&subject) {
            // What it would have taken is for the others now.
            self.dirty.extend(&self.waiting);
        }
    }

    /// Look at it again at a cluster time.
    pub(super) fn at(&mut self, subject: Subject, cluster_time_ms: i64) {
        self.timers.set(subject, cluster_time_ms);
    }

    pub(super) fn busy(&mut self, subject: Subject) {
        self.busy.insert(subject);
    }

    /// It was given places: others of its class come before it now.
    pub(super) fn served(&mut self, subject: Subject) {
        self.places_given += 1;
        self.served.insert(subject, self.places_given);
    }

    /// Its decision is applied or lost: what it sees now may ask for more.
    pub(super) fn idle(&mut self, subject: Subject) {
        self.busy.remove(&subject);
        self.dirty.insert(subject);
    }

    /// Looks at nothing for a moment.
    pub(super) fn back_off(&mut self) {
        self.not_before = self.env.now() + self.env.jitter(BACK_OFF);
    }

    /// Whether everything is to be looked at now.
    pub(super) fn is_due(&self) -> bool {
        self.env.now() >= self.everything_at
    }

    /// The next to look at.
    pub(super) fn next(&mut self, state: &State, now_ms: i64) -> Option<Subject> {
        if self.env.now() < self.not_before {
            return None;
        }
        if self.is_due() {
            self.everything_at = self.env.now() + EVERYTHING;
            for (id, row) in state.services.iter() {
                self.note_subject(Subject::Service(*id), !row.unplaced_reason.is_empty());
            }
            for (id, row) in state.jobs.iter().filter(|(_, row)| !is_over(row)) {
                self.note_subject(Subject::Job(*id), !row.unplaced_reason.is_empty());
            }
            self.dirty.extend(state.schedules.iter().map(|(id, _)| Subject::Schedule(*id)));
            self.waiting.retain(|subject| !matches!(subject, Subject::Waiting(_)));
            for cluster in state.clusters_with_waiting_tasks() {
                self.note_subject(Subject::Waiting(cluster), true);
            }
            self.served.retain(|subject, _| is_there(state, *subject));
        }
        self.dirty.extend(self.timers.take_due(now_ms));
        self.rank(state);
        let (_, subject) = self.queue.pop_first()?;
        self.ranks.remove(&subject);
        Some(subject)
    }

    /// Puts those that are ready into their order. The busy ones stay where they are.
    fn rank(&mut self, state: &State) {
        let ready: Vec<Subject> = self.dirty.extract_if(.., |subject| !self.busy.contains(subject)).collect();
        for subject in ready {
            let rank = rank_of(state, subject, self.served.get(&subject).copied().unwrap_or(0));
            if let Some(before) = self.ranks.insert(subject, rank) {
                self.queue.remove(&(before, subject));
            }
            self.queue.insert((rank, subject));
        }
    }

    /// How long the proposer may sleep if nothing else wakes it.
    pub(super) fn pause(&self, may_plan: bool, now_ms: i64) -> Duration {
        if !may_plan {
            return PAUSE_MAX;
        }
        let now = self.env.now();
        if now < self.not_before {
            return self.not_before - now;
        }
        if !self.queue.is_empty() || self.dirty.iter().any(|subject| !self.busy.contains(subject)) {
            return Duration::ZERO;
        }
        let next = self.timers.first().map(|at| Duration::from_millis((at - now_ms).max(0) as u64));
        next.unwrap_or(PAUSE_MAX).min(PAUSE_MAX).min(self.everything_at - now)
    }
}

fn rank_of(state: &State, subject: Subject, served: u64) -> Rank {
    let (kind, priority) = match subject {
        Subject::Schedule(_) => (Kind::Schedule, 0),
        Subject::Service(id) => {
            let row = state.services.get(&id);
            let kind = if row.is_some_and(|row| is_daemon(row)) { Kind::Daemon } else { Kind::Other };
            (kind, row.map_or(0, |row| priority_of(&row.tags)))
        }
        Subject::Job(id) => {
            let template = state.jobs.get(&id).and_then(|row| row.template.as_ref());
            (Kind::Other, priority_of(template.map_or(&[], |template| &template.tags)))
        }
        Subject::Waiting(cluster) => {
            (Kind::Other, state.waiting_tasks(cluster).map(|task| priority_of(&task.tags)).max().unwrap_or(0))
        }
    };
    Rank { kind, priority: Reverse(priority), served }
}

fn is_there(state: &State, subject: Subject) -> bool {
    match subject {
        Subject::Schedule(id) => state.schedules.get(&id).is_some(),
        Subject::Service(id) => state.services.get(&id).is_some(),
        Subject::Job(id) => state.jobs.get(&id).is_some(),
        Subject::Waiting(cluster) => state.waiting_tasks(cluster).next().is_some(),
    }
}

/// The service or job that a task belongs to.
fn owner_of(task: &TaskRow) -> Option<Subject> {
    match (task.service_id, task.job_id) {
        (0, 0) => None,
        (0, job) => Some(Subject::Job(JobId(job))),
        (service, _) => Some(Subject::Service(ServiceId(service))),
    }
}

/// Cluster times at which somebody asked to be looked at, one each.
#[derive(Default)]
struct Timers {
    by_subject: BTreeMap<Subject, i64>,
    by_time: BTreeSet<(i64, Subject)>,
}

impl Timers {
    fn set(&mut self, subject: Subject, at_ms: i64) {
        if let Some(before_ms) = self.by_subject.insert(subject, at_ms) {
            self.by_time.remove(&(before_ms, subject));
        }
        self.by_time.insert((at_ms, subject));
    }

    fn first(&self) -> Option<i64> {
        self.by_time.first().map(|(at_ms, _)| *at_ms)
    }

    fn take_due(&mut self, now_ms: i64) -> Vec<Subject> {
        let mut due = Vec::new();
        while self.first().is_some_and(|at_ms| at_ms <= now_ms)
            && let Some((_, subject)) = self.by_time.pop_first()
        {
            self.by_subject.remove(&subject);
            due.push(subject);
        }
        due
    }
}
