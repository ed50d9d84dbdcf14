//! A time of a schedule has one job, whoever leads, and no job has more tasks than it may have at once.

use std::collections::BTreeMap;

use seawall_proto::internal::v1::JobRow;
use seawall_state::{State, holds_place};

use super::Invariant;
use crate::world::Seen;

/// See the module.
#[derive(Default)]
pub struct FiredOnce {
    /// By schedule and time.
    jobs: BTreeMap<(u64, i64), u64>,
}

impl Invariant for FiredOnce {
    fn name(&self) -> &'static str {
        "a schedule's time has one job"
    }

    fn seen(&mut self, member: &str, seen: &Seen) -> Result<(), String> {
        let Seen::Applied(entry) = seen else { return Ok(()) };
        for (_, job) in entry.state.jobs.iter() {
            self.check(&entry.state, job).map_err(|why| format!("{member} at {}, {}: {why}", entry.index, job.name))?;
        }
        Ok(())
    }
}

impl FiredOnce {
    fn check(&mut self, state: &State, job: &JobRow) -> Result<(), String> {
        let at_once = job.template.as_ref().map_or(0, |template| template.parallelism()) as usize;
        let tasks = state.live_tasks_of_job(job).filter(|task| holds_place(task)).count();
        // Those that were given up on silent instances come back for a moment.
        let given_up = state.live_tasks_of_job(job).filter(|task| !task.desired_running).count();
        if tasks > at_once + given_up {
            return Err(format!("{tasks} tasks, {given_up} of them given up; it may have {at_once}"));
        }
        if job.tick_ms == 0 {
            return Ok(());
        }
        let first = *self.jobs.entry((job.schedule_id, job.tick_ms)).or_insert(job.id);
        if first == job.id { Ok(()) } else { Err(format!("the time {} had the job {first} already", job.tick_ms)) }
    }
}
