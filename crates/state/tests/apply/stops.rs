//! Stopping tasks.

use seawall_model::Id128;
use seawall_proto::internal::v1::{ResourceRef, StopCode, StopTasks, TagResource, TaskStatus, resource_ref};
use seawall_state::{task_id, task_id_message};

use crate::fixture::*;

#[test]
fn a_stop_is_asked_for_and_the_agent_reports_it() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let task = world.task(definition, instance);
    world.report(task, TaskStatus::Running);
    let resource = Some(ResourceRef { kind: Some(resource_ref::Kind::TaskId(task_id_message(task))) });
    world.done(Kind::TagResource(TagResource { resource, tags: vec![tag("a", "b")] }));
    world.now_ms += 10;
    world.done(Kind::StopTasks(stop(&[task], "enough")));
    let row = world.row(task);
    assert!(!row.desired_running && !row.released && row.tags.is_empty());
    assert_eq!((row.last_status(), row.stopping_at_ms), (TaskStatus::Running, world.now_ms));
    assert_eq!((row.stop_code(), row.stopped_reason.as_str()), (StopCode::UserInitiated, "enough"));
    let counts = world.state.instance_counts(instance);
    assert_eq!((counts.running, counts.wanted), (1, 0));
    world.done(Kind::StopTasks(stop(&[task], "again")));
    world.report(task, TaskStatus::Stopped);
    assert_eq!(world.row(task).stopped_reason, "enough", "the first reason stays");
    world.done(Kind::StopTasks(stop(&[task], "again")));
}

#[test]
fn an_unknown_task_is_refused_to_a_client_and_nothing_stops() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let task = world.task(definition, instance);
    let refusal = world.refused(Kind::StopTasks(stop(&[task, Id128(4)], "")));
    assert_eq!(refusal.message, "The referenced task was not found.");
    world.done(Kind::StopTasks(stop(&[task], "")));
    assert_eq!(world.row(task).stopped_reason, "Task stopped by user");
}

#[test]
fn a_stale_planner_does_not_stop_twice() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let service = world.service("web", definition, 1);
    let place = world.placing_service(service, &[instance, instance]);
    let tasks: Vec<_> = world.placed(Kind::PlaceTasks(place)).tasks.iter().map(task_id).collect();
    let standalone = world.task(definition, instance);
    let by_service = |task| StopTasks {
        code: StopCode::ServiceSchedulerInitiated.into(),
        service_id: service.0,
        wanted_before: 3,
        ..stop(&[task, Id128(4), standalone], "")
    };
    world.done(Kind::StopTasks(by_service(tasks[0])));
    world.stale(Kind::StopTasks(by_service(tasks[1])));
    world.stale(Kind::StopTasks(StopTasks { service_version: 1, wanted_before: 0, ..by_service(tasks[1]) }));
    assert!(world.row(tasks[1]).desired_running);
    assert!(world.row(standalone).desired_running, "a service stops its own tasks only");
}

#[test]
fn an_unreachable_task_keeps_what_it_holds() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", with_port(size(100, 1), 80));
    let task = world.task(definition, instance);
    world.lose(instance);
    world.done(Kind::StopTasks(stop(&[task], "")));
    assert_eq!(world.row(task).last_status(), TaskStatus::Pending);
    assert_eq!(world.state.usage(instance).unwrap().cpu, 100);
    world.connect("i-1", "a");
    assert_eq!(world.place(definition, &[instance]).rejected, [0]);
    world.report(task, TaskStatus::Stopped);
    assert_eq!(world.place(definition, &[instance]).rejected, []);
}
