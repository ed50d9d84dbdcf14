//! Counts that are kept up with each change, so that planners and Describe calls never count rows.

use std::collections::BTreeMap;

use imbl::OrdSet;
use seawall_model::{ClusterId, DeploymentId, InstanceId, ServiceId};
use seawall_proto::internal::v1::TaskStatus;

/// What an instance has left, kept up as tasks come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU units held by its tasks, unreachable and stopping ones included until they are released.
    pub cpu: u32,
    /// MiB held by its tasks.
    pub memory: u32,
    /// Fixed host ports held by its tasks.
    pub ports_tcp: OrdSet<u16>,
    /// Fixed UDP host ports held by its tasks.
    pub ports_udp: OrdSet<u16>,
    /// Tasks that want to run there.
    pub tasks: u32,
    /// Its tasks by status.
    pub counts: Counts,
}

/// Tasks by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// RUNNING and reachable: ECS's runningCount.
    pub running: u32,
    /// On their way to RUNNING, wanted and reachable: ECS's pendingCount.
    pub pending: u32,
    /// Not STOPPED, unreachable ones included.
    pub live: u32,
    /// Not STOPPED, desired RUNNING and reachable: what a planner compares with the desired count.
    pub wanted: u32,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Counts) {
        self.running = self.running.wrapping_add(other.running);
        self.pending = self.pending.wrapping_add(other.pending);
        self.live = self.live.wrapping_add(other.live);
        self.wanted = self.wanted.wrapping_add(other.wanted);
    }

    pub(crate) fn subtract(&mut self, other: Counts) {
        self.running = self.running.wrapping_sub(other.running);
        self.pending = self.pending.wrapping_sub(other.pending);
        self.live = self.live.wrapping_sub(other.live);
        self.wanted = self.wanted.wrapping_sub(other.wanted);
    }
}

/// Tasks by their last status, as their agents reported it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses([u32; TaskStatus::Stopped as usize + 1]);

impl Statuses {
    /// Tasks of this last status.
    pub fn of(&self, status: TaskStatus) -> u32 {
        self.0[status as usize]
    }

    /// Every status with its tasks.
    pub fn iter(&self) -> impl Iterator<Item = (TaskStatus, u32)> {
        (0..).zip(self.0).filter_map(|(status, count)| Some((TaskStatus::try_from(status).ok()?, count)))
    }
}

/// What a cluster holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterCounts {
    /// Its tasks as ECS counts them.
    pub tasks: Counts,
    /// Its tasks by last status, STOPPED ones that are kept included.
    pub statuses: Statuses,
    /// Tasks that are not STOPPED, of instances whose lease ran out.
    pub unreachable: u32,
    /// Container instances, whatever their status: deregistered ones are gone.
    pub instances: u32,
    /// ACTIVE services.
    pub services_active: u32,
    /// DRAINING services.
    pub services_draining: u32,
    /// INACTIVE services that are kept.
    pub services_inactive: u32,
    /// Schedules.
    pub schedules: u32,
    /// Jobs that are not over.
    pub jobs_active: u32,
    /// Jobs that are over and kept.
    pub jobs_over: u32,
}

impl ClusterCounts {
    /// STOPPED tasks that are kept.
    pub fn stopped(&self) -> u32 {
        self.statuses.of(TaskStatus::Stopped)
    }

    /// Counts a task of this last status in, or out.
    pub(crate) fn count(&mut self, (status, is_unreachable): (TaskStatus, bool), comes: bool) {
        let step = |count: &mut u32, by: u32| {
            *count = if comes { count.wrapping_add(by) } else { count.wrapping_sub(by) };
        };
        step(&mut self.statuses.0[status as usize], 1);
        step(&mut self.unreachable, is_unreachable.into());
    }
}

/// Whose tasks are spread over zones and instances.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SpreadKey {
    /// A service's.
    Service(ServiceId),
    /// A task group's that is not a service's.
    Group(ClusterId, std::sync::Arc<str>),
}

/// The tasks of one [`SpreadKey`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// By deployment; standalone tasks are under 0.
    pub(crate) deployments: BTreeMap<DeploymentId, Counts>,
    /// Wanted ones by zone.
    pub(crate) zones: BTreeMap<String, u32>,
}

/// One pair of whose tasks and where.
pub(crate) type SpreadInstance = (SpreadKey, InstanceId);
