//! What is asked of the planner.

use seawall_model::{ClusterId, InstanceId, ServiceId};
use seawall_proto::internal::v1::TaskSize;

/// The tasks that count when tasks are spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Tasks of the same service.
    Service(ServiceId),
    /// Tasks of the same task group ("family:web"): RunTask.
    Group(String),
}

/// Tasks to place.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceRequest {
    /// Where.
    pub cluster: ClusterId,
    /// What each task takes, overrides applied: [`crate::effective_size`].
    pub size: TaskSize,
    /// How many. Not looked at where `only` is given.
    pub count: u32,
    /// Among which tasks to spread.
    pub spread: Spread,
    /// StartTask: one task on each of these, whatever its attributes and the spread.
    pub only: Option<Vec<InstanceId>>,
}
