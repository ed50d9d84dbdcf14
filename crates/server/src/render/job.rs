//! A job as clients see it.

use seawall_controllers::jobs::not_before_ms;
use seawall_model::{ScheduleId, ServiceId, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{JobRow, JobStatus},
    timestamp_of, timestamp_unless_zero,
    v1::Job,
};
use seawall_state::State;

use super::{cluster_name, task_definition, unless_empty};

/// The job as it is.
pub fn render(state: &State, row: &JobRow, now_ms: i64) -> Job {
    let schedule = state.schedules.get(&ScheduleId(row.schedule_id));
    let definition = state.task_definitions.get(&TaskDefinitionId(row.task_definition_id));
    let service = row.deploy.as_ref().and_then(|deploy| state.services.get(&ServiceId(deploy.service_id)));
    let waits_until_ms = not_before_ms(row);
    let waits = row.status() == JobStatus::Running && waits_until_ms > now_ms;
    Job {
        name: row.name.clone(),
        id: row.id,
        cluster: cluster_name(state, row.cluster_id).to_owned(),
        schedule: schedule.map(|schedule| schedule.name.clone()),
        scheduled_for: timestamp_unless_zero(row.tick_ms),
        status: status(row.status()).to_owned(),
        status_reason: unless_empty(&row.reason),
        template: row.template.clone(),
        task_definition_arn: definition.map(|definition| task_definition::arn(state, definition)),
        succeeded: row.succeeded,
        failed: row.failed,
        active: state.live_tasks_of_job(row).count() as u32,
        last_failure: unless_empty(&row.last_failure),
        next_try_at: waits.then(|| timestamp_of(waits_until_ms)),
        unplaced_reason: unless_empty(&row.unplaced_reason),
        created_at: timestamp_unless_zero(row.created_at_ms),
        finished_at: timestamp_unless_zero(row.finished_at_ms),
        deploys_to: service.map(|service| service.name.clone()),
    }
}

fn status(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Unspecified | JobStatus::Running => "RUNNING",
        JobStatus::Ending => "STOPPING",
        JobStatus::Succeeded => "SUCCEEDED",
        JobStatus::Failed => "FAILED",
        JobStatus::Stopped => "STOPPED",
    }
}
