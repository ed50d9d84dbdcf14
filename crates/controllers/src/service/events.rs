//! Events. Each comes once for its cause: what was said already is read from the events in the row, whose times are those of
//! the cause. So a pass that is lost or repeated neither loses an event nor repeats one.

use seawall_model::{Id128, InstanceId, LossPolicy, ServiceId};
use seawall_proto::internal::v1::{ServiceEventCode, ServiceEventRow, StopCode, TaskRow};

use super::{
    Stops,
    rollout::{Limits, Starts},
    scale,
    step::Step,
    view::{Condition, View},
};

/// Why a task was stopped whose containers fail their health checks.
pub(crate) const UNHEALTHY: &str = "Task failed container health checks";
/// Tasks that one event names.
const TASKS_NAMED_MAX: usize = 20;

/// Tasks that were placed and that the scheduler stopped since the last events of that kind.
pub(crate) fn started_and_stopped(view: &View<'_>, step: &mut Step) {
    let started = |task: &TaskRow| task.created_at_ms;
    about_tasks(view, ServiceEventCode::Started, started, step);
    let stopped = |task: &TaskRow| match task.stop_code() {
        StopCode::ServiceSchedulerInitiated if task.preempted_by == 0 => task.stopping_at_ms,
        _ => i64::MIN,
    };
    about_tasks(view, ServiceEventCode::Stopped, stopped, step);
    let preempted = |task: &TaskRow| if task.preempted_by == 0 { i64::MIN } else { task.stopping_at_ms };
    about_tasks(view, ServiceEventCode::Preempted, preempted, step);
}

/// `at_ms` is the cluster time at which it happened to a task.
fn about_tasks(view: &View<'_>, code: ServiceEventCode, at_ms: fn(&TaskRow) -> i64, step: &mut Step) {
    let said = said_until(view, code);
    let mut tasks: Vec<&TaskRow> = view.all().filter(|t| at_ms(t) > said).collect();
    let Some(last_ms) = tasks.iter().map(|t| at_ms(t)).max() else { return };
    tasks.sort_by_key(|t| t.id.map(|id| (id.hi, id.lo)));
    let preemptor = tasks.first().and_then(|task| view.state.services.get(&ServiceId(task.preempted_by)));
    step.push(
        view,
        ServiceEventRow {
            at_ms: last_ms,
            code: code.into(),
            count: tasks.len() as u32,
            tasks: tasks.iter().take(TASKS_NAMED_MAX).filter_map(|t| t.id).collect(),
            detail: preemptor
                .filter(|_| code == ServiceEventCode::Preempted)
                .map(|row| row.name.clone())
                .unwrap_or_default(),
            ..ServiceEventRow::default()
        },
    );
}

/// The percentages leave no room for a single start or stop.
pub(crate) fn blocked(view: &View<'_>, limits: Limits, starts: Starts, step: &mut Step) {
    let stuck = starts.missing > 0 && starts.room == 0 && view.leaving.is_empty() && !view.outgoing.is_empty();
    let no_room = limits.total_max <= view.desired() && limits.healthy_min >= view.desired();
    let said = last_event(view, ServiceEventCode::BlockedByPercents).is_some_and(|at| at >= view.primary.created_at_ms);
    if stuck && no_room && !said {
        step.event(view, ServiceEventCode::BlockedByPercents, starts.missing as u32, String::new());
    }
}

/// Nothing but protected tasks is left to stop.
pub(crate) fn protected(view: &View<'_>, stops: &Stops<'_>, step: &mut Step) {
    let code = ServiceEventCode::ScaleInProtected;
    let is_surplus = view.good.len() > view.desired();
    let surplus = view.good.iter().filter(|_| is_surplus);
    let held = view.outgoing.iter().chain(surplus).filter(|m| scale::is_protected(view, m)).count();
    let is_stuck = stops.scaling.is_empty() && stops.unhealthy.is_empty() && view.leaving.is_empty();
    let said = last_of(view, &[code, ServiceEventCode::SteadyState]) == Some(code);
    let healthy = view.good.iter().filter(|m| m.condition == Condition::Healthy).count();
    if held > 0 && is_stuck && healthy >= view.desired() && !said {
        step.event(view, code, held as u32, String::new());
    }
}

/// Instances of the service's tasks fell silent: their tasks are replaced, waited for, or replacement is held.
pub(crate) fn lost(view: &View<'_>, step: &mut Step) {
    if view.now.hold_replacement {
        return say_lost(view, ServiceEventCode::MassLossHold, &view.unreachable, step);
    }
    if view.loss == LossPolicy::AtMostOne {
        return say_lost(view, ServiceEventCode::ReplacementWaits, &view.unreachable, step);
    }
    let awaited: Vec<&TaskRow> = view.awaited().collect();
    let is_awaited = |task: &TaskRow| awaited.iter().any(|other| other.id == task.id);
    let others: Vec<&TaskRow> = view.unreachable.iter().copied().filter(|task| !is_awaited(task)).collect();
    say_lost(view, ServiceEventCode::InstanceLost, &others, step);
    say_lost(view, ServiceEventCode::InstanceAwaited, &awaited, step);
}

fn say_lost(view: &View<'_>, code: ServiceEventCode, tasks: &[&TaskRow], step: &mut Step) {
    let said = last_event(view, code).unwrap_or(i64::MIN);
    let new: Vec<&TaskRow> = tasks.iter().copied().filter(|t| t.unreachable_since_ms > said).collect();
    let Some(at_ms) = new.iter().map(|t| t.unreachable_since_ms).max() else { return };
    let (count, detail) = (new.len() as u32, instances(view, &new));
    step.push(view, ServiceEventRow { at_ms, code: code.into(), count, detail, ..ServiceEventRow::default() });
}

/// The first instance by the digits of its ARN, and how many more there are.
fn instances(view: &View<'_>, tasks: &[&TaskRow]) -> String {
    let mut ids: Vec<u64> = tasks.iter().map(|t| t.instance_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let first = ids.first().and_then(|id| view.state.instances.get(&InstanceId(*id)));
    let first = first.map(|row| Id128::from_halves(row.arn_hi, row.arn_lo)).unwrap_or_default();
    match ids.len() {
        0 | 1 => first.to_string(),
        all => format!("{first} and {} others", all - 1),
    }
}

/// The last event of one of these kinds.
pub(crate) fn last_of(view: &View<'_>, codes: &[ServiceEventCode]) -> Option<ServiceEventCode> {
    view.service.events.iter().rev().map(ServiceEventRow::code).find(|code| codes.contains(code))
}

fn last_event(view: &View<'_>, code: ServiceEventCode) -> Option<i64> {
    view.service.events.iter().rev().find(|e| e.code() == code).map(|e| e.at_ms)
}

/// What happened up to then was said. Events that are no longer kept were said too.
fn said_until(view: &View<'_>, code: ServiceEventCode) -> i64 {
    let before_the_first = view.service.events.first().map(|e| e.at_ms - 1);
    last_event(view, code).or(before_the_first).unwrap_or(i64::MIN)
}
