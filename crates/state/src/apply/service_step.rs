//! What the service controller learned or decided.

use seawall_model::{ApiError, ClusterId, DeploymentId, ServiceId, TaskId};
use seawall_proto::internal::v1::{
    DeploymentReturn, DeploymentRow, RolloutState, ServiceEventRow, ServiceRow, ServiceStatusCode, ServiceStep,
};

use super::{
    Apply, Outcome, Rejection, done,
    refusal::{cut, cut_left_out},
};
use crate::Change;

/// Tasks that one event names.
const EVENT_TASKS_MAX: usize = 20;
const TEXT_BYTES_MAX: usize = 1024;

impl Apply<'_> {
    pub(super) fn service_step(&mut self, it: &ServiceStep) -> Outcome {
        let id = ServiceId(it.service_id);
        let stale = |what: &str| Rejection::Stale(format!("service {id} {what}"));
        let old = self.state.services.get(&id).ok_or_else(|| stale("is gone"))?;
        if it.service_version != 0 && it.service_version != old.changed {
            return Err(stale("has changed"));
        }
        if it.finish_delete && old.status() != ServiceStatusCode::Draining {
            return Err(stale("is not DRAINING"));
        }
        if it.finish_delete && self.state.service_counts(id).live > 0 {
            return Err(stale("still has tasks"));
        }
        let mut row = ServiceRow::clone(old);
        if it.roll_back && !self.can_roll_back(old, it) {
            return Err(stale("has no failed deployment, or none to go back to"));
        }
        if !it.deployments.is_empty() {
            self.check_deployments(old, &it.deployments)?;
            row.deployments = it.deployments.clone();
        }
        if let Some(backoff) = &it.backoff {
            row.backoff = Some(backoff.clone());
        }
        if let Some(reason) = &it.unplaced_reason {
            row.unplaced_reason = cut(reason, TEXT_BYTES_MAX).to_owned();
            row.unplaced_left_out = cut_left_out(&it.unplaced_left_out);
        }
        row.steady = it.steady.unwrap_or(row.steady);
        row.rebalancing = it.rebalancing.unwrap_or(row.rebalancing);
        row.desired_count = it.desired_count.unwrap_or(row.desired_count);
        if it.roll_back {
            self.roll_back(&mut row, DeploymentReturn::CircuitBreaker);
        } else {
            self.note_rollout(&mut row);
        }
        if it.finish_delete {
            row.status = ServiceStatusCode::Inactive.into();
            row.deployments.clear();
        }
        self.add_events(&mut row, &it.events);
        let cluster = ClusterId(row.cluster_id);
        self.put_service(row);
        for event in &it.events {
            self.changed(Change::ServiceEvent(id, TaskId::from_halves(event.id_hi, event.id_lo)));
        }
        self.forget_inactive_services(cluster, self.deleted_services_kept());
        Ok(done(id.0))
    }

    /// The primary is given up, and another one was completed before.
    fn can_roll_back(&self, old: &ServiceRow, it: &ServiceStep) -> bool {
        let failed = it.deployments.iter().any(|d| d.primary && d.rollout_state() == RolloutState::Failed);
        failed && old.status() == ServiceStatusCode::Active && self.state.rollback_target(old).is_some()
    }

    /// One primary, first; none that has tasks is left out, for its tasks would belong to nothing.
    fn check_deployments(&self, old: &ServiceRow, new: &[DeploymentRow]) -> Result<(), Rejection> {
        let primary_first = new.iter().enumerate().all(|(place, d)| d.primary == (place == 0));
        let distinct = new.iter().enumerate().all(|(place, d)| d.id != 0 && new[..place].iter().all(|o| o.id != d.id));
        if !primary_first || !distinct {
            return Err(ApiError::invalid("The deployments must be distinct, the one primary first.").into());
        }
        for deployment in new.iter().filter(|d| old.deployments.iter().all(|o| o.id != d.id)) {
            self.definition(deployment.task_definition_id)?;
        }
        let id = ServiceId(old.id);
        let left_out = old.deployments.iter().filter(|d| new.iter().all(|n| n.id != d.id));
        for deployment in left_out {
            if self.state.deployment_counts(id, DeploymentId(deployment.id)).live > 0 {
                return Err(Rejection::Stale(format!("deployment {} of service {id} has tasks", deployment.id)));
            }
        }
        Ok(())
    }

    pub(super) fn add_events(&mut self, row: &mut ServiceRow, events: &[ServiceEventRow]) {
        row.events.extend(events.iter().map(|event| {
            let mut event = event.clone();
            event.tasks.truncate(EVENT_TASKS_MAX);
            event.detail = cut(&event.detail, TEXT_BYTES_MAX).to_owned();
            if event.at_ms == 0 {
                event.at_ms = self.now_ms;
            }
            event
        }));
        let surplus = row.events.len().saturating_sub(self.limits().service_events_kept as usize);
        let retired: Vec<ServiceEventRow> = row.events.drain(..surplus).collect();
        for event in &retired {
            self.keep_event(row, event);
        }
    }
}
