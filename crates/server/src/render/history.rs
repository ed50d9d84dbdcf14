//! Records of history, shown as what they were: the same as before they left the state.

use prost::Message;
use seawall_model::{ApiError, ErrorCode, Id128};
use seawall_proto::{
    internal::v1::{HistoryRow, ServiceEventRow, ServiceRow, TaskRow},
    v1::{Service, ServiceEventChange, Task},
};
use seawall_scheduler::is_fargate;
use seawall_state::State;

use super::{
    event, service,
    task::{self, Around, Stands},
};
use crate::validate::task_definition::fargate::FARGATE;

/// A stopped task, with tags if they are asked for.
///
/// # Errors
/// The record does not hold one.
pub fn task(state: &State, record: &HistoryRow, tags: bool) -> Result<Task, ApiError> {
    let (arns, row) = (state.arns(), task_row(record)?);
    let seen = record.task.clone().unwrap_or_default();
    let cluster = &record.cluster_name;
    let around = Around {
        cluster,
        definition_arn: match seen.family.as_str() {
            "" => String::new(),
            family => arns.task_definition(family, seen.revision),
        },
        containers: &seen.containers,
        // Its own network, if it had one, stands in the row.
        awsvpc: false,
        instance: seen.instance.as_ref().map(|i| Stands {
            arn: instance_arn(state, cluster, &row, Id128::from_halves(i.arn_hi, i.arn_lo)),
            zone: &i.zone,
            architecture: &i.architecture,
        }),
        arns,
    };
    Ok(task::render_with(&around, &row, tags))
}

/// As while the task was in the state: of an instance in one of FARGATE's pools, and of one that is gone and may have been, nothing
/// is said.
fn instance_arn(state: &State, cluster: &str, task: &TaskRow, id: Id128) -> Option<String> {
    let instance = state.instance_by_arn_id(id);
    let is_hidden = task.launch_type == FARGATE && instance.is_none_or(|i| is_fargate(&i.capacity_provider));
    (!is_hidden).then(|| state.arns().instance(cluster, id))
}

/// The row of a stopped task.
///
/// # Errors
/// The record does not hold one.
pub fn task_row(record: &HistoryRow) -> Result<TaskRow, ApiError> {
    decoded(record)
}

/// A deleted service, with tags if they are asked for.
///
/// # Errors
/// The record does not hold one.
pub fn service(state: &State, record: &HistoryRow, tags: bool) -> Result<Service, ApiError> {
    let row: ServiceRow = decoded(record)?;
    Ok(service::render_in(state, &record.cluster_name, &row, tags))
}

/// An event of a service.
///
/// # Errors
/// The record does not hold one.
pub fn event(state: &State, record: &HistoryRow) -> Result<ServiceEventChange, ApiError> {
    let row: ServiceEventRow = decoded(record)?;
    Ok(ServiceEventChange {
        cluster_arn: Some(state.arns().cluster(&record.cluster_name)),
        service_name: Some(record.service_name.clone()),
        event: Some(event::render(&record.service_name, &row)),
    })
}

fn decoded<R: Message + Default>(record: &HistoryRow) -> Result<R, ApiError> {
    R::decode(record.row.clone())
        .map_err(|error| ApiError::new(ErrorCode::Server, format!("a record of history does not decode: {error}")))
}
