//! Jobs: tasks are counted as they stop, so that a task which leaves the state early is neither lost nor counted twice.

use seawall_model::{
    ApiError, ClusterId, ErrorCode, JobId, ScheduleId, ServiceId, TaskDefinitionId, is_ecs_name,
    limits::{JOB_NAME_CHARS_MAX, JOBS_ACTIVE_MAX, JOBS_KEPT},
};
use seawall_proto::{
    internal::v1::{
        CreateJob, Done, JobDeployment, JobRow, JobStatus, JobStep, PlaceTasks, ServiceRow, ServiceStatusCode,
        StopCode, StopJob, TaskDefinitionStatus, TaskRow, UpdateService, reply,
    },
    v1::{CreateServiceRequest, JobTemplate},
};

use super::{
    Apply, Outcome, Rejection, done,
    refusal::{cut, cut_left_out, definition_inactive, service_not_active, service_not_found},
    schedules::template_of,
};
use crate::{Change, effective_size, is_over, primary_deployment};

const REASON_BYTES_MAX: usize = 1024;

/// What a stopped task is to its job.
#[derive(PartialEq)]
enum End {
    Succeeded,
    Failed,
    /// Its instance was lost, or its job gave it up: another takes its place, and no retry is used up.
    Lost,
}

impl Apply<'_> {
    /// The name of a job that is over is free again.
    pub(super) fn create_job(&mut self, it: &CreateJob) -> Outcome {
        let cluster = ClusterId(self.active_cluster(it.cluster_id)?.id);
        let template = match it.schedule_id {
            0 => it.template.clone().unwrap_or_default(),
            id => {
                let schedule = self.schedule(id)?;
                self.check_beside(schedule)?;
                template_of(&schedule.spec.clone().unwrap_or_default())
            }
        };
        if !is_ecs_name(&it.name) || it.name.len() > JOB_NAME_CHARS_MAX {
            return Err(ApiError::invalid(format!(
                "Invalid job name {:?}: 1 to {JOB_NAME_CHARS_MAX} letters, digits, hyphens and underscores.",
                it.name
            ))
            .into());
        }
        if self.state.job_by_name(cluster, &it.name).is_some_and(|row| !is_over(row)) {
            let message = format!("The job {} is not over yet.", it.name);
            return Err(ApiError::new(ErrorCode::Conflict, message).into());
        }
        if self.state.cluster_counts(cluster).jobs_active >= JOBS_ACTIVE_MAX {
            let message = format!("The cluster has {JOBS_ACTIVE_MAX} jobs that are not over, which is the limit.");
            return Err(ApiError::new(ErrorCode::LimitExceeded, message).into());
        }
        let task_definition_id = self.definition_of_job(&template)?;
        if let Some(deploy) = &it.deploy {
            self.service_to_deploy(cluster, deploy)?;
        }
        let id = self.begin_job(JobRow {
            deploy: it.deploy.clone(),
            cluster_id: cluster.0,
            name: it.name.clone(),
            template: Some(template),
            task_definition_id,
            schedule_id: it.schedule_id,
            ..JobRow::default()
        });
        Ok(done(id))
    }

    /// Puts a new job, which runs unless it has a status already. Where its name is taken it has another.
    pub(super) fn begin_job(&mut self, asked: JobRow) -> u64 {
        let id = self.next_id();
        let cluster = ClusterId(asked.cluster_id);
        let is_taken = self.state.job_by_name(cluster, &asked.name).is_some_and(|row| !is_over(row));
        let name = if is_taken { format!("{}-{id}", asked.name) } else { asked.name.clone() };
        let status = if asked.status() == JobStatus::Unspecified { JobStatus::Running.into() } else { asked.status };
        self.put_job(JobRow { id, name, status, created_at_ms: self.now_ms, ..asked });
        self.forget_jobs(cluster, JOBS_KEPT as usize);
        id
    }

    /// The revision that a job of this template would run now.
    ///
    /// # Errors
    /// There is none, it is not ACTIVE, or the overrides do not fit it.
    pub(super) fn definition_of_job(&self, template: &JobTemplate) -> Result<u64, ApiError> {
        let (account, text) = (self.principal.account, template.task_definition());
        let is_active = |status| status == TaskDefinitionStatus::Active;
        let row = match text.split_once(':') {
            Some((family, revision)) => {
                let revision = revision.parse().map_err(|_| ApiError::client("TaskDefinition not found."))?;
                self.state.task_definition(account, family, revision)
            }
            // An empty family would mean all of them.
            None if text.is_empty() => None,
            None => self.state.revisions_of(account, text).rev().find(|row| is_active(row.status())),
        };
        let row = row.ok_or_else(|| ApiError::client("TaskDefinition not found."))?;
        if !is_active(row.status()) {
            return Err(definition_inactive());
        }
        effective_size(row, template.overrides.as_ref())?;
        Ok(row.id)
    }

    /// Its tasks are stopped, then it is STOPPED.
    pub(super) fn stop_job(&mut self, it: &StopJob) -> Outcome {
        let row = self.state.jobs.get(&JobId(it.job_id));
        let row = row.ok_or_else(|| ApiError::new(ErrorCode::ResourceNotFound, "The referenced job was not found."))?;
        if row.status() != JobStatus::Running {
            return Ok(reply::Kind::Done(Done { id: row.id, existed: true, ..Done::default() }));
        }
        let mut row = JobRow::clone(row);
        row.set_status(JobStatus::Ending);
        row.set_outcome(JobStatus::Stopped);
        row.reason = cut(&it.reason, REASON_BYTES_MAX).to_owned();
        self.put_job(row);
        Ok(done(it.job_id))
    }

    pub(super) fn job_step(&mut self, it: &JobStep) -> Outcome {
        let id = JobId(it.job_id);
        let stale = |what: &str| Rejection::Stale(format!("job {id} {what}"));
        let old = self.state.jobs.get(&id).ok_or_else(|| stale("is gone"))?;
        if it.job_version != old.changed || is_over(old) {
            return Err(stale("has changed"));
        }
        let mut row = JobRow::clone(old);
        if it.status() != JobStatus::Unspecified {
            row.status = it.status;
            row.outcome = it.outcome;
            row.reason = cut(&it.reason, REASON_BYTES_MAX).to_owned();
        }
        if let Some(reason) = &it.unplaced_reason {
            row.unplaced_reason = cut(reason, REASON_BYTES_MAX).to_owned();
            row.unplaced_left_out = cut_left_out(&it.unplaced_left_out);
        }
        if is_over(&row) {
            if self.state.live_tasks_of_job(old).any(|task| task.unreachable_since_ms == 0) {
                return Err(stale("has tasks that can be reached"));
            }
            row.finished_at_ms = self.now_ms;
            row.unplaced_reason.clear();
            row.unplaced_left_out.clear();
        }
        if row.status() == JobStatus::Succeeded
            && let Some(deploy) = row.deploy.clone()
            && let Err(why) = self.deploy_after(&row, &deploy)
        {
            row.set_status(JobStatus::Failed);
            row.reason = why;
        }
        let (cluster, schedule, over) = (ClusterId(row.cluster_id), ScheduleId(row.schedule_id), is_over(&row));
        self.put_job(row);
        if over {
            self.forget_jobs_of_schedule(schedule);
            self.forget_jobs(cluster, JOBS_KEPT as usize);
        }
        Ok(done(id.0))
    }

    /// Begins the deployment that waited for the job.
    ///
    /// # Errors
    /// Why there is none, for people.
    fn deploy_after(&mut self, job: &JobRow, deploy: &JobDeployment) -> Result<(), String> {
        let refused = |why: &str| format!("Its tasks succeeded, the deployment was refused: {why}");
        let service = self.service_to_deploy(ClusterId(job.cluster_id), deploy);
        let service = service.map_err(|error| refused(&error.message))?;
        let definition = self.definition(job.task_definition_id).map_err(|error| refused(&error.message))?;
        let arn = self.state.arns().task_definition(&definition.family, definition.revision);
        let spec = service.spec.clone().map(|spec| CreateServiceRequest { task_definition: Some(arn), ..spec });
        let update = UpdateService {
            service_id: service.id,
            task_definition_id: job.task_definition_id,
            deployment_id: deploy.deployment_id,
            service_deployment_id: deploy.service_deployment_id.clone(),
            spec,
            ..UpdateService::default()
        };
        match self.update_service(&update) {
            Ok(_) => Ok(()),
            Err(Rejection::Refused(error)) => Err(refused(&error.message)),
            Err(Rejection::Stale(why)) => Err(refused(&why)),
        }
    }

    /// The service that a job is to deploy to, while its primary deployment is the one that the job was made beside.
    fn service_to_deploy(&self, cluster: ClusterId, deploy: &JobDeployment) -> Result<&ServiceRow, ApiError> {
        let row = self.state.services.get(&ServiceId(deploy.service_id)).filter(|row| row.cluster_id == cluster.0);
        let row = row.ok_or_else(service_not_found)?;
        if row.status() != ServiceStatusCode::Active {
            return Err(service_not_active());
        }
        if primary_deployment(row).is_none_or(|(id, _)| id.0 != deploy.from_deployment_id) {
            let message = format!("Another deployment of the service {} has begun meanwhile.", row.name);
            return Err(ApiError::new(ErrorCode::Conflict, message));
        }
        Ok(row)
    }

    /// Counts a task that has just stopped.
    pub(super) fn count_for_job(&mut self, task: &TaskRow) {
        let Some(old) = self.state.jobs.get(&JobId(task.job_id)).filter(|row| !is_over(row)) else { return };
        let end = self.end_of(task);
        let mut row = JobRow::clone(old);
        match end {
            End::Succeeded => row.succeeded = row.succeeded.saturating_add(1),
            End::Failed => {
                row.failed = row.failed.saturating_add(1);
                row.last_failure = self.why(task);
            }
            End::Lost if task.stop_code() == StopCode::ServiceSchedulerInitiated => return,
            End::Lost => {}
        }
        if end != End::Succeeded {
            row.last_failure_ms = self.now_ms;
        }
        self.put_job(row);
    }

    fn end_of(&self, task: &TaskRow) -> End {
        match task.stop_code() {
            StopCode::EssentialContainerExited if self.essentials_exited_with_0(task) => End::Succeeded,
            StopCode::EssentialContainerExited | StopCode::TaskFailedToStart | StopCode::UserInitiated => End::Failed,
            _ => End::Lost,
        }
    }

    fn essentials_exited_with_0(&self, task: &TaskRow) -> bool {
        let definition = self.state.task_definitions.get(&TaskDefinitionId(task.task_definition_id));
        let Some(definition) = definition.and_then(|row| row.definition.as_ref()) else { return false };
        let containers = &definition.container_definitions;
        let mut essentials = containers.iter().enumerate().filter(|(_, container)| container.essential.unwrap_or(true));
        essentials.all(|(place, _)| task.containers.get(place).is_some_and(|row| row.exit_code == Some(0)))
    }

    /// "container main exited with 3", or what its agent said.
    fn why(&self, task: &TaskRow) -> String {
        let definition = self.state.task_definitions.get(&TaskDefinitionId(task.task_definition_id));
        let names = definition.and_then(|row| row.definition.as_ref()).map(|d| d.container_definitions.as_slice());
        let failed = task.containers.iter().zip(names.unwrap_or_default()).find_map(|(row, container)| {
            let code = row.exit_code.filter(|code| *code != 0)?;
            Some(format!("container {} exited with {code}", container.name()))
        });
        match failed {
            Some(why) if task.stop_code() == StopCode::EssentialContainerExited => why,
            _ => cut(&task.stopped_reason, REASON_BYTES_MAX).to_owned(),
        }
    }

    /// Refuses more tasks than the job has room for, whatever the planner saw.
    pub(super) fn check_placing_job(&self, it: &PlaceTasks) -> Result<(), Rejection> {
        if it.job_id == 0 {
            return Ok(());
        }
        let id = JobId(it.job_id);
        let stale = |what: &str| Rejection::Stale(format!("job {id} {what}"));
        let row = self.state.jobs.get(&id).ok_or_else(|| stale("is gone"))?;
        let is_its = (row.cluster_id, row.task_definition_id) == (it.cluster_id, it.task_definition_id);
        if row.status() != JobStatus::Running || !is_its || it.group != crate::job_group(&row.name) {
            return Err(stale("does not run, or runs something else"));
        }
        let taken = self.state.live_tasks_of_job(row).filter(|task| holds_place(task)).count();
        if taken + it.placements.len() > places(row) as usize {
            return Err(stale("has as many tasks as it may have"));
        }
        Ok(())
    }

    fn put_job(&mut self, row: JobRow) {
        let id = JobId(row.id);
        self.state.put_job(JobRow { changed: self.index, ..row });
        self.changed(Change::Job(id));
    }

    /// Lets jobs of a cluster that are over go, beyond `kept`, the first made first.
    pub(super) fn forget_jobs(&mut self, cluster: ClusterId, kept: usize) {
        let surplus = (self.state.cluster_counts(cluster).jobs_over as usize).saturating_sub(kept);
        let oldest: Vec<JobId> = self.state.jobs_of(cluster, true).take(surplus).map(|row| JobId(row.id)).collect();
        oldest.into_iter().for_each(|id| self.forget_job(id));
    }
}

/// Whether another task beside this one would be one too many. One that was given up on a silent instance is not waited for.
pub fn holds_place(task: &TaskRow) -> bool {
    task.desired_running || task.unreachable_since_ms == 0
}

/// Tasks that a job may have at once, with those that have succeeded left out.
pub fn places(job: &JobRow) -> u32 {
    let template = job.template.as_ref();
    let completions = template.map_or(0, |template| template.completions());
    completions.saturating_sub(job.succeeded).min(template.map_or(0, |template| template.parallelism()))
}
