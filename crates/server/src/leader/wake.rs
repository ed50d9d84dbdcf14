//! Which services, schedules, jobs and waiting tasks to look at next: those that something changed for, those whose time has come, and now
//! and then all.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use seawall_consensus::AppliedEntry;
use seawall_env::{Env, Instant};
use seawall_model::{ClusterId, InstanceId, JobId, ScheduleId, ServiceId};
use seawall_proto::internal::v1::{InstanceStatus, TaskRow};
use seawall_state::{Change, State, is_daemon, is_over};
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

/// Level-triggered: a hint only says when to look, never what is true.
pub(super) struct Wake {
    env: Env,
    hints: Hints,
    dirty: BTreeSet<Subject>,
    /// Their last decision is on its way.
    busy: BTreeSet<Subject>,
    timers: Timers,
    /// Could not place all their tasks when last looked at.
    waiting: BTreeSet<Subject>,
    /// Placed something last: the next turn is another's.
    turn: Option<Subject>,
    everything_at: Instant,
    not_before: Instant,
}

impl Wake {
    pub(super) fn new(env: &Env, hints: Hints) -> Wake {
        Wake {
            env: env.clone(),
            hints,
            dirty: BTreeSet::new(),
            busy: BTreeSet::new(),
            timers: Timers::default(),
            waiting: BTreeSet::new(),
            turn: None,
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
        } else {
            self.waiting.remove(&subject);
        }
    }

    /// Look at it again at a cluster time.
    pub(super) fn at(&mut self, subject: Subject, cluster_time_ms: i64) {
        self.timers.set(subject, cluster_time_ms);
    }

    pub(super) fn busy(&mut self, subject: Subject) {
        self.busy.insert(subject);
    }

    /// Its decision is applied or lost: what it sees now may ask for more.
    pub(super) fn idle(&mut self, subject: Subject) {
        self.busy.remove(&subject);
        self.dirty.insert(subject);
    }

    /// It took room: others that wait for some come first when there is more.
    pub(super) fn had_turn(&mut self, subject: Subject) {
        self.turn = Some(subject);
    }

    /// Looks at nothing for a moment.
    pub(super) fn back_off(&mut self) {
        self.not_before = self.env.now() + self.env.jitter(BACK_OFF);
    }

    /// The next to look at: daemons first, since others come after them on an instance. The others in turns, from the one after
    /// that which took room last: a backlog holds up nobody.
    pub(super) fn next(&mut self, state: &State, now_ms: i64) -> Option<Subject> {
        if self.env.now() < self.not_before {
            return None;
        }
        if self.env.now() >= self.everything_at {
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
        }
        self.dirty.extend(self.timers.take_due(now_ms));
        let is_ready = |subject: &Subject| self.dirty.contains(subject) && !self.busy.contains(subject);
        let daemon = state.daemons().map(Subject::Service).find(is_ready);
        let subject = daemon.or_else(|| self.in_turn().find(|subject| !self.busy.contains(subject)))?;
        self.dirty.remove(&subject);
        Some(subject)
    }

    fn in_turn(&self) -> impl Iterator<Item = Subject> {
        let after = (self.turn.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        self.dirty.range(after).chain(&self.dirty).copied()
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
        if self.dirty.iter().any(|subject| !self.busy.contains(subject)) {
            return Duration::ZERO;
        }
        let next = self.timers.first().map(|at| Duration::from_millis((at - now_ms).max(0) as u64));
        next.unwrap_or(PAUSE_MAX).min(PAUSE_MAX).min(self.everything_at - now)
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
