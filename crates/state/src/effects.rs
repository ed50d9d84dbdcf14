//! Hints of what a command changed.

use std::sync::Arc;

use seawall_model::{ClusterId, InstanceId, JobId, MemberId, ScheduleId, ServiceId, TaskDefinitionId, TaskId};
use seawall_proto::internal::v1::TaskRow;

/// Hints of what changed, delivered in process on every member. Losing one costs delay, never an outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// In the order they happened; the ordinal of a watch position is the place in here.
    pub changes: Vec<Change>,
}

/// One row that changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Meta row.
    Meta,
    /// A scheduler.
    Member(MemberId),
    /// A cluster.
    Cluster(ClusterId),
    /// An instance.
    Instance(InstanceId),
    /// A task definition.
    TaskDefinition(TaskDefinitionId),
    /// A service, its deployments or its events.
    Service(ServiceId),
    /// A new event of a service (its id).
    ServiceEvent(ServiceId, TaskId),
    /// A task.
    Task(TaskId),
    /// A stopped task that left the state: its row as it was. History keeps it.
    TaskRetired(Arc<TaskRow>),
    /// What the operator says of a zone.
    Zone(String),
    /// A schedule.
    Schedule(ScheduleId),
    /// A job.
    Job(JobId),
    /// A join token, a client token or a forwarding session.
    Bookkeeping,
}
