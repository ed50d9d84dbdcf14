//! Service deployments and revisions: what a service ran, how it got there, and the way back.
//!
//! A revision has the id of its deployment. Going back makes an old deployment the primary again under its own id, so that its
//! tasks that still run stay.

use std::sync::Arc;

use seawall_model::{ApiError, DeploymentId, ErrorCode, Id128, ServiceId};
use seawall_proto::internal::v1::{
    DeploymentFailure, DeploymentReturn, DeploymentRow, Done, RolloutState, ServiceDeploymentRow,
    ServiceDeploymentStatus, ServiceEventCode, ServiceEventRow, ServiceRevisionRow, ServiceRow, ServiceStatusCode,
    StopServiceDeployment, reply,
};

use super::{
    Apply, Outcome,
    refusal::{service_not_active, service_not_found},
};
use crate::{CircuitBreaker, is_finished, revision};

/// Service deployments of one service that are kept, with the revisions that they name.
const SERVICE_DEPLOYMENTS_KEPT: usize = 50;
/// Characters of a service deployment's id.
const ID_CHARS: usize = 21;
/// Members that one request says are only stored.
const STORED_MEMBERS_MAX: usize = 20;

/// ECS's words.
const BREAKER_TRIPPED: &str = "Service deployment rolled back because the circuit breaker threshold was exceeded.";
const NO_CANDIDATE: &str = "No rollback candidate was found to run the rollback.";
/// Ours.
const BREAKER_STOPPED: &str = "Service deployment stopped because the circuit breaker threshold was exceeded.";
const STOPPED_BY_REQUEST: &str = "Service deployment rolled back because StopServiceDeployment was called.";
const DELETED: &str = "Service deployment stopped because the service was deleted.";

