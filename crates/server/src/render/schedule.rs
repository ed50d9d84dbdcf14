//! A schedule as clients see it.

use seawall_controllers::schedules::{Ticks, policy};
use seawall_model::{JobId, ScheduleId};
use seawall_proto::{internal::v1::ScheduleRow, timestamp_of, timestamp_unless_zero, v1::Schedule};
use seawall_state::State;

use super::cluster_name;

/// The schedule as it is.
pub fn render(state: &State, row: &ScheduleRow, now_ms: i64) -> Schedule {
    let spec = row.spec.clone().unwrap_or_default();
    let ticks = Ticks::parse(spec.expression(), spec.time_zone()).ok();
    let next_ms = ticks.and_then(|ticks| ticks.next(row.anchor_ms, now_ms));
    let last_job = state.jobs.get(&JobId(row.last_job_id));
    Schedule {
        name: row.name.clone(),
        cluster: cluster_name(state, row.cluster_id).to_owned(),
        next_at: next_ms.filter(|_| spec.state() == policy::ENABLED).map(timestamp_of),
        last_at: timestamp_unless_zero(row.last_tick_ms),
        last_job: last_job.map(|job| job.name.clone()),
        fired: row.fired,
        missed: row.missed,
        active: state.jobs_of_schedule(ScheduleId(row.id), false).count() as u32,
        created_at: timestamp_unless_zero(row.created_at_ms),
        spec: Some(spec),
    }
}
