//! Tags of every kind of resource.

use seawall_model::{ApiError, ClusterId, ErrorCode, InstanceId, ServiceId, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{
        CapacityProviderRow, ClusterRow, InstanceRow, ResourceRef, ServiceRow, ServiceStatusCode, TagResource,
        TaskDefinitionRow, TaskRow, UntagResource, resource_ref,
    },
    v1::Tag,
};

use super::{Apply, Outcome, done, refusal::merged_tags};
use crate::{Change, index::is_live, task_id};

impl Apply<'_> {
    pub(super) fn tag_resource(&mut self, it: &TagResource) -> Outcome {
        let kind = kind_of(it.resource.as_ref())?;
        let tags = merged_tags(self.tags_of(kind)?, &it.tags)?;
        self.check_steering(kind, &tags)?;
        self.put_tags(kind, tags);
        Ok(done(0))
    }

    pub(super) fn untag_resource(&mut self, it: &UntagResource) -> Outcome {
        let kind = kind_of(it.resource.as_ref())?;
        let mut tags = self.tags_of(kind)?.to_vec();
        tags.retain(|tag| !it.keys.iter().any(|key| key == tag.key()));
        self.put_tags(kind, tags);
        Ok(done(0))
    }

    /// Whether a service may be as its tags will say.
    fn check_steering(&self, kind: &resource_ref::Kind, tags: &[Tag]) -> Result<(), ApiError> {
        let resource_ref::Kind::ServiceId(id) = kind else { return Ok(()) };
        let Some(row) = self.state.services.get(&ServiceId(*id)) else { return Ok(()) };
        self.check_loss_policy(&ServiceRow { tags: tags.to_vec(), ..ServiceRow::clone(row) })
    }

    fn tags_of(&self, kind: &resource_ref::Kind) -> Result<&[Tag], ApiError> {
        use resource_ref::Kind;
        let state = &self.state;
        let tags = match kind {
            Kind::ClusterId(id) => state.clusters.get(&ClusterId(*id)).filter(|row| row.active).map(|row| &row.tags),
            Kind::InstanceId(id) => state.instances.get(&InstanceId(*id)).map(|row| &row.tags),
            Kind::TaskDefinitionId(id) => state.task_definitions.get(&TaskDefinitionId(*id)).map(|row| &row.tags),
            Kind::ServiceId(id) => {
                let row = state.services.get(&ServiceId(*id));
                row.filter(|row| row.status() != ServiceStatusCode::Inactive).map(|row| &row.tags)
            }
            Kind::CapacityProvider(name) => {
                let key = (self.principal.account, name.clone());
                state.capacity_providers.get(&key).map(|row| &row.tags)
            }
            Kind::TaskId(id) => {
                let row = state.tasks.get(&task_id(id));
                if row.is_some_and(|row| !is_live(row)) {
                    return Err(stopped());
                }
                row.map(|row| &row.tags)
            }
        };
        tags.map(Vec::as_slice).ok_or_else(not_found)
    }

    /// Puts the tags of a resource that exists.
    fn put_tags(&mut self, kind: &resource_ref::Kind, tags: Vec<Tag>) {
        use resource_ref::Kind;
        let changed = self.index;
        match kind {
            Kind::ClusterId(id) => {
                let Some(row) = self.state.clusters.get(&ClusterId(*id)) else { return };
                let row = ClusterRow { tags, changed, ..ClusterRow::clone(row) };
                self.state.put_cluster(row);
                self.changed(Change::Cluster(ClusterId(*id)));
            }
            Kind::InstanceId(id) => {
                let Some(row) = self.state.instances.get(&InstanceId(*id)) else { return };
                let row = InstanceRow { tags, changed, ..InstanceRow::clone(row) };
                self.state.put_instance(row);
                self.changed(Change::Instance(InstanceId(*id)));
            }
            Kind::TaskDefinitionId(id) => {
                let Some(row) = self.state.task_definitions.get(&TaskDefinitionId(*id)) else { return };
                let row = TaskDefinitionRow { tags, changed, ..TaskDefinitionRow::clone(row) };
                self.state.put_task_definition(row);
                self.changed(Change::TaskDefinition(TaskDefinitionId(*id)));
            }
            Kind::ServiceId(id) => {
                let Some(row) = self.state.services.get(&ServiceId(*id)) else { return };
                let row = ServiceRow { tags, ..ServiceRow::clone(row) };
                self.put_service(row);
            }
            Kind::CapacityProvider(name) => {
                let Some(row) = self.state.capacity_providers.get(&(self.principal.account, name.clone())) else {
                    return;
                };
                self.put_capacity_provider(CapacityProviderRow { tags, ..CapacityProviderRow::clone(row) });
            }
            Kind::TaskId(id) => {
                let Some(row) = self.state.tasks.get(&task_id(id)) else { return };
                let row = TaskRow { tags, ..TaskRow::clone(row) };
                self.put_task(row);
            }
        }
    }
}

fn kind_of(resource: Option<&ResourceRef>) -> Result<&resource_ref::Kind, ApiError> {
    resource.and_then(|it| it.kind.as_ref()).ok_or_else(not_found)
}

/// Stopping deletes a task's tags. A stopped task changes no more: its version says when it stopped, and controllers count by it.
fn stopped() -> ApiError {
    ApiError::invalid("The specified task is stopped: it takes no tags.")
}

fn not_found() -> ApiError {
    ApiError::new(ErrorCode::ResourceNotFound, "The specified resource could not be found.")
}
