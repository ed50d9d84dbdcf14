//! Which services to look at next: those that something changed for, those whose time has come, and now and then all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use seawall_consensus::AppliedEntry;
use seawall_env::{Env, Instant};
use seawall_model::{InstanceId, ServiceId};
use seawall_proto::internal::v1::{InstanceStatus, TaskRow};
use seawall_state::{Change, State, is_daemon};
use tokio::sync::broadcast::error::RecvError;

use crate::member::Hints;

#[cfg(test)]
mod tests;

/// Every service is looked at this often, whatever hints were lost.
const EVERYTHING: Duration = Duration::from_secs(30);
/// After an entry that was refused. A leader that hands over refuses all while it still counts as the leader: planning the
/// same again and again would take the time that its successor needs.
const BACK_OFF: Duration = Duration::from_millis(20);
/// Longest sleep of the proposer.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Level-triggered: a hint only says when to look, never what is true.
pub(super) struct Wake {
    env: Env,
    hints: Hints,
    dirty: BTreeSet<ServiceId>,
    /// Their last decision is on its way.
    busy: BTreeSet<ServiceId>,
    /// Cluster times at which a service asked to be looked at.
    timers: BTreeMap<ServiceId, i64>,
    /// Could not place all their tasks when last looked at.
    waiting: BTreeSet<ServiceId>,
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
            timers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            everything_at: env.now(),
            not_before: Instant::default(),
        }
    }

    /// Look at every service: a new term, or hints that were lost.
    pub(super) fn everything(&mut self) {
        self.everything_at = self.env.now();
        self.busy.clear();
        self.timers.clear();
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
                self.dirty.insert(*id);
                if state.services.get(id).is_some_and(|row| !row.unplaced_reason.is_empty()) {
                    self.waiting.insert(*id);
                } else {
                    self.waiting.remove(id);
                }
            }
            Change::Task(id) => {
                if let Some(task) = state.tasks.get(id) {
                    self.note_task(state, task);
                }
            }
            Change::TaskRetired(task) => self.wake_service(ServiceId(task.service_id)),
            Change::Instance(id) => {
                let services: Vec<_> = tasks_services(state, *id).collect();
                services.into_iter().for_each(|id| self.wake_service(id));
                self.dirty.extend(&self.waiting);
                self.dirty.extend(state.daemons());
            }
            Change::Zone(_) => self.everything_at = self.env.now(),
            Change::Meta | Change::Member(_) | Change::Cluster(_) | Change::TaskDefinition(_) => {}
            Change::ServiceEvent(..) | Change::Bookkeeping => {}
        }
    }

    fn note_task(&mut self, state: &State, task: &TaskRow) {
        let id = ServiceId(task.service_id);
        self.wake_service(id);
        // Where a daemon's task was placed others may follow.
        if task.released || state.services.get(&id).is_some_and(|row| is_daemon(row)) {
            self.dirty.extend(&self.waiting);
        }
        let instance = state.instances.get(&InstanceId(task.instance_id));
        if instance.is_some_and(|row| row.status() != InstanceStatus::Active) {
            // The last task of others may have left.
            self.dirty.extend(state.daemons());
        }
    }

    fn wake_service(&mut self, id: ServiceId) {
        if id != ServiceId::default() {
            self.dirty.insert(id);
        }
    }

    /// Look at a service again at a cluster time.
    pub(super) fn at(&mut self, service: ServiceId, cluster_time_ms: i64) {
        self.timers.insert(service, cluster_time_ms);
    }

    pub(super) fn busy(&mut self, service: ServiceId) {
        self.busy.insert(service);
    }

    /// Its decision is applied or lost: what it sees now may ask for more.
    pub(super) fn idle(&mut self, service: ServiceId) {
        self.busy.remove(&service);
        self.dirty.insert(service);
    }

    /// Looks at nothing for a moment.
    pub(super) fn back_off(&mut self) {
        self.not_before = self.env.now() + self.env.jitter(BACK_OFF);
    }

    /// The next service to look at: daemons first, since others come after them on an instance.
    pub(super) fn next(&mut self, state: &State, now_ms: i64) -> Option<ServiceId> {
        if self.env.now() < self.not_before {
            return None;
        }
        if self.env.now() >= self.everything_at {
            self.everything_at = self.env.now() + EVERYTHING;
            for (id, row) in state.services.iter() {
                self.dirty.insert(*id);
                if !row.unplaced_reason.is_empty() {
                    self.waiting.insert(*id);
                }
            }
        }
        let due: Vec<ServiceId> = self.timers.iter().filter(|(_, at)| **at <= now_ms).map(|(id, _)| *id).collect();
        for id in due {
            self.timers.remove(&id);
            self.dirty.insert(id);
        }
        let is_ready = |id: &ServiceId| self.dirty.contains(id) && !self.busy.contains(id);
        let daemon = state.daemons().find(is_ready);
        let id = daemon.or_else(|| self.dirty.iter().copied().find(|id| !self.busy.contains(id)))?;
        self.dirty.remove(&id);
        Some(id)
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
        if self.dirty.iter().any(|id| !self.busy.contains(id)) {
            return Duration::ZERO;
        }
        let next = self.timers.values().min().map(|at| Duration::from_millis((at - now_ms).max(0) as u64));
        next.unwrap_or(PAUSE_MAX).min(PAUSE_MAX).min(self.everything_at - now)
    }
}

fn tasks_services(state: &State, instance: InstanceId) -> impl Iterator<Item = ServiceId> {
    state.tasks_of_instance(instance).map(|task| ServiceId(task.service_id))
}
