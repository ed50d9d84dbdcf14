//! Waits after failures, so that what cannot start does not fill the log.
//!
//! A task that stops by itself without having run is a failure: the waits grow 1, 2, 4 … s up to 15 min. One that reached
//! RUNNING and stopped within [`STABLE_MS`] of its placement is a crash: the waits stop growing at 8 s. One that lasted
//! longer is replaced at once and forgives what was before: its own life bounds how often that happens.
//!
//! Failures that come while a wait runs belong to the same round. Only the replacements of that round's tasks wait, so a
//! zone that is lost meanwhile is replaced at once. While the circuit breaker watches, the waits stay short, for it ends them. The row is in the state: it outlives an election, and apply clears it
//! when the service is updated.

use seawall_proto::internal::v1::{BackoffRow, ServiceEventCode, StopCode, TaskRow};

use super::{breaker, events::UNHEALTHY, rollout::Starts, step::Step, view::View};
use crate::ControllerPlan;

/// A task that lives longer than this, in cluster time from its placement and without the pull, was not a mistake.
pub const STABLE_MS: i64 = 10_000;
/// First wait.
pub const WAIT_MS: i64 = 1_000;
/// Longest wait after failures.
pub const WAIT_MAX_MS: i64 = 15 * 60 * 1000;
/// Longest wait after crashes, and while the circuit breaker watches.
pub const CRASH_WAIT_MAX_MS: i64 = 8_000;
/// The event is written when so many failed in a row.
pub const FAILURES_BEFORE_EVENT: u32 = 3;
/// At steady state the row is cleared so long after the last failure.
pub const FORGIVE_MS: i64 = 60_000;

/// How a task ended that stopped by itself, or for its health checks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Failed,
    Crashed,
    Lasted,
    Unhealthy,
}

/// Counts tasks that stopped since the last pass, each once.
pub(crate) fn account(view: &View<'_>, step: &mut Step) {
    let watched = breaker::watching(view).is_some();
    let mut ends = Vec::new();
    for deployment in &mut step.deployments {
        let new = |t: &&&TaskRow| t.deployment_id == deployment.id && t.changed > deployment.counted_index;
        let stopped: Vec<_> = view.stopped.iter().filter(new).filter_map(|t| Some((*t, end_of(t, view)?))).collect();
        let Some(last) = stopped.iter().map(|(t, _)| t.changed).max() else { continue };
        let count = |ends: &[End]| stopped.iter().filter(|(_, end)| ends.contains(end)).count() as u32;
        deployment.failed_tasks += count(&[End::Failed, End::Unhealthy]);
        if deployment.primary && watched {
            deployment.breaker_failures += count(&[End::Failed, End::Crashed, End::Unhealthy]);
        }
        deployment.counted_index = last;
        deployment.updated_at_ms = view.now.cluster_time_ms;
        if deployment.primary {
            ends = stopped;
        }
    }
    let count = |end| ends.iter().filter(|(_, e)| *e == end).count() as u32;
    let (failed, crashed, lasted) = (count(End::Failed), count(End::Crashed), count(End::Lasted));
    let before = step.backoff.failures;
    if failed + crashed > 0 {
        let is_failure = |end: End| matches!(end, End::Failed | End::Crashed);
        let reason = ends.iter().rev().find(|(_, end)| is_failure(*end)).map(|(t, _)| t.stopped_reason.clone());
        let max_ms = if failed > 0 && !watched { WAIT_MAX_MS } else { CRASH_WAIT_MAX_MS };
        wait(&mut step.backoff, failed, crashed, max_ms, view.now.cluster_time_ms);
        step.backoff.last_reason = reason.unwrap_or_default();
    } else if lasted > 0 {
        step.backoff = BackoffRow::default();
    }
    if before < FAILURES_BEFORE_EVENT && step.backoff.failures >= FAILURES_BEFORE_EVENT {
        step.event(view, ServiceEventCode::UnableToStart, step.backoff.failures, step.backoff.last_reason.clone());
    }
}

/// `None` where a manager stopped it, or its host failed: nobody's failure to start.
fn end_of(task: &TaskRow, view: &View<'_>) -> Option<End> {
    let lasted = view.now.cluster_time_ms >= view.lasted_at_ms(task);
    ended_by_itself(task).then_some(match task.started_at_ms {
        _ if is_unhealthy(task) => End::Unhealthy,
        0 => End::Failed,
        _ if lasted => End::Lasted,
        _ => End::Crashed,
    })
}

/// Whether a task that stopped was stopped by nobody, or for its health checks.
pub(crate) fn ended_by_itself(task: &TaskRow) -> bool {
    matches!(task.stop_code(), StopCode::TaskFailedToStart | StopCode::EssentialContainerExited) || is_unhealthy(task)
}

/// Whether a task was stopped for its health checks.
pub(crate) fn is_unhealthy(task: &TaskRow) -> bool {
    task.stop_code() == StopCode::ServiceSchedulerInitiated && task.stopped_reason == UNHEALTHY
}

fn wait(row: &mut BackoffRow, failed: u32, crashed: u32, max_ms: i64, now_ms: i64) {
    row.failures = row.failures.saturating_add(failed);
    row.last_failure_ms = now_ms;
    if now_ms < row.not_before_ms {
        row.held_back = row.held_back.saturating_add(failed + crashed);
        return;
    }
    if wait_ms(row.rounds) < max_ms {
        row.rounds += 1;
    }
    row.held_back = failed + crashed;
    row.not_before_ms = now_ms.saturating_add(wait_ms(row.rounds).min(max_ms));
}

/// The wait of a round, counted from 1; nothing before the first.
fn wait_ms(rounds: u32) -> i64 {
    match rounds {
        0 => 0,
        n => WAIT_MS.checked_shl(n - 1).filter(|ms| *ms > 0).unwrap_or(WAIT_MAX_MS).min(WAIT_MAX_MS),
    }
}

/// How many of the starts need not wait.
pub(crate) fn allowed(view: &View<'_>, row: &BackoffRow, starts: Starts, plan: &mut ControllerPlan) -> usize {
    if view.now.cluster_time_ms >= row.not_before_ms {
        return starts.now();
    }
    let free = starts.missing.saturating_sub(row.held_back as usize);
    if free < starts.now() {
        plan.wake(row.not_before_ms);
    }
    free.min(starts.now())
}

/// At steady state: clears the row when its time has come, or asks to be woken then.
pub(crate) fn forgive(view: &View<'_>, step: &mut Step, plan: &mut ControllerPlan) {
    if step.backoff == BackoffRow::default() {
        return;
    }
    let due_ms = step.backoff.last_failure_ms.max(step.backoff.not_before_ms).saturating_add(FORGIVE_MS);
    if view.now.cluster_time_ms >= due_ms {
        step.backoff = BackoffRow::default();
    } else {
        plan.wake(due_ms);
    }
}
