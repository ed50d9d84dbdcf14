//! What an expression looks at.

/// One container instance, as the expression's subjects name it.
pub trait Subject {
    /// `attribute:NAME`; empty for an attribute without a value, `None` for one that the instance does not have.
    fn attribute(&self, name: &str) -> Option<&str>;

    /// Whether a task of this group is on the instance: `groups` has it.
    fn runs_group(&self, group: &str) -> bool;

    /// `task:group` of each task on the instance; one may come more than once.
    fn groups(&self) -> impl Iterator<Item = &str>;

    /// `agentConnected`
    fn agent_connected(&self) -> bool;

    /// `agentVersion`, such as 1.14.5; empty where it is unknown.
    fn agent_version(&self) -> &str;

    /// `ec2InstanceId`
    fn ec2_instance_id(&self) -> &str;

    /// `registeredAt`, in milliseconds since 1970.
    fn registered_at_ms(&self) -> i64;

    /// `runningTasksCount`
    fn running_tasks_count(&self) -> u32;
}