impl Apply<'_> {
    /// A caller ends a service deployment that is under way.
    pub(super) fn stop_service_deployment(&mut self, it: &StopServiceDeployment) -> Outcome {
        use ServiceDeploymentStatus as Status;
        let id = ServiceId(it.service_id);
        let service = self.state.services.get(&id).ok_or_else(service_not_found)?;
        let deployment = self.state.service_deployments.get(&(id, it.service_deployment_id.clone()));
        let status = deployment.map(|row| row.status()).ok_or_else(deployment_not_found)?;
        match status {
            Status::Pending | Status::InProgress => {}
            Status::StopRequested | Status::RollbackRequested | Status::RollbackInProgress => {
                return Ok(reply::Kind::Done(Done { id: id.0, existed: true, ..Done::default() }));
            }
            _ => {
                let status = status.as_str_name().trim_start_matches("SERVICE_DEPLOYMENT_STATUS_");
                let message = format!("The service deployment is {status}: only one that is under way can be stopped.");
                return Err(ApiError::new(ErrorCode::Conflict, message).into());
            }
        }
        if service.status() != ServiceStatusCode::Active {
            return Err(service_not_active().into());
        }
        if self.state.rollback_target(service).is_none() {
            let message =
                "The service has no completed revision to go back to. next: update the service, or delete it.";
            return Err(ApiError::new(ErrorCode::Conflict, message).into());
        }
        let mut row = ServiceRow::clone(service);
        let primary = row.deployments.iter_mut().find(|d| d.primary);
        if let Some(primary) = primary {
            primary.set_rollout_state(RolloutState::Failed);
            primary.set_failure(DeploymentFailure::Stopped);
            primary.updated_at_ms = self.now_ms;
            let stopped = primary.id;
            self.say(&mut row, ServiceEventCode::DeploymentStopped, stopped, String::new());
        }
        let target = row.completed_deployment_id;
        self.say(&mut row, ServiceEventCode::RollingBack, target, String::new());
        self.roll_back(&mut row, DeploymentReturn::Stopped);
        self.put_service(row);
        Ok(reply::Kind::Done(Done { id: id.0, existed: false, deployment_id: target }))
    }

    /// Records what the primary of `row`, which is new, runs, and that its rollout begins. `sources` are the deployments
    /// that it takes the place of.
    pub(super) fn begin_service_deployment(&mut self, row: &mut ServiceRow, id: &str, sources: Vec<u64>) {
        let Some(primary) = row.deployments.iter_mut().find(|d| d.primary) else { return };
        primary.service_deployment_id = id.to_owned();
        let primary = primary.clone();
        let spec = row.spec.clone().unwrap_or_default();
        self.put_revision(row.id, &primary, &spec);
        let begun = ServiceDeploymentRow {
            id: id.to_owned(),
            service_id: row.id,
            source_revision_ids: sources,
            target_revision_id: primary.id,
            status: ServiceDeploymentStatus::InProgress.into(),
            created_at_ms: self.now_ms,
            started_at_ms: self.now_ms,
            updated_at_ms: self.now_ms,
            configuration: spec.deployment_configuration,
            changed: self.index,
            ..ServiceDeploymentRow::default()
        };
        self.state.put_service_deployment(begun);
        self.forget_service_deployments(row, SERVICE_DEPLOYMENTS_KEPT);
    }

    /// Gives the deployments of a service that a version without revisions made theirs, before they are replaced.
    pub(super) fn complete_revisions(&mut self, row: &mut ServiceRow) {
        let spec = row.spec.clone().unwrap_or_default();
        let service = ServiceId(row.id);
        for deployment in row.deployments.clone() {
            if self.state.service_revisions.get(&(service, deployment.id)).is_some() {
                continue;
            }
            self.put_revision(row.id, &deployment, &spec);
            if deployment.primary && deployment.rollout_state() == RolloutState::Completed {
                note_completed(row, &deployment);
            }
        }
    }

    fn put_revision(
        &mut self,
        service_id: u64,
        deployment: &DeploymentRow,
        spec: &seawall_proto::v1::CreateServiceRequest,
    ) {
        self.state.put_service_revision(ServiceRevisionRow {
            id: deployment.id,
            service_id,
            task_definition_id: deployment.task_definition_id,
            spec: Some(revision::held(spec)),
            created_at_ms: deployment.created_at_ms,
            changed: self.index,
        });
    }

    /// Ends the service deployment of the primary, which another takes the place of.
    pub(super) fn supersede(&mut self, row: &ServiceRow, by: &str) {
        let Some(primary) = row.deployments.iter().find(|d| d.primary) else { return };
        let status = match primary.returned() {
            DeploymentReturn::None => ServiceDeploymentStatus::Stopped,
            _ => ServiceDeploymentStatus::RollbackFailed,
        };
        let reason = format!("Service deployment superseded by service deployment {by}.");
        self.end_service_deployment(row, primary, status, &reason);
    }

    /// The same for a service that is deleted.
    pub(super) fn end_deployments(&mut self, row: &ServiceRow) {
        for deployment in &row.deployments {
            self.end_service_deployment(row, deployment, ServiceDeploymentStatus::Stopped, DELETED);
        }
    }

    /// What deployments' new rollout states mean for the service and its service deployments.
    pub(super) fn note_rollout(&mut self, row: &mut ServiceRow) {
        let service = ServiceId(row.id);
        let old = self.state.services.get(&service).cloned();
        let before =
            |id: u64| old.iter().flat_map(|row| &row.deployments).find(|d| d.id == id).map(|d| d.rollout_state());
        for deployment in row.deployments.clone() {
            let has_revision = self.state.service_revisions.get(&(service, deployment.id)).is_some();
            if before(deployment.id) == Some(deployment.rollout_state()) || !has_revision {
                continue;
            }
            match (deployment.rollout_state(), deployment.returned()) {
                (RolloutState::Completed, returned) => {
                    note_completed(row, &deployment);
                    let (status, reason) = match returned {
                        DeploymentReturn::None => (ServiceDeploymentStatus::Successful, ""),
                        DeploymentReturn::CircuitBreaker => {
                            (ServiceDeploymentStatus::RollbackSuccessful, BREAKER_TRIPPED)
                        }
                        DeploymentReturn::Stopped => (ServiceDeploymentStatus::RollbackSuccessful, STOPPED_BY_REQUEST),
                    };
                    self.end_service_deployment(row, &deployment, status, reason);
                }
                (RolloutState::Failed, _) => {
                    let (status, reason) = match CircuitBreaker::of(row.spec.as_ref()) {
                        Some(breaker) if breaker.rollback => (ServiceDeploymentStatus::RollbackFailed, NO_CANDIDATE),
                        _ => (ServiceDeploymentStatus::Stopped, BREAKER_STOPPED),
                    };
                    self.end_service_deployment(row, &deployment, status, reason);
                }
                _ => {}
            }
        }
    }

    /// Makes the last completed deployment the primary again, in place of the one that is FAILED.
    pub(super) fn roll_back(&mut self, row: &mut ServiceRow, why: DeploymentReturn) {
        let Some(revision) = self.state.rollback_target(row).cloned() else { return };
        let service = ServiceId(row.id);
        let failed = row.deployments.iter().find(|d| d.primary).cloned().unwrap_or_default();
        let kept = row.deployments.iter().find(|d| d.id == revision.id).cloned().unwrap_or_default();
        row.deployments
            .retain(|d| d.id != revision.id && self.state.deployment_counts(service, DeploymentId(d.id)).live > 0);
        row.deployments.iter_mut().for_each(|d| d.primary = false);
        let primary = DeploymentRow {
            id: revision.id,
            task_definition_id: revision.task_definition_id,
            primary: true,
            rollout_state: RolloutState::InProgress.into(),
            created_at_ms: self.now_ms,
            updated_at_ms: self.now_ms,
            counted_index: kept.counted_index.max(self.index),
            service_deployment_id: failed.service_deployment_id.clone(),
            returned: why.into(),
            ..DeploymentRow::default()
        };
        row.deployments.insert(0, primary);
        row.spec =
            Some(revision::restored(row.spec.clone().unwrap_or_default(), &revision.spec.clone().unwrap_or_default()));
        afresh(row);
        let (now_ms, tripped) = (self.now_ms, why == DeploymentReturn::CircuitBreaker);
        let threshold = threshold_of(row);
        self.change_service_deployment(row, &failed.service_deployment_id, |it| {
            it.set_status(ServiceDeploymentStatus::RollbackInProgress);
            it.failures = failed.breaker_failures;
            it.threshold = threshold;
            it.breaker_tripped = tripped;
            it.rollback_started_at_ms = now_ms;
            it.rollback_revision_id = revision.id;
            it.rollback_reason = if tripped { BREAKER_TRIPPED } else { STOPPED_BY_REQUEST }.into();
            it.status_reason = it.rollback_reason.clone();
        });
    }

    fn end_service_deployment(
        &mut self,
        row: &ServiceRow,
        deployment: &DeploymentRow,
        status: ServiceDeploymentStatus,
        reason: &str,
    ) {
        let now_ms = self.now_ms;
        let threshold = threshold_of(row);
        self.change_service_deployment(row, &deployment.service_deployment_id, |it| {
            if it.rollback_started_at_ms == 0 {
                it.failures = deployment.breaker_failures;
                it.threshold = threshold;
                it.breaker_tripped = deployment.failure() == DeploymentFailure::CircuitBreaker;
            }
            it.set_status(status);
            it.status_reason = reason.to_owned();
            it.finished_at_ms = now_ms;
            if status == ServiceDeploymentStatus::Stopped {
                it.stopped_at_ms = now_ms;
            }
        });
    }

    /// Changes a service deployment unless it has ended.
    fn change_service_deployment(
        &mut self,
        service: &ServiceRow,
        id: &str,
        change: impl FnOnce(&mut ServiceDeploymentRow),
    ) {
        let Some(old) = self.state.service_deployments.get(&(ServiceId(service.id), id.to_owned())) else { return };
        if is_finished(old.status()) {
            return;
        }
        let mut row = ServiceDeploymentRow::clone(old);
        change(&mut row);
        row.updated_at_ms = self.now_ms;
        row.changed = self.index;
        self.state.put_service_deployment(row);
    }

    /// Drops the oldest service deployments beyond the last `kept`, and the revisions that nothing names any more.
    fn forget_service_deployments(&mut self, row: &ServiceRow, kept: usize) {
        let service = ServiceId(row.id);
        let mut all: Vec<Arc<ServiceDeploymentRow>> = self.state.service_deployments_of(service).cloned().collect();
        all.sort_by(|a, b| (a.created_at_ms, a.changed, &a.id).cmp(&(b.created_at_ms, b.changed, &b.id)));
        let surplus = all.len().saturating_sub(kept);
        for old in all.drain(..surplus) {
            self.state.remove_service_deployment(service, &old.id);
        }
        let mut named: Vec<u64> = row.deployments.iter().map(|d| d.id).chain([row.completed_deployment_id]).collect();
        for deployment in &all {
            named.extend(&deployment.source_revision_ids);
            named.extend([deployment.target_revision_id, deployment.rollback_revision_id]);
        }
        let revisions: Vec<u64> = self.state.service_revisions_of(service).map(|revision| revision.id).collect();
        for id in revisions.into_iter().filter(|id| !named.contains(id)) {
            self.state.remove_service_revision(service, id);
        }
    }

    /// Says of each member that it is only stored.
    pub(super) fn say_stored(&mut self, row: &mut ServiceRow, members: &[String]) {
        for member in members.iter().take(STORED_MEMBERS_MAX) {
            self.say(row, ServiceEventCode::StoredOnly, 0, member.clone());
        }
    }

    /// Adds an event to a service that this command touches.
    fn say(&mut self, row: &mut ServiceRow, code: ServiceEventCode, deployment_id: u64, detail: String) {
        // The controller makes its ids of the version before; these are of the one after.
        let base = Id128::time_ordered(self.now_ms, row.id.rotate_right(24) ^ !self.index);
        let taken = |id: Id128| row.events.iter().any(|e| (e.id_hi, e.id_lo) == (id.hi(), id.lo()));
        let free = (0..).map(|ordinal| base.offset(ordinal)).find(|id| !taken(*id)).unwrap_or(base);
        let event = ServiceEventRow {
            id_hi: free.hi(),
            id_lo: free.lo(),
            at_ms: self.now_ms,
            code: code.into(),
            deployment_id,
            detail,
            ..ServiceEventRow::default()
        };
        self.add_events(row, &[event]);
        self.changed(crate::Change::ServiceEvent(ServiceId(row.id), free));
    }
}

/// Whatever kept the service from starting tasks is tried anew.
pub(super) fn afresh(row: &mut ServiceRow) {
    row.backoff = None;
    row.steady = false;
    row.rebalancing = false;
    row.unplaced_reason.clear();
    row.unplaced_left_out.clear();
}

/// The id of a service deployment that is new to the service.
pub(super) fn check_id(id: &str) -> Result<(), ApiError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if id.is_empty() || (id.len() == ID_CHARS && id.chars().all(good)) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("A service deployment's id has {ID_CHARS} letters, digits, _ and -.")))
}

fn note_completed(row: &mut ServiceRow, deployment: &DeploymentRow) {
    row.completed_deployment_id = deployment.id;
    row.completed_task_definition_id = deployment.task_definition_id;
}

fn threshold_of(row: &ServiceRow) -> u32 {
    CircuitBreaker::of(row.spec.as_ref()).map_or(0, |breaker| breaker.threshold(row.desired_count))
}

fn deployment_not_found() -> ApiError {
    ApiError::new(ErrorCode::ServiceDeploymentNotFound, "The service deployment was not found.")
}
