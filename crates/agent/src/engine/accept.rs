//! What the cluster wants: assignments, whole syncs, and its answers about tasks it did not know.

use std::{collections::BTreeSet, sync::Arc};

use seawall_env::TaskKind;
use seawall_model::TaskId;
use seawall_proto::internal::v1::{Assignment, StopCode, TaskStatus};

use super::{
    Engine, Shared, guarded,
    slot::{Ending, Slot},
};
use crate::{
    runtime::Phase,
    spec::{Kept, TaskSpec, task_id},
};

/// The reason of a task that the cluster no longer assigns to this instance.
const NOT_ASSIGNED: &str = "Task is no longer assigned to this container instance";
const NOT_HELD: &str = "The task's containers are not on its container instance any more";

impl Engine {
    /// New and changed assignments of the cluster in `epoch`.
    pub fn assign(&self, epoch: u64, assignments: Vec<Assignment>) {
        assignments.into_iter().for_each(|assignment| self.assign_one(epoch, assignment));
    }

    /// Everything that the instance must run. A task of this epoch that is absent is stopped; one that the cluster of
    /// this epoch never named is kept and returned: the cluster is asked about it by name.
    pub fn sync(&self, epoch: u64, assignments: Vec<Assignment>) -> Vec<TaskId> {
        let named: BTreeSet<TaskId> = assignments.iter().map(|a| task_id(a.task.as_ref())).collect();
        let absent: Vec<Arc<Slot>> =
            self.shared.tasks().values().filter(|slot| !named.contains(&slot.id())).cloned().collect();
        self.assign(epoch, assignments);
        let mut unknown = Vec::new();
        for slot in absent.into_iter().filter(|slot| slot.state().finished.is_none()) {
            if slot.state().epoch == epoch {
                slot.want_stop(Ending { code: StopCode::Unspecified, reason: NOT_ASSIGNED.into() });
            } else {
                unknown.push(slot.id());
            }
        }
        unknown
    }

    /// The cluster's answer about tasks it was asked about: stop them.
    pub fn stop_unknown(&self, tasks: &[TaskId]) {
        for slot in tasks.iter().filter_map(|task| self.shared.slot(*task)) {
            slot.want_stop(Ending { code: StopCode::Unspecified, reason: NOT_ASSIGNED.into() });
        }
    }

    fn assign_one(&self, epoch: u64, assignment: Assignment) {
        let id = task_id(assignment.task.as_ref());
        match self.shared.slot(id) {
            Some(slot) => self.named_again(&slot, epoch, assignment.desired_running),
            None if !assignment.desired_running => self.shared.not_held(epoch, assignment, Ending::wanted()),
            None if is_past_pending(&assignment) => {
                let ending = Ending { code: StopCode::EssentialContainerExited, reason: NOT_HELD.into() };
                self.shared.not_held(epoch, assignment, ending);
            }
            None => self.shared.begin(epoch, assignment),
        }
    }

    fn named_again(&self, slot: &Arc<Slot>, epoch: u64, desired_running: bool) {
        if slot.named(epoch) {
            self.shared.board.save(slot.id());
        }
        if !desired_running {
            slot.want_stop(Ending::wanted());
        }
        if slot.state().finished.is_some() {
            // The cluster would not name it if it knew.
            self.shared.board.changed(slot.id());
        }
    }
}

impl Shared {
    /// Starts a task.
    fn begin(self: &Arc<Self>, epoch: u64, assignment: Assignment) {
        let slot = self.add(TaskSpec::new(self.owner.clone(), Kept { assignment: Some(assignment), epoch }));
        tracing::info!(task = %slot.id(), family = slot.spec.family, revision = slot.spec.revision, "task assigned");
        slot.change(|_| ());
        self.drive(slot);
    }

    /// A task of which nothing is here. One with a fencing token may be alive under the lease of another agent of this instance's
    /// name, or of one that lost its folder: it has ended when that is over.
    fn not_held(self: &Arc<Self>, epoch: u64, assignment: Assignment, ending: Ending) {
        if assignment.fencing_token == 0 {
            return self.add_stopped(epoch, assignment, ending);
        }
        let (shared, id) = (self.clone(), task_id(assignment.task.as_ref()));
        self.env.spawn(TaskKind::request("not held"), async move {
            shared.env.sleep(guarded::LEASE_OVER).await;
            if shared.slot(id).is_none() {
                shared.add_stopped(epoch, assignment, ending);
            }
        });
    }

    /// A task of which nothing is here: reported, so that the cluster can close it.
    fn add_stopped(&self, epoch: u64, assignment: Assignment, ending: Ending) {
        let slot = self.add(TaskSpec::new(self.owner.clone(), Kept { assignment: Some(assignment), epoch }));
        let (now, wall_ms) = (self.env.now(), self.env.wall_ms());
        slot.change(|state| {
            state.status = TaskStatus::Stopped;
            state.containers.iter_mut().for_each(|c| c.phase = Phase::Removed);
            state.ending = Some(ending);
            state.times.stopped_ms = wall_ms;
            state.times.execution_stopped_ms = wall_ms;
            state.finished = Some(now);
            state.cleaned = true;
        });
        self.stopped.notify_one();
    }
}

fn is_past_pending(assignment: &Assignment) -> bool {
    assignment.last_status() > TaskStatus::Pending
}
