//! Revisions of task definitions.

use std::{collections::BTreeSet, sync::Arc};

use seawall_model::{ApiError, ErrorCode, TaskDefinitionId, is_ecs_name, limits::CONTAINERS_MAX};
use seawall_proto::internal::v1::{
    DeleteTaskDefinitions, DeregisterTaskDefinition, Done, FamilyRow, RegisterTaskDefinition, TaskDefinitionRow,
    TaskDefinitionStatus, TaskSize, reply,
};

use super::{Apply, Outcome, done, refusal::checked_tags};
use crate::Change;

/// Revisions on their way out that one command looks at.
const DROPPED_A_COMMAND: usize = 8;
/// Revisions of one family, as ECS's quota has it.
const REVISIONS_MAX: u32 = 1_000_000;

impl Apply<'_> {
    /// Gives the next revision: a number is never given twice, whatever was deregistered.
    pub(super) fn register_task_definition(&mut self, it: &RegisterTaskDefinition) -> Outcome {
        let mut definition = it.definition.clone().unwrap_or_default();
        let family = definition.family().to_owned();
        if !is_ecs_name(&family) {
            let message = format!("Invalid family {family:?}: up to 255 letters, digits, hyphens and underscores.");
            return Err(ApiError::client(message).into());
        }
        if !(1..=CONTAINERS_MAX).contains(&definition.container_definitions.len()) {
            return Err(ApiError::client(format!("A task definition has 1 to {CONTAINERS_MAX} containers.")).into());
        }
        let size = it.size.clone().ok_or_else(|| ApiError::client("The task definition has no size."))?;
        check_ports(&size)?;
        let tags = checked_tags(&it.tags)?;
        let account = self.principal.account;
        let last = self.state.families.get(&(account, family.clone())).map_or(0, |row| row.last_revision);
        if last >= REVISIONS_MAX {
            let message = format!("The family {family} has {REVISIONS_MAX} revisions, which is the limit.");
            return Err(ApiError::new(ErrorCode::LimitExceeded, message).into());
        }
        self.drop_unused_definitions();
        let revision = last + 1;
        let id = self.next_id();
        definition.revision = i32::try_from(revision).ok();
        let row = FamilyRow { account, family: family.clone(), last_revision: revision };
        self.state.families.put((account, family.clone()), Arc::new(row));
        self.state.put_task_definition(TaskDefinitionRow {
            id,
            account,
            family,
            revision,
            status: TaskDefinitionStatus::Active.into(),
            definition: Some(definition),
            registered_at_ms: self.now_ms,
            deregistered_at_ms: 0,
            registered_by: it.registered_by.clone(),
            tags,
            size: Some(size),
            changed: self.index,
        });
        self.changed(Change::TaskDefinition(TaskDefinitionId(id)));
        Ok(done(id))
    }

    /// Services that use it go on: they start and replace tasks of it. Nothing new is made with it.
    pub(super) fn deregister_task_definition(&mut self, it: &DeregisterTaskDefinition) -> Outcome {
        let id = it.task_definition_id;
        let row = self.definition(id).map_err(|_| ApiError::client("Unable to describe task definition."))?;
        if row.status() != TaskDefinitionStatus::Active {
            return Ok(reply::Kind::Done(Done { id, existed: true, ..Done::default() }));
        }
        let mut row = row.clone();
        row.status = TaskDefinitionStatus::Inactive.into();
        row.deregistered_at_ms = self.now_ms;
        row.changed = self.index;
        self.state.put_task_definition(row);
        self.changed(Change::TaskDefinition(TaskDefinitionId(id)));
        Ok(done(id))
    }

    /// INACTIVE revisions become DELETE_IN_PROGRESS, and leave once nothing names them any more.
    pub(super) fn delete_task_definitions(&mut self, it: &DeleteTaskDefinitions) -> Outcome {
        for id in &it.task_definition_ids {
            let Ok(row) = self.definition(*id) else { continue };
            if row.status() != TaskDefinitionStatus::Inactive {
                continue;
            }
            let status = TaskDefinitionStatus::DeleteInProgress.into();
            let row = TaskDefinitionRow { status, changed: self.index, ..row.clone() };
            self.state.put_task_definition(row);
            self.changed(Change::TaskDefinition(TaskDefinitionId(*id)));
        }
        Ok(done(0))
    }

    /// Those on their way out that no task and no service names. Called by what may free one: it looks at a few at a time.
    pub(super) fn drop_unused_definitions(&mut self) {
        let leaving = self.state.index.definitions_leaving.iter().take(DROPPED_A_COMMAND);
        let unused: Vec<TaskDefinitionId> =
            leaving.copied().filter(|id| !self.state.is_definition_in_use(*id)).collect();
        for id in unused {
            self.state.remove_task_definition(id);
            self.changed(Change::TaskDefinition(id));
        }
    }
}

/// A task that asks for one host port twice could never start.
fn check_ports(size: &TaskSize) -> Result<(), ApiError> {
    let mut taken = BTreeSet::new();
    for need in size.ports.iter().filter(|need| need.host_port != 0) {
        let protocol = if need.udp { "udp" } else { "tcp" };
        if u16::try_from(need.host_port).is_err() {
            return Err(ApiError::client(format!("Invalid host port {}: it is over 65535.", need.host_port)));
        }
        if !taken.insert((need.host_port, need.udp)) {
            let message = format!("The host port {}/{protocol} is asked for twice.", need.host_port);
            return Err(ApiError::client(message));
        }
    }
    Ok(())
}
