//! What agents observed.

use seawall_model::{InstanceId, limits::CONTAINERS_MAX};
use seawall_proto::internal::v1::{
    ContainerRow, InstanceRow, ReportTasks, StopCode, TaskReport, TaskRow, TaskStatus, report_tasks,
};

use super::{Apply, Outcome, done, refusal::cut};
use crate::task_id;

const REASON_BYTES_MAX: usize = 1024;

impl Apply<'_> {
    pub(super) fn report_tasks(&mut self, it: &ReportTasks) -> Outcome {
        for item in &it.items {
            self.report_item(item);
        }
        Ok(done(0))
    }

    /// Drops a report of an older session, or one that was applied already: the agent sends each until it is acknowledged.
    fn report_item(&mut self, item: &report_tasks::Item) {
        let id = InstanceId(item.instance_id);
        let row = self.state.instances.get(&id);
        let Some(row) = row.filter(|row| row.session == item.session && item.sequence > row.sequence) else { return };
        let connected = row.connected;
        let mut row = InstanceRow::clone(row);
        row.sequence = item.sequence;
        self.state.put_instance(row);
        for report in &item.tasks {
            self.report_task(id, report, connected);
        }
    }

    fn report_task(&mut self, instance: InstanceId, report: &TaskReport, connected: bool) {
        let Some(id) = report.task.as_ref().map(task_id) else { return };
        let Some(old) = self.state.tasks.get(&id) else { return };
        if old.instance_id != instance.0 || old.last_status() == TaskStatus::Stopped {
            return;
        }
        let mut row = TaskRow::clone(old);
        observe(&mut row, report, self.now_ms);
        if connected {
            row.unreachable_since_ms = 0;
        }
        if row != **old {
            let before = old.clone();
            self.put_task(row.clone());
            self.judge_instance(&before, &row);
        }
    }
}

/// Takes over what was observed. The status never goes back; times of the agent are for display.
fn observe(row: &mut TaskRow, report: &TaskReport, now_ms: i64) {
    let status = report.status().max(row.last_status());
    if status == TaskStatus::Running && row.last_status() < TaskStatus::Running {
        row.started_at_ms = first_of(report.started_at_ms, now_ms);
    }
    row.last_status = status.into();
    row.health = report.health;
    if !report.containers.is_empty() {
        row.containers = report.containers.iter().take(CONTAINERS_MAX).map(container).collect();
    }
    if report.interface.is_some() {
        row.interface = report.interface.clone();
    }
    for (time, reported) in [
        (&mut row.pull_started_at_ms, report.pull_started_at_ms),
        (&mut row.pull_stopped_at_ms, report.pull_stopped_at_ms),
        (&mut row.started_at_ms, report.started_at_ms),
        (&mut row.execution_stopped_at_ms, report.execution_stopped_at_ms),
    ] {
        *time = first_of(*time, reported);
    }
    if status >= TaskStatus::Stopping {
        row.stopping_at_ms = first_of(row.stopping_at_ms, now_ms);
    }
    if status == TaskStatus::Stopped {
        stopped(row, report, now_ms);
    }
}

fn stopped(row: &mut TaskRow, report: &TaskReport, now_ms: i64) {
    let code = match report.stop_code() {
        StopCode::Unspecified if row.started_at_ms == 0 => StopCode::TaskFailedToStart,
        StopCode::Unspecified => StopCode::EssentialContainerExited,
        code => code,
    };
    stop_row(row, code, &report.stopped_reason, first_of(report.stopped_at_ms, now_ms));
}

/// Makes a task STOPPED and frees what it holds. Whoever stopped it first gave the reason.
pub(super) fn stop_row(row: &mut TaskRow, code: StopCode, reason: &str, at_ms: i64) {
    if row.stop_code() == StopCode::Unspecified {
        row.set_stop_code(code);
        row.stopped_reason = cut(reason, REASON_BYTES_MAX).to_owned();
    }
    row.last_status = TaskStatus::Stopped.into();
    row.desired_running = false;
    row.stopping_at_ms = first_of(row.stopping_at_ms, at_ms);
    row.stopped_at_ms = at_ms;
    row.unreachable_since_ms = 0;
    row.waiting = None;
    row.released = true;
}

fn container(row: &ContainerRow) -> ContainerRow {
    ContainerRow { reason: cut(&row.reason, REASON_BYTES_MAX).to_owned(), ..row.clone() }
}

fn first_of(a: i64, b: i64) -> i64 {
    if a != 0 { a } else { b }
}
