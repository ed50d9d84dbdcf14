//! Keeps a job's tasks: as many at once as it may have, until enough have succeeded, too many have failed or its deadline
//! has passed.
//!
//! What stopped is counted by `apply`, in the job's row; waits after failures follow from the row's figures. So nothing is
//! written while tasks run, and a new leader goes on where the last one was.

mod place;
mod view;

use seawall_model::JobId;
use seawall_proto::internal::v1::{JobRow, JobStatus, JobStep, StopCode, StopTasks, TaskRow, command};
use seawall_scheduler::Fleet;
use seawall_state::places;

use crate::{ControllerPlan, Now};
use view::View;

/// Tasks that one pass places, and that one pass stops; the rest follow at once.
pub const TASKS_PER_PASS: usize = 256;
/// A job that found no place looks again this often, even if nobody wakes it.
pub const RETRY_MS: i64 = 15_000;
/// Longest wait after a failure.
pub const WAIT_MAX_MS: i64 = 10 * 60 * 1000;

/// What the job needs now.
pub fn plan(fleet: &Fleet, job: JobId, now: Now) -> ControllerPlan {
    let mut plan = ControllerPlan::default();
    let Some(view) = View::new(fleet, job, now) else { return plan };
    match view.job.status() {
        JobStatus::Running => run(&view, &mut plan),
        JobStatus::Ending => end(&view, view.job.outcome(), &view.job.reason, &mut plan),
        JobStatus::Unspecified | JobStatus::Succeeded | JobStatus::Failed | JobStatus::Stopped => {}
    }
    plan
}

/// No task is started before this moment: each failure doubles the wait.
pub fn not_before_ms(job: &JobRow) -> i64 {
    if job.last_failure_ms == 0 {
        return 0;
    }
    let first_ms = job.template.as_ref().map_or(0, |template| template.retry_wait_seconds()).saturating_mul(1000);
    let doublings = job.failed.saturating_sub(1).min(i64::BITS);
    let wait_ms = u128::from(first_ms) << doublings;
    job.last_failure_ms.saturating_add(i64::try_from(wait_ms).unwrap_or(WAIT_MAX_MS).min(WAIT_MAX_MS))
}

/// When the job has failed, whatever runs; `None`: never.
pub fn deadline_ms(job: &JobRow) -> Option<i64> {
    let seconds = job.template.as_ref().map_or(0, |template| template.deadline_seconds());
    let length_ms = i64::try_from(seconds).ok()?.saturating_mul(1000);
    (length_ms > 0).then(|| job.created_at_ms.saturating_add(length_ms))
}

fn run(view: &View<'_>, plan: &mut ControllerPlan) {
    if let Some((outcome, reason)) = verdict(view) {
        return end(view, outcome, &reason, plan);
    }
    if let Some(deadline_ms) = deadline_ms(view.job) {
        plan.wake(deadline_ms);
    }
    if !view.now.hold_replacement {
        let reason = format!("Its container instance fell silent (job {})", view.job.name);
        stop(view, &view.unreachable, &reason, plan);
    }
    let held = if view.now.hold_replacement { view.unreachable.len() } else { 0 };
    let taken = view.wanted.len() + view.leaving.len() + held + view.proposed;
    let missing = (places(view.job) as usize).saturating_sub(taken);
    let not_before_ms = not_before_ms(view.job);
    if missing > 0 && not_before_ms > view.now.cluster_time_ms {
        return plan.wake(not_before_ms);
    }
    if let Err(why) = place::place(view, missing, plan) {
        end(view, JobStatus::Failed, &why, plan);
    }
}

/// How the job ends, if it is to end now, and why.
fn verdict(view: &View<'_>) -> Option<(JobStatus, String)> {
    let template = view.job.template.as_ref()?;
    let (succeeded, failed) = (view.job.succeeded, view.job.failed);
    if succeeded >= template.completions() {
        return Some((JobStatus::Succeeded, String::new()));
    }
    if failed > template.retries() {
        let times = if failed == 1 { "A task failed".to_owned() } else { format!("{failed} tasks failed") };
        return Some((JobStatus::Failed, format!("{times}; the last one: {}", view.job.last_failure)));
    }
    let is_late = deadline_ms(view.job).is_some_and(|deadline_ms| view.now.cluster_time_ms >= deadline_ms);
    is_late.then(|| (JobStatus::Failed, format!("The deadline of {} s has passed.", template.deadline_seconds())))
}

/// Stops what runs. The job is over once nothing does; what is on silent instances is not waited for, and stops when they are back.
fn end(view: &View<'_>, outcome: JobStatus, reason: &str, plan: &mut ControllerPlan) {
    let text = format!("Its job {} ends", view.job.name);
    stop(view, &view.wanted, &text, plan);
    stop(view, &view.unreachable, &text, plan);
    let is_over = view.wanted.is_empty() && view.leaving.is_empty() && view.proposed == 0;
    let status = if is_over { outcome } else { JobStatus::Ending };
    if status == view.job.status() {
        return;
    }
    plan.say(format_args!("{} {reason}", status.as_str_name().trim_start_matches("JOB_STATUS_")));
    let (status, outcome, reason) = (status.into(), outcome.into(), reason.to_owned());
    plan.commands.push(command::Kind::JobStep(JobStep { status, outcome, reason, ..view.step() }));
}

fn stop(view: &View<'_>, tasks: &[&TaskRow], reason: &str, plan: &mut ControllerPlan) {
    if tasks.is_empty() {
        return;
    }
    if tasks.len() > TASKS_PER_PASS {
        plan.wake(view.now.cluster_time_ms);
    }
    let tasks: Vec<_> = tasks.iter().take(TASKS_PER_PASS).filter_map(|task| task.id).collect();
    plan.say(format_args!("stop {} tasks: {reason}", tasks.len()));
    plan.commands.push(command::Kind::StopTasks(StopTasks {
        tasks,
        code: StopCode::ServiceSchedulerInitiated.into(),
        reason: reason.to_owned(),
        ..StopTasks::default()
    }));
}
