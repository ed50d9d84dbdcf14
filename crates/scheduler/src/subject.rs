//! An instance of the state as the cluster query language sees it, for filters and for placement constraints.

use seawall_model::{ClusterId, InstanceId};
use seawall_proto::internal::v1::InstanceRow;
use seawall_query::Subject;
use seawall_state::State;

/// The attribute that names an instance's zone.
pub const ZONE_ATTRIBUTE: &str = "ecs.availability-zone";

/// One instance. Its groups are those of the tasks that are to run there (ECS goes by the desired status, too) and can be
/// reached.
#[derive(Clone, Copy)]
pub struct InstanceSubject<'a> {
    state: &'a State,
    row: &'a InstanceRow,
}

impl<'a> InstanceSubject<'a> {
    /// The instance of a row of the state.
    pub fn new(state: &'a State, row: &'a InstanceRow) -> Self {
        InstanceSubject { state, row }
    }

    fn id(&self) -> InstanceId {
        InstanceId(self.row.id)
    }
}

impl Subject for InstanceSubject<'_> {
    fn attribute(&self, name: &str) -> Option<&str> {
        attribute(self.row, name)
    }

    fn runs_group(&self, group: &str) -> bool {
        self.state.group_tasks_on_instance(ClusterId(self.row.cluster_id), group, self.id()) > 0
    }

    fn groups(&self) -> impl Iterator<Item = &str> {
        self.state.groups_on_instance(self.id())
    }

    fn agent_connected(&self) -> bool {
        self.row.connected
    }

    fn agent_version(&self) -> &str {
        &self.row.agent_version
    }

    fn ec2_instance_id(&self) -> &str {
        &self.row.ec2_instance_id
    }

    fn registered_at_ms(&self) -> i64 {
        self.row.registered_at_ms
    }

    fn running_tasks_count(&self) -> u32 {
        self.state.instance_counts(self.id()).running
    }
}

/// The value of an attribute. The zone is one, also where the agent did not say it.
pub(crate) fn attribute<'a>(row: &'a InstanceRow, name: &str) -> Option<&'a str> {
    let said = row.attributes.iter().find(|attribute| attribute.name == name);
    said.map(|attribute| attribute.value.as_str()).or((name == ZONE_ATTRIBUTE).then_some(&row.zone))
}
