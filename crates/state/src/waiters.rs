//! Who waits for a place, in which class, and whose tasks make room for whom.

use std::{cmp::Reverse, sync::Arc};

use imbl::ordset::DiffItem;
use seawall_model::{ClusterId, JobId, ServiceId, TaskId};
use seawall_proto::internal::v1::TaskRow;

use crate::{State, priority_of};

/// Who could not place all its tasks when last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiter {
    /// A service.
    Service(ServiceId),
    /// A job.
    Job(JobId),
}

impl State {
    /// The class of a task: its service's, else what its own tags say.
    pub fn priority_of_task(&self, task: &TaskRow) -> u32 {
        let service = self.services.get(&ServiceId(task.service_id));
        priority_of(service.map_or(&task.tags, |row| &row.tags))
    }

    /// Who waits for a place in a cluster, the highest class first.
    pub fn waiting_in(&self, cluster: ClusterId) -> impl Iterator<Item = (u32, Waiter)> {
        let from = (cluster, Reverse(u32::MAX), Waiter::Service(ServiceId(0)));
        let range = self.index.waiters.range(from..).take_while(move |(of, ..)| *of == cluster);
        range.map(|(_, Reverse(priority), waiter)| (*priority, *waiter))
    }

    /// Whether somebody who waited `before` for a place does so no more, or in another class.
    pub fn waits_no_more(&self, before: &State) -> bool {
        before.index.waiters.diff(&self.index.waiters).any(|item| !matches!(item, DiffItem::Add(..)))
    }

    /// Whether others wait for a place than `before`, or in another class.
    pub fn waits_otherwise(&self, before: &State) -> bool {
        before.index.waiters.diff(&self.index.waiters).next().is_some()
    }

    /// Whether a cluster has an ACTIVE service, or a task that says its class, of a lower class than this.
    pub fn has_lower_class(&self, cluster: ClusterId, priority: u32) -> bool {
        self.index.classes.range((cluster, 0)..(cluster, priority)).next().is_some()
    }

    /// Tasks that were told to make room, and hold it still, with the service that it is for.
    pub fn victims_in(&self, cluster: ClusterId) -> impl Iterator<Item = (ServiceId, &Arc<TaskRow>)> {
        let from = (cluster, ServiceId(0), TaskId::default());
        let range = self.index.victims.range(from..).take_while(move |(of, ..)| *of == cluster);
        range.filter_map(|(_, service, id)| Some((*service, self.tasks.get(id)?)))
    }

    /// Tasks of a cluster that were told to make room after a moment, and are still in the state.
    pub fn preempted_since(&self, cluster: ClusterId, at_ms: i64) -> usize {
        let after = (cluster, at_ms.saturating_add(1), TaskId::default());
        self.index.preempted.range(after..).take_while(move |(of, ..)| *of == cluster).count()
    }
}
