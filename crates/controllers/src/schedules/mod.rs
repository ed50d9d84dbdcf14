//! Begins the jobs of schedules. A time that has come is due until a job began for it, or one for a later time did: it does not
//! matter who led when it came, or how late somebody looks.
//!
//! While nothing is due nothing is proposed: a cluster of a thousand schedules that wait writes no log entry.

mod cron;
mod due;
mod ticks;

use jiff::Timestamp;
use seawall_model::{
    ClusterId, ScheduleId,
    limits::{JOBS_ACTIVE_MAX, SCHEDULE_JOBS_ACTIVE_MAX},
};
use seawall_proto::internal::v1::{FireSchedule, JobStatus, ScheduleRow, StopJob, command};
use seawall_state::State;

pub use due::{CATCH_UP_MAX, Due, MISSED_COUNTED_MAX, ON_TIME_MS, due};
pub use ticks::{Ticks, UTC};

use crate::{ControllerPlan, Now};

/// The words of a schedule's policies.
pub mod policy {
    /// Concurrency: another job begins beside those that are not over.
    pub const ALLOW: &str = "ALLOW";
    /// Concurrency: it waits for them.
    pub const FORBID: &str = "FORBID";
    /// Concurrency: it stops them.
    pub const REPLACE: &str = "REPLACE";
    /// Catch-up: what is late does not begin.
    pub const SKIP: &str = "SKIP";
    /// Catch-up: of what was missed, the last begins.
    pub const ONE: &str = "ONE";
    /// Catch-up: all of what was missed begins.
    pub const ALL: &str = "ALL";
    /// State: its times count.
    pub const ENABLED: &str = "ENABLED";
    /// State: they do not.
    pub const DISABLED: &str = "DISABLED";
}

/// A cluster with too many jobs is looked at again this often.
pub const RETRY_MS: i64 = 15_000;

/// What the schedule needs now.
pub fn plan(state: &State, schedule: ScheduleId, now: Now) -> ControllerPlan {
    let mut plan = ControllerPlan::default();
    let Some(row) = state.schedules.get(&schedule) else { return plan };
    let spec = row.spec.clone().unwrap_or_default();
    if spec.state() != policy::ENABLED {
        return plan;
    }
    let ticks = match Ticks::parse(spec.expression(), spec.time_zone()) {
        Ok(ticks) => ticks,
        Err(error) => {
            plan.say(error);
            return plan;
        }
    };
    match due(&ticks, row, now.cluster_time_ms) {
        Some(due) => begin(state, row, due, now, &mut plan),
        None => {
            if let Some(next_ms) = ticks.next(row.anchor_ms, now.cluster_time_ms) {
                plan.wake(next_ms);
            }
        }
    }
    plan
}

/// Proposes the job, or what makes way for it.
fn begin(state: &State, row: &ScheduleRow, due: Due, now: Now, plan: &mut ControllerPlan) {
    let spec = row.spec.clone().unwrap_or_default();
    let active: Vec<_> = state.jobs_of_schedule(ScheduleId(row.id), false).collect();
    let jobs_max = if spec.concurrency() == policy::ALLOW { SCHEDULE_JOBS_ACTIVE_MAX } else { 1 };
    if active.len() >= jobs_max {
        // The end of one wakes the schedule.
        if spec.concurrency() == policy::REPLACE {
            for job in active.iter().filter(|job| job.status() == JobStatus::Running) {
                plan.say(format_args!("stop job {}: its schedule's next time has come", job.name));
                let reason = format!("Replaced: the next time of the schedule {} has come.", row.name);
                plan.commands.push(command::Kind::StopJob(StopJob { job_id: job.id, reason }));
            }
        }
        return;
    }
    if state.cluster_counts(ClusterId(row.cluster_id)).jobs_active >= JOBS_ACTIVE_MAX {
        plan.wake(now.cluster_time_ms.saturating_add(RETRY_MS));
        return;
    }
    let job_name = job_name(&row.name, due.tick_ms);
    plan.say(format_args!("begin {job_name}, {} missed", due.missed));
    plan.commands.push(command::Kind::FireSchedule(FireSchedule {
        schedule_id: row.id,
        schedule_version: row.changed,
        tick_ms: due.tick_ms,
        missed: due.missed,
        job_name,
    }));
}

/// "nightly-20301201-0300", in UTC: an hour that comes twice in the schedule's zone has different names.
fn job_name(schedule: &str, tick_ms: i64) -> String {
    let tick = Timestamp::from_millisecond(tick_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{schedule}-{}", tick.strftime("%Y%m%d-%H%M"))
}
