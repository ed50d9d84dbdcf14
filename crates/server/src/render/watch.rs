//! A change as what watchers see of it.

use seawall_model::{ClusterId, Id128, ServiceId};
use seawall_proto::v1::{ResourceKind, ServiceEventChange, watch_event};
use seawall_state::{Change, State};

use super::{cluster, event, instance, service, task, task_definition};

/// One change, with what filters look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Of the resource.
    pub kind: ResourceKind,
    /// `None` where the resource belongs to no cluster.
    pub cluster: Option<ClusterId>,
    /// `None` where the resource belongs to no service.
    pub service: Option<ServiceId>,
    /// The resource is gone.
    pub deleted: bool,
    /// The resource as it is after the change.
    pub change: watch_event::Change,
}

/// What watchers see of a change; `None` where it is no business of theirs, or where a later change took the row away.
pub fn seen(state: &State, change: &Change) -> Option<Seen> {
    match change {
        Change::Cluster(id) => of_cluster(state, *id),
        Change::Instance(id) => {
            let row = state.instances.get(id)?;
            let rendered = instance::render(state, row, instance::Include { tags: true, health: false });
            let change = watch_event::Change::ContainerInstance(rendered);
            Some(found(ResourceKind::ContainerInstance, Some(ClusterId(row.cluster_id)), None, change))
        }
        Change::TaskDefinition(id) => {
            let rendered = task_definition::render(state, state.task_definitions.get(id)?);
            Some(found(ResourceKind::TaskDefinition, None, None, watch_event::Change::TaskDefinition(rendered)))
        }
        Change::Service(id) => of_service(state, *id),
        Change::ServiceEvent(service, id) => of_event(state, *service, *id),
        Change::Task(id) => Some(of_task(state, state.tasks.get(id)?, false)),
        Change::TaskRetired(row) => Some(of_task(state, row, true)),
        Change::Meta | Change::Member(_) | Change::Zone(_) | Change::Bookkeeping => None,
        Change::Schedule(_) | Change::Job(_) => None,
    }
}

fn found(
    kind: ResourceKind,
    cluster: Option<ClusterId>,
    service: Option<ServiceId>,
    change: watch_event::Change,
) -> Seen {
    Seen { kind, cluster, service, deleted: false, change }
}

fn of_cluster(state: &State, id: ClusterId) -> Option<Seen> {
    let row = state.clusters.get(&id)?;
    let include = cluster::Include { tags: true, ..Default::default() };
    let change = watch_event::Change::Cluster(cluster::render(state, row, include));
    Some(Seen { deleted: !row.active, ..found(ResourceKind::Cluster, Some(id), None, change) })
}

fn of_service(state: &State, id: ServiceId) -> Option<Seen> {
    let row = state.services.get(&id)?;
    let change = watch_event::Change::Service(service::render(state, row, true));
    Some(found(ResourceKind::Service, Some(ClusterId(row.cluster_id)), Some(id), change))
}

fn of_event(state: &State, id: ServiceId, event_id: Id128) -> Option<Seen> {
    let row = state.services.get(&id)?;
    let kept = row.events.iter().rev().find(|e| Id128::from_halves(e.id_hi, e.id_lo) == event_id)?;
    let change = watch_event::Change::ServiceEvent(ServiceEventChange {
        cluster_arn: Some(state.arns().cluster(super::cluster_name(state, row.cluster_id))),
        service_name: Some(row.name.clone()),
        event: Some(event::render(&row.name, kept)),
    });
    Some(found(ResourceKind::ServiceEvent, Some(ClusterId(row.cluster_id)), Some(id), change))
}

fn of_task(state: &State, row: &seawall_proto::internal::v1::TaskRow, deleted: bool) -> Seen {
    let change = watch_event::Change::Task(task::render(state, row, true));
    let service = (row.service_id != 0).then_some(ServiceId(row.service_id));
    Seen { deleted, ..found(ResourceKind::Task, Some(ClusterId(row.cluster_id)), service, change) }
}
