//! Names, ids and ARNs to rows.

use std::sync::Arc;

use seawall_model::{ApiError, ClusterId, DEFAULT_CLUSTER, ErrorCode, Id128, Resource, TaskId};
use seawall_proto::internal::v1::{
    ClusterRow, InstanceRow, ServiceRow, ServiceStatusCode, TaskDefinitionRow, TaskDefinitionStatus, TaskRow,
};
use seawall_state::State;

/// The ACTIVE cluster that a request names: by name or ARN, `default` where it names none.
///
/// # Errors
/// `ClusterNotFoundException`, or `InvalidParameterException` for an ARN of something else or of somewhere else.
pub fn cluster<'a>(state: &'a State, account: u32, named: Option<&str>) -> Result<&'a Arc<ClusterRow>, ApiError> {
    any_cluster(state, account, named)?.filter(|row| row.active).ok_or_else(cluster_not_found)
}

/// The cluster that a request names, deleted or not.
///
/// # Errors
/// `InvalidParameterException` for an ARN of something else or of somewhere else.
pub fn any_cluster<'a>(
    state: &'a State,
    account: u32,
    named: Option<&str>,
) -> Result<Option<&'a Arc<ClusterRow>>, ApiError> {
    let text = named.filter(|t| !t.is_empty()).unwrap_or(DEFAULT_CLUSTER);
    let name = match state.arns().parse(text)? {
        None => text.to_owned(),
        Some(Resource::Cluster(name)) => name,
        Some(_) => return Err(wrong_kind(text, "a cluster")),
    };
    Ok(state.cluster_by_name(account, &name))
}

/// ECS's answer to an unknown cluster.
pub fn cluster_not_found() -> ApiError {
    ApiError::new(ErrorCode::ClusterNotFound, "Cluster not found.")
}

/// The instance of `cluster` that a request names by id or ARN; `None` where there is none.
///
/// # Errors
/// `InvalidParameterException` for an ARN of something else, of somewhere else or of another cluster.
pub fn instance<'a>(
    state: &'a State,
    cluster: &ClusterRow,
    text: &str,
) -> Result<Option<&'a Arc<InstanceRow>>, ApiError> {
    let id = match state.arns().parse(text)? {
        None => text.parse::<Id128>().ok(),
        Some(Resource::Instance(of, id)) => Some(in_cluster(cluster, &of, id)?),
        Some(_) => return Err(wrong_kind(text, "a container instance")),
    };
    Ok(id.and_then(|id| state.instance_by_arn_id(id)).filter(|row| row.cluster_id == cluster.id))
}

/// The task of `cluster` that a request names by id or ARN; `None` where there is none.
///
/// # Errors
/// `InvalidParameterException` for an ARN of something else, of somewhere else or of another cluster.
pub fn task<'a>(state: &'a State, cluster: &ClusterRow, text: &str) -> Result<Option<&'a Arc<TaskRow>>, ApiError> {
    let id = task_id(state, cluster, text)?;
    Ok(id.and_then(|id| state.tasks.get(&id)).filter(|row| row.cluster_id == cluster.id))
}

/// The id of the task of `cluster` that a request names, whether there is one or not; `None` where it is no id.
///
/// # Errors
/// As [`task`].
pub fn task_id(state: &State, cluster: &ClusterRow, text: &str) -> Result<Option<TaskId>, ApiError> {
    Ok(match state.arns().parse(text)? {
        None => text.parse::<Id128>().ok(),
        Some(Resource::Task(of, id)) => Some(in_cluster(cluster, &of, id)?),
        Some(_) => return Err(wrong_kind(text, "a task")),
    })
}

/// The service of `cluster` that a request names, whatever its status; `None` where there is none.
///
/// # Errors
/// `InvalidParameterException` for an ARN of something else, of somewhere else or of another cluster.
pub fn any_service<'a>(
    state: &'a State,
    cluster: &ClusterRow,
    text: &str,
) -> Result<Option<&'a Arc<ServiceRow>>, ApiError> {
    let name = service_name(state, cluster, text)?;
    Ok(state.service_by_name(ClusterId(cluster.id), &name))
}

/// The name of the service of `cluster` that a request names, whether there is one or not.
///
/// # Errors
/// As [`any_service`].
pub fn service_name(state: &State, cluster: &ClusterRow, text: &str) -> Result<String, ApiError> {
    match state.arns().parse(text)? {
        None => Ok(text.to_owned()),
        Some(Resource::Service(of, name)) => in_cluster(cluster, &of, name),
        Some(_) => Err(wrong_kind(text, "a service")),
    }
}

/// The service of `cluster` that a request names and that is not deleted.
///
/// # Errors
/// `ServiceNotFoundException`, or as [`any_service`].
pub fn service<'a>(state: &'a State, cluster: &ClusterRow, text: &str) -> Result<&'a Arc<ServiceRow>, ApiError> {
    any_service(state, cluster, text)?
        .filter(|row| row.status != i32::from(ServiceStatusCode::Inactive))
        .ok_or_else(service_not_found)
}

/// What a caller is told who names no service.
pub fn service_not_found() -> ApiError {
    ApiError::new(ErrorCode::ServiceNotFound, "Service not found.")
}

/// The revision that a request names: an ARN, `family:revision`, or a family, which means its newest ACTIVE one.
///
/// # Errors
/// `InvalidParameterException` for an ARN of something else or of somewhere else, or a revision that is no number.
pub fn task_definition<'a>(
    state: &'a State,
    account: u32,
    text: &str,
) -> Result<Option<&'a Arc<TaskDefinitionRow>>, ApiError> {
    match state.arns().parse(text)? {
        Some(Resource::TaskDefinition(family, revision)) => {
            return Ok(state.task_definition(account, &family, revision));
        }
        Some(_) => return Err(wrong_kind(text, "a task definition")),
        None => {}
    }
    let Some((family, revision)) = text.split_once(':') else {
        return Ok(newest_active(state, account, text));
    };
    let revision =
        revision.parse().map_err(|_| ApiError::invalid(format!("Invalid revision number. Number: {revision}")))?;
    Ok(state.task_definition(account, family, revision))
}

/// The revision that a request wants to run.
///
/// # Errors
/// `ClientException` where there is none, or it is not ACTIVE; or as [`task_definition`].
pub fn active_task_definition<'a>(
    state: &'a State,
    account: u32,
    text: &str,
) -> Result<&'a Arc<TaskDefinitionRow>, ApiError> {
    let row = task_definition(state, account, text)?.ok_or_else(|| ApiError::client("TaskDefinition not found."))?;
    if is_active(row) { Ok(row) } else { Err(ApiError::client("TaskDefinition is inactive")) }
}

/// Whether callers may still use the revision.
pub fn is_active(row: &TaskDefinitionRow) -> bool {
    row.status == i32::from(TaskDefinitionStatus::Active)
}

fn newest_active<'a>(state: &'a State, account: u32, family: &str) -> Option<&'a Arc<TaskDefinitionRow>> {
    // An empty family would mean all of them.
    let named = !family.is_empty();
    named.then(|| state.revisions_of(account, family).rev().find(|row| is_active(row))).flatten()
}

fn in_cluster<T>(cluster: &ClusterRow, of: &str, found: T) -> Result<T, ApiError> {
    if of == cluster.name {
        return Ok(found);
    }
    let name = &cluster.name;
    Err(ApiError::invalid(format!("Invalid identifier: Identifier is for cluster {of}. Your cluster is {name}")))
}

fn wrong_kind(text: &str, wanted: &str) -> ApiError {
    ApiError::invalid(format!("Invalid identifier: {text} is not {wanted}."))
}
