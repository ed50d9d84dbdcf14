//! Names as people type them in Seawall's own calls: names, ids, unique prefixes of ids, ARNs.

use std::sync::Arc;

use seawall_model::{ACCOUNT, ApiError, ClusterId, DEFAULT_CLUSTER, ErrorCode, Id128, Resource, TaskId, nearest};
use seawall_proto::internal::v1::{InstanceRow, ServiceRow, TaskRow};
use seawall_state::{State, task_id};

/// Shortest prefix of an id.
const PREFIX_CHARS_MIN: usize = 6;

/// A cluster by name or ARN; `default` where none is named.
pub(crate) fn cluster(state: &State, name: Option<&str>) -> Result<ClusterId, ApiError> {
    let text = name.filter(|n| !n.is_empty()).unwrap_or(DEFAULT_CLUSTER);
    let name = match state.arns().parse(text)? {
        Some(Resource::Cluster(name)) => name,
        _ => text.to_owned(),
    };
    let found = state.cluster_by_name(ACCOUNT, &name).filter(|row| row.active);
    found.map(|row| ClusterId(row.id)).ok_or_else(|| {
        let names: Vec<&str> =
            state.clusters.iter().filter(|(_, row)| row.active).map(|(_, row)| row.name.as_str()).collect();
        let near = nearest(&name, names, 3).join(", ");
        ApiError::new(ErrorCode::ClusterNotFound, format!("cluster {name:?} not found (clusters: {near})"))
    })
}

/// A service by name or ARN.
pub(crate) fn service(state: &State, cluster: ClusterId, name: &str) -> Option<Arc<ServiceRow>> {
    match state.arns().parse(name) {
        Ok(Some(Resource::Service(of, name))) => {
            let cluster = state.cluster_by_name(ACCOUNT, &of)?;
            state.service_by_name(ClusterId(cluster.id), &name).cloned()
        }
        _ => state.service_by_name(cluster, name).cloned(),
    }
}

/// A task by ARN, id or unique prefix of an id.
pub(crate) fn task(state: &State, cluster: ClusterId, name: &str) -> Result<Option<Arc<TaskRow>>, ApiError> {
    if let Ok(Some(Resource::Task(_, id))) = state.arns().parse(name) {
        return Ok(state.tasks.get(&id).cloned());
    }
    if let Ok(id) = name.parse::<Id128>() {
        return Ok(state.tasks.get(&id).filter(|task| task.cluster_id == cluster.0).cloned());
    }
    let found = state.tasks_of_cluster(cluster).filter(|task| {
        name.len() >= PREFIX_CHARS_MIN && task.id.as_ref().is_some_and(|id| task_id(id).to_string().starts_with(name))
    });
    unique("tasks", name, found)
}

/// The id that names a task, whether there is one or not; `None` for what is no whole id.
pub(crate) fn id_of_task(state: &State, name: &str) -> Option<TaskId> {
    match state.arns().parse(name) {
        Ok(Some(Resource::Task(_, id))) => Some(id),
        _ => name.parse().ok(),
    }
}

/// An instance by ARN, id, unique prefix of an id or its `ec2InstanceId`.
pub(crate) fn instance(state: &State, cluster: ClusterId, name: &str) -> Result<Option<Arc<InstanceRow>>, ApiError> {
    if let Ok(Some(Resource::Instance(_, id))) = state.arns().parse(name) {
        return Ok(state.instance_by_arn_id(id).cloned());
    }
    if let Some(row) = state.instance_by_ec2_id(name) {
        return Ok(Some(row.clone()));
    }
    let found = state.instances_of(cluster).filter(|row| {
        let id = Id128::from_halves(row.arn_hi, row.arn_lo).to_string();
        name.len() >= PREFIX_CHARS_MIN && id.starts_with(name)
    });
    unique("instances", name, found)
}

fn unique<'a, T: 'a>(
    what: &str,
    name: &str,
    mut found: impl Iterator<Item = &'a Arc<T>>,
) -> Result<Option<Arc<T>>, ApiError> {
    let first = found.next().cloned();
    match found.next() {
        None => Ok(first),
        Some(_) => Err(ApiError::invalid(format!("{name} begins the ids of several {what}: give more of it"))),
    }
}
