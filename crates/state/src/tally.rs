//! Counts that are kept up with each change, so that planners and Describe calls never count rows.

use std::collections::BTreeMap;

use imbl::OrdSet;
use seawall_model::{ClusterId, DeploymentId, InstanceId, ServiceId};

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

/// What a cluster holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterCounts {
    /// Its tasks by status.
    pub tasks: Counts,
    /// STOPPED tasks that are kept.
    pub stopped: u32,
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
