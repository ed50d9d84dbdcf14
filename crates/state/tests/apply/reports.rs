//! What agents observed, endpoints, retiring.

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{ReportTasks, StopCode, TaskReport, TaskStatus, report_tasks};
use seawall_state::{Change, task_id, task_id_message};

use crate::fixture::*;

#[test]
fn a_status_never_goes_back() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(400, 400));
    let task = world.task(definition, instance);
    world.report(task, TaskStatus::Running);
    assert_eq!(world.row(task).started_at_ms, world.now_ms);
    assert_eq!(world.state.instance_counts(instance).running, 1);
    world.report(task, TaskStatus::Pending);
    assert_eq!(world.row(task).last_status(), TaskStatus::Running);
    world.now_ms += 1000;
    world.report(task, TaskStatus::Stopped);
    let row = world.row(task);
    assert_eq!((row.stop_code(), row.stopped_at_ms), (StopCode::EssentialContainerExited, world.now_ms));
    assert!(row.released && !row.desired_running);
    assert_eq!(world.state.usage(instance).unwrap().cpu, 0);
    world.report(task, TaskStatus::Running);
    assert_eq!(world.row(task), row, "STOPPED is the end");
}

#[test]
fn a_task_that_never_ran_failed_to_start() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let task = world.task(definition, instance);
    world.report(task, TaskStatus::Stopped);
    assert_eq!(world.row(task).stop_code(), StopCode::TaskFailedToStart);
}

#[test]
fn reports_of_an_older_session_or_sequence_are_dropped() {
    let mut world = World::new();
    let connected = world.connect("i-1", "a");
    let instance = InstanceId(connected.instance_id);
    let definition = world.definition("web", size(1, 1));
    let task = world.task(definition, instance);
    let report = |session, sequence, status: TaskStatus| {
        let task = TaskReport { task: Some(task_id_message(task)), status: status.into(), ..TaskReport::default() };
        let item = report_tasks::Item { instance_id: instance.0, session, sequence, tasks: vec![task] };
        Kind::ReportTasks(ReportTasks { items: vec![item] })
    };
    world.done(report(connected.session + 1, 1, TaskStatus::Running));
    assert_eq!(world.row(task).last_status(), TaskStatus::Pending);
    world.done(report(connected.session, 5, TaskStatus::Activating));
    world.done(report(connected.session, 5, TaskStatus::Running));
    assert_eq!(world.row(task).last_status(), TaskStatus::Activating);
    world.done(report(connected.session, 6, TaskStatus::Running));
    assert_eq!(world.row(task).last_status(), TaskStatus::Running);
}

#[test]
fn an_agent_speaks_for_its_own_tasks_only() {
    let mut world = World::new();
    let (a, b) = (world.instance("i-1", "a"), world.instance("i-2", "a"));
    let definition = world.definition("web", size(1, 1));
    let task = world.task(definition, a);
    let foreign =
        TaskReport { task: Some(task_id_message(task)), status: TaskStatus::Stopped.into(), ..TaskReport::default() };
    let unknown = TaskReport { task: Some(task_id_message(seawall_model::Id128(5))), ..foreign.clone() };
    world.report_all(b, vec![foreign, unknown, TaskReport::default()]);
    assert_eq!(world.row(task).last_status(), TaskStatus::Pending);
}

#[test]
fn stopped_tasks_beyond_the_limit_retire_oldest_first() {
    let mut world = World::new();
    let mut state = world.state.clone();
    std::sync::Arc::make_mut(&mut state.meta).limits.as_mut().unwrap().stopped_tasks_kept = 2;
    world.state = state;
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let tasks: Vec<_> = (0..5).map(|_| world.task(definition, instance)).collect();
    for task in &tasks[..2] {
        world.report(*task, TaskStatus::Stopped);
    }
    assert_eq!(world.state.cluster_counts(world.cluster()).stopped(), 2);
    let reports = tasks[2..].iter().map(|task| TaskReport {
        task: Some(task_id_message(*task)),
        status: TaskStatus::Stopped.into(),
        // An agent's clock decides nothing: the oldest is the one that stopped first in the log.
        stopped_at_ms: 1,
        ..TaskReport::default()
    });
    world.report_all(instance, reports.collect());
    assert_eq!(world.state.tasks.len(), 2);
    let retired: Vec<_> = world
        .effects
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::TaskRetired(row) => row.id.as_ref().map(task_id),
            _ => None,
        })
        .collect();
    assert_eq!(retired, tasks[..3]);
}
