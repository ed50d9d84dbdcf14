//! Schedules. What a time is and when the next one comes is the leader's business: here a time is a number, and counts once.

use seawall_model::{
    ApiError, ClusterId, ErrorCode, JobId, ScheduleId, is_ecs_name,
    limits::{JOBS_ACTIVE_MAX, SCHEDULE_JOBS_ACTIVE_MAX, SCHEDULE_NAME_CHARS_MAX, SCHEDULES_MAX},
};
use seawall_proto::{
    internal::v1::{CreateSchedule, DeleteSchedule, FireSchedule, JobRow, JobStatus, ScheduleRow, UpdateSchedule},
    v1::{JobTemplate, ScheduleSpec},
};

use super::{Apply, Outcome, Rejection, done};
use crate::{Change, is_over};

/// The value of `concurrency` that lets jobs of one schedule run beside each other.
const ALLOW: &str = "ALLOW";
/// The value of `state` in which times count.
const ENABLED: &str = "ENABLED";

impl Apply<'_> {
    pub(super) fn create_schedule(&mut self, it: &CreateSchedule) -> Outcome {
        let cluster = ClusterId(self.active_cluster(it.cluster_id)?.id);
        if !is_ecs_name(&it.name) || it.name.len() > SCHEDULE_NAME_CHARS_MAX {
            return Err(ApiError::invalid(format!(
                "Invalid schedule name {:?}: 1 to {SCHEDULE_NAME_CHARS_MAX} letters, digits, hyphens and underscores.",
                it.name
            ))
            .into());
        }
        if self.state.schedule_by_name(cluster, &it.name).is_some() {
            let message = format!("The schedule {} exists already.", it.name);
            return Err(ApiError::new(ErrorCode::Conflict, message).into());
        }
        if self.state.cluster_counts(cluster).schedules >= SCHEDULES_MAX {
            let message = format!("The cluster has {SCHEDULES_MAX} schedules, which is the limit.");
            return Err(ApiError::new(ErrorCode::LimitExceeded, message).into());
        }
        let spec = it.spec.clone().unwrap_or_default();
        self.definition_of_job(&template_of(&spec))?;
        let id = self.next_id();
        self.put_schedule(ScheduleRow {
            id,
            cluster_id: cluster.0,
            name: it.name.clone(),
            spec: Some(spec),
            created_at_ms: self.now_ms,
            anchor_ms: self.now_ms,
            handled_ms: self.now_ms,
            ..ScheduleRow::default()
        });
        Ok(done(id))
    }

    pub(super) fn update_schedule(&mut self, it: &UpdateSchedule) -> Outcome {
        let old = self.schedule(it.schedule_id)?;
        let mut row = ScheduleRow::clone(old);
        let was = old.spec.clone().unwrap_or_default();
        let spec = merged(&was, it.spec.as_ref());
        if spec.job != was.job {
            self.definition_of_job(&template_of(&spec))?;
        }
        let is_other = (&spec.expression, &spec.time_zone) != (&was.expression, &was.time_zone);
        if is_other {
            row.anchor_ms = self.now_ms;
        }
        if is_other || was.state() != spec.state() {
            row.handled_ms = self.now_ms;
        }
        row.spec = Some(spec);
        self.put_schedule(row);
        Ok(done(it.schedule_id))
    }

    /// Jobs that it began go on, and are kept as others are.
    pub(super) fn delete_schedule(&mut self, it: &DeleteSchedule) -> Outcome {
        let id = ScheduleId(self.schedule(it.schedule_id)?.id);
        self.state.remove_schedule(id);
        self.changed(Change::Schedule(id));
        Ok(done(id.0))
    }

    /// A definition that does not run any more makes a job that has failed: the time is not lost without a trace.
    pub(super) fn fire_schedule(&mut self, it: &FireSchedule) -> Outcome {
        let mut row = self.firing_schedule(it)?;
        let spec = row.spec.clone().unwrap_or_default();
        let template = template_of(&spec);
        let resolved = self.definition_of_job(&template);
        let job = JobRow {
            cluster_id: row.cluster_id,
            name: it.job_name.clone(),
            template: Some(template),
            schedule_id: row.id,
            tick_ms: it.tick_ms,
            ..JobRow::default()
        };
        let id = match resolved {
            Ok(task_definition_id) => self.begin_job(JobRow { task_definition_id, ..job }),
            Err(error) => {
                let status = JobStatus::Failed.into();
                self.begin_job(JobRow { status, reason: error.message, finished_at_ms: self.now_ms, ..job })
            }
        };
        row.handled_ms = it.tick_ms;
        row.last_tick_ms = it.tick_ms;
        row.last_job_id = id;
        row.fired += 1;
        row.missed = row.missed.saturating_add(it.missed.into());
        self.put_schedule(row);
        self.forget_jobs_of_schedule(ScheduleId(it.schedule_id));
        Ok(done(id))
    }

    /// The schedule, if a job of it may begin for this time. Whatever leaders propose, and however often, a time that is over
    /// stays over.
    fn firing_schedule(&self, it: &FireSchedule) -> Result<ScheduleRow, Rejection> {
        let id = ScheduleId(it.schedule_id);
        let stale = |what: &str| Rejection::Stale(format!("schedule {id} {what}"));
        let row = self.state.schedules.get(&id).ok_or_else(|| stale("is gone"))?;
        if it.schedule_version != row.changed {
            return Err(stale("has changed"));
        }
        let spec = row.spec.clone().unwrap_or_default();
        if spec.state() != ENABLED {
            return Err(stale("is not ENABLED"));
        }
        if it.tick_ms <= row.handled_ms {
            return Err(stale("has begun a job for this time or a later one"));
        }
        if it.tick_ms > self.now_ms {
            return Err(stale("has not come to this time"));
        }
        let jobs_max = if spec.concurrency() == ALLOW { SCHEDULE_JOBS_ACTIVE_MAX } else { 1 };
        if self.state.jobs_of_schedule(id, false).nth(jobs_max - 1).is_some() {
            return Err(stale("has jobs that are not over"));
        }
        if self.state.cluster_counts(ClusterId(row.cluster_id)).jobs_active >= JOBS_ACTIVE_MAX {
            return Err(stale("is of a cluster that has too many jobs"));
        }
        Ok(ScheduleRow::clone(row))
    }

    pub(super) fn schedule(&self, id: u64) -> Result<&ScheduleRow, ApiError> {
        let row = self.state.schedules.get(&ScheduleId(id));
        row.map(AsRef::as_ref)
            .ok_or_else(|| ApiError::new(ErrorCode::ResourceNotFound, "The referenced schedule was not found."))
    }

    /// Whether a caller may begin a job of a schedule now.
    ///
    /// # Errors
    /// One of its jobs is not over, and it does not let them run beside each other.
    pub(super) fn check_beside(&self, schedule: &ScheduleRow) -> Result<(), ApiError> {
        let allows = schedule.spec.as_ref().is_some_and(|spec| spec.concurrency() == ALLOW);
        match self.state.jobs_of_schedule(ScheduleId(schedule.id), false).next() {
            Some(job) if !allows => Err(ApiError::new(
                ErrorCode::Conflict,
                format!("The job {} of the schedule {} is not over yet.", job.name, schedule.name),
            )),
            _ => Ok(()),
        }
    }

    /// Lets jobs of a schedule that are over go, beyond those that it keeps.
    pub(super) fn forget_jobs_of_schedule(&mut self, id: ScheduleId) {
        let Some(row) = self.state.schedules.get(&id) else { return };
        let kept = row.spec.as_ref().map_or(0, |spec| spec.jobs_kept()) as usize;
        let over: Vec<JobId> = self.state.jobs_of_schedule(id, true).map(|job| JobId(job.id)).collect();
        for job in over.iter().take(over.len().saturating_sub(kept)) {
            self.forget_job(*job);
        }
    }

    fn put_schedule(&mut self, row: ScheduleRow) {
        let id = ScheduleId(row.id);
        self.state.put_schedule(ScheduleRow { changed: self.index, ..row });
        self.changed(Change::Schedule(id));
    }

    pub(super) fn forget_job(&mut self, id: JobId) {
        debug_assert!(self.state.jobs.get(&id).is_some_and(|row| is_over(row)));
        self.state.remove_job(id);
        self.changed(Change::Job(id));
    }
}

pub(super) fn template_of(spec: &ScheduleSpec) -> JobTemplate {
    spec.job.clone().unwrap_or_default()
}

/// `old` with what `new` says put over it.
fn merged(old: &ScheduleSpec, new: Option<&ScheduleSpec>) -> ScheduleSpec {
    let Some(new) = new else { return old.clone() };
    ScheduleSpec {
        expression: new.expression.clone().or_else(|| old.expression.clone()),
        time_zone: new.time_zone.clone().or_else(|| old.time_zone.clone()),
        job: new.job.clone().or_else(|| old.job.clone()),
        concurrency: new.concurrency.clone().or_else(|| old.concurrency.clone()),
        catch_up: new.catch_up.clone().or_else(|| old.catch_up.clone()),
        start_deadline_seconds: new.start_deadline_seconds.or(old.start_deadline_seconds),
        jobs_kept: new.jobs_kept.or(old.jobs_kept),
        state: new.state.clone().or_else(|| old.state.clone()),
    }
}
