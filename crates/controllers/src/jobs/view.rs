//! A job's tasks, sorted by what they mean for it.

use seawall_model::{ClusterId, JobId};
use seawall_proto::internal::v1::{JobRow, JobStep, TaskRow};
use seawall_scheduler::{Fleet, Spread};
use seawall_state::{is_over, job_group, task_id};

use crate::Now;

/// One look at a job.
pub(crate) struct View<'a> {
    pub fleet: &'a Fleet,
    pub now: Now,
    pub job: &'a JobRow,
    /// Should run, and can be reached.
    pub wanted: Vec<&'a TaskRow>,
    /// Told to stop, can be reached, and not stopped yet.
    pub leaving: Vec<&'a TaskRow>,
    /// Should run, on an instance that fell silent.
    pub unreachable: Vec<&'a TaskRow>,
    /// Tasks whose placement is on its way.
    pub proposed: usize,
}

impl<'a> View<'a> {
    /// `None` where there is no such job or it is over.
    pub fn new(fleet: &'a Fleet, job: JobId, now: Now) -> Option<Self> {
        let (state, overlay) = (fleet.state(), fleet.overlay());
        let job: &JobRow = state.jobs.get(&job).filter(|job| !is_over(job))?;
        let spread = Spread::Group(job_group(&job.name));
        let proposed = overlay.counts(ClusterId(job.cluster_id), &spread).map(|(_, count)| count as usize).sum();
        let (wanted, leaving, unreachable) = (Vec::new(), Vec::new(), Vec::new());
        let mut view = View { fleet, now, job, wanted, leaving, unreachable, proposed };
        state.live_tasks_of_job(job).for_each(|task| view.sort(task));
        Some(view)
    }

    /// One that is told to stop on a silent instance is nobody's any more.
    fn sort(&mut self, task: &'a TaskRow) {
        let stops = !task.desired_running
            || self.fleet.overlay().is_stopping(task.id.as_ref().map(task_id).unwrap_or_default());
        match (task.unreachable_since_ms == 0, stops) {
            (true, false) => self.wanted.push(task),
            (true, true) => self.leaving.push(task),
            (false, false) => self.unreachable.push(task),
            (false, true) => {}
        }
    }

    /// A step that changes nothing.
    pub fn step(&self) -> JobStep {
        JobStep { job_id: self.job.id, job_version: self.job.changed, ..JobStep::default() }
    }
}
