//! Revisions of task definitions.

use std::{collections::BTreeSet, sync::Arc};

use seawall_model::{ApiError, ErrorCode, TaskDefinitionId, is_ecs_name, limits::CONTAINERS_MAX};
use seawall_proto::internal::v1::{
    DeregisterTaskDefinition, Done, FamilyRow, RegisterTaskDefinition, TaskDefinitionRow, TaskDefinitionStatus,
    TaskSize, reply,
};

use super::{Apply, Outcome, done, refusal::checked_tags};
use crate::Change;

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
