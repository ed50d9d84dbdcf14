//! `TaskDefinition`.

use seawall_model::TaskDefinitionId;
use seawall_proto::{
    internal::v1::{TaskDefinitionRow, TaskDefinitionStatus},
    timestamp_unless_zero,
    v1::TaskDefinition,
};
use seawall_state::State;

use super::{count, unless_empty, version};

/// The ARN of a revision.
pub fn arn(state: &State, row: &TaskDefinitionRow) -> String {
    state.arns().task_definition(&row.family, row.revision)
}

/// The ARN of the revision with this id; empty where it is gone.
pub fn arn_of(state: &State, id: u64) -> String {
    state.task_definitions.get(&TaskDefinitionId(id)).map(|row| arn(state, row)).unwrap_or_default()
}

/// The definition as registered, with what registering it added.
pub fn render(state: &State, row: &TaskDefinitionRow) -> TaskDefinition {
    TaskDefinition {
        task_definition_arn: Some(arn(state, row)),
        family: Some(row.family.clone()),
        revision: count(row.revision),
        status: Some(status(row.status).into()),
        registered_at: timestamp_unless_zero(row.registered_at_ms),
        deregistered_at: timestamp_unless_zero(row.deregistered_at_ms),
        registered_by: unless_empty(&row.registered_by),
        version: version(row.changed),
        ..row.definition.clone().unwrap_or_default()
    }
}

/// The word of a revision's status.
pub fn status(status: i32) -> &'static str {
    match TaskDefinitionStatus::try_from(status).unwrap_or_default() {
        TaskDefinitionStatus::Unspecified | TaskDefinitionStatus::Active => "ACTIVE",
        TaskDefinitionStatus::Inactive => "INACTIVE",
        TaskDefinitionStatus::DeleteInProgress => "DELETE_IN_PROGRESS",
    }
}
