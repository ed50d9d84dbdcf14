//! What a pass writes into the service's row: one `ServiceStep`, and none if nothing changed.

use seawall_model::Id128;
use seawall_proto::internal::v1::{BackoffRow, DeploymentRow, ServiceEventCode, ServiceEventRow, ServiceStep, command};

use super::view::View;
use crate::ControllerPlan;

/// The row's fields as they are to be.
pub(crate) struct Step {
    pub events: Vec<ServiceEventRow>,
    pub deployments: Vec<DeploymentRow>,
    pub backoff: BackoffRow,
    pub unplaced_reason: String,
    /// Goes with the reason.
    pub unplaced_left_out: Vec<u32>,
    pub steady: bool,
    pub finish_delete: bool,
    pub roll_back: bool,
    pub desired_count: u32,
    pub rebalancing: bool,
}

impl Step {
    /// Nothing changes.
    pub fn new(view: &View<'_>) -> Self {
        Step {
            events: Vec::new(),
            deployments: view.service.deployments.clone(),
            backoff: view.service.backoff.clone().unwrap_or_default(),
            unplaced_reason: view.service.unplaced_reason.clone(),
            unplaced_left_out: Vec::new(),
            steady: view.service.steady,
            finish_delete: false,
            roll_back: false,
            desired_count: view.service.desired_count,
            rebalancing: view.service.rebalancing,
        }
    }

    /// Adds an event that happens now.
    pub fn event(&mut self, view: &View<'_>, code: ServiceEventCode, count: u32, detail: String) {
        let at_ms = view.now.cluster_time_ms;
        self.push(view, ServiceEventRow { at_ms, code: code.into(), count, detail, ..ServiceEventRow::default() });
    }

    /// Adds an event. Its id is made of the service and its version, which this step raises, and its place.
    pub fn push(&mut self, view: &View<'_>, event: ServiceEventRow) {
        let step = view.service.id.rotate_right(24) ^ view.service.changed;
        let id = Id128::time_ordered(event.at_ms, step).offset(self.events.len() as u32);
        let (id_hi, id_lo) = (id.hi(), id.lo());
        let deployment_id = if event.deployment_id == 0 { view.primary.id } else { event.deployment_id };
        self.events.push(ServiceEventRow { id_hi, id_lo, deployment_id, ..event });
    }

    /// The last completed deployment becomes the primary again.
    pub fn rolling_back(&mut self, view: &View<'_>, deployment_id: u64) {
        self.roll_back = true;
        let (at_ms, code) = (view.now.cluster_time_ms, ServiceEventCode::RollingBack.into());
        self.push(view, ServiceEventRow { at_ms, code, deployment_id, ..ServiceEventRow::default() });
    }

    /// Proposes what differs from the row. Last in the plan: it raises the row's version.
    pub fn finish(self, view: &View<'_>, plan: &mut ControllerPlan) {
        let row = view.service;
        let backoff = (self.backoff != row.backoff.clone().unwrap_or_default()).then_some(self.backoff);
        let is_unplaced_anew = self.unplaced_reason != row.unplaced_reason;
        let deployments = if self.deployments == row.deployments { Vec::new() } else { self.deployments };
        let step = ServiceStep {
            service_id: row.id,
            service_version: row.changed,
            events: self.events,
            deployments,
            backoff,
            unplaced_left_out: if is_unplaced_anew { self.unplaced_left_out } else { Vec::new() },
            unplaced_reason: is_unplaced_anew.then_some(self.unplaced_reason),
            steady: (self.steady != row.steady).then_some(self.steady),
            finish_delete: self.finish_delete,
            roll_back: self.roll_back,
            desired_count: (self.desired_count != row.desired_count).then_some(self.desired_count),
            rebalancing: (self.rebalancing != row.rebalancing).then_some(self.rebalancing),
        };
        let nothing = ServiceStep { service_id: row.id, service_version: row.changed, ..ServiceStep::default() };
        if step == nothing {
            return;
        }
        say(&step, plan);
        plan.commands.push(command::Kind::ServiceStep(step));
    }
}

fn say(step: &ServiceStep, plan: &mut ControllerPlan) {
    for event in &step.events {
        let code = event.code().as_str_name().trim_start_matches("SERVICE_EVENT_CODE_");
        plan.say(format_args!("event {code} {} {}", event.count, event.detail).to_string().trim_end());
    }
    for deployment in &step.deployments {
        let state = deployment.rollout_state().as_str_name().trim_start_matches("ROLLOUT_STATE_");
        plan.say(format_args!("deployment {} {state}, {} failed", deployment.id, deployment.failed_tasks));
    }
    if let Some(backoff) = &step.backoff {
        let BackoffRow { failures, rounds, held_back, not_before_ms, .. } = backoff;
        plan.say(format_args!("backoff: {failures} failures, {rounds} rounds, {held_back} wait until {not_before_ms}"));
    }
    if let Some(reason) = &step.unplaced_reason {
        plan.say(format_args!("unplaced: {reason:?}"));
    }
    if let Some(steady) = step.steady {
        plan.say(format_args!("steady: {steady}"));
    }
    if let Some(count) = step.desired_count {
        plan.say(format_args!("desired: {count}"));
    }
    if let Some(rebalancing) = step.rebalancing {
        plan.say(format_args!("rebalancing: {rebalancing}"));
    }
    if step.roll_back {
        plan.say("roll back");
    }
    if step.finish_delete {
        plan.say("deleted");
    }
}
