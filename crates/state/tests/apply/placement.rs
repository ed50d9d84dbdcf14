//! Placements are checked again: fit, status, versions.

use seawall_model::InstanceId;
use seawall_proto::{
    internal::v1::{DeregisterTaskDefinition, PlaceTasks, TaskStatus},
    v1::TaskOverride,
};
use seawall_state::{task_id, task_id_message};

use crate::fixture::*;

#[test]
fn no_instance_is_overcommitted() {
    let mut world = World::new();
    let (a, b) = (world.instance("i-1", "a"), world.instance("i-2", "b"));
    let definition = world.definition("web", size(400, 100));
    let place = PlaceTasks { partial: true, ..world.placing(definition, &[a, a, a, b]) };
    let placed = world.placed(Kind::PlaceTasks(place.clone()));
    assert_eq!((placed.tasks.len(), placed.rejected), (3, vec![2]));
    let base = task_id(place.base.as_ref().unwrap());
    assert_eq!(task_id(&placed.tasks[2]), base.offset(3), "an id is the base and the position");
    assert_eq!(world.state.usage(a).unwrap().cpu, 800);
    assert_eq!(world.state.usage(b).unwrap().memory, 100);
    let row = world.row(base);
    assert_eq!((row.last_status(), row.desired_running, row.created_at_ms), (TaskStatus::Pending, true, world.now_ms));
    assert_eq!((row.group.as_str(), row.placement_note.as_str()), ("family:web", "the emptiest"));
    assert_eq!(world.state.group_counts(world.cluster(), "family:web").pending, 3);
    assert_eq!(world.state.group_tasks_on_instance(world.cluster(), "family:web", a), 2);
    assert_eq!(world.state.group_tasks_in_zone(world.cluster(), "family:web", "b"), 1);
    assert_eq!(world.state.tasks_of_group(world.cluster(), "family:web").count(), 3);
}

#[test]
fn all_or_nothing_unless_partial() {
    let mut world = World::new();
    let a = world.instance("i-1", "a");
    let definition = world.definition("web", size(600, 1));
    let before = world.state.hash();
    let placed = world.place(definition, &[a, a]);
    assert_eq!((placed.tasks.len(), placed.rejected), (0, vec![1]));
    assert_eq!(world.state.hash(), before);
}

#[test]
fn fixed_ports_are_taken_once_and_reserved_ones_never() {
    let mut world = World::new();
    let (a, b) = (world.instance("i-1", "a"), world.instance("i-2", "a"));
    let definition = world.definition("web", with_port(size(1, 1), 80));
    let place = PlaceTasks { partial: true, ..world.placing(definition, &[a, a, b]) };
    let placed = world.placed(Kind::PlaceTasks(place));
    assert_eq!(placed.rejected, [1]);
    assert_eq!(world.place(definition, &[b]).rejected, [0]);
    let task = task_id(&placed.tasks[1]);
    world.done(Kind::StopTasks(stop(&[task], "")));
    assert_eq!(world.place(definition, &[b]).rejected, [0], "held until the agent says that it has stopped");
    world.report(task, TaskStatus::Stopped);
    assert_eq!(world.place(definition, &[b]).rejected, []);
    let ssh = world.definition("ssh", with_port(size(1, 1), 22));
    assert_eq!(world.place(ssh, &[a]).rejected, [0]);
}

#[test]
fn what_cannot_take_tasks_is_rejected() {
    let mut world = World::new();
    let lost = world.instance("i-1", "a");
    world.lose(lost);
    let definition = world.definition("web", size(1, 1));
    assert_eq!(world.place(definition, &[lost, InstanceId(999)]).rejected, [0, 1]);
}

#[test]
fn overrides_change_the_size() {
    let mut world = World::new();
    let a = world.instance("i-1", "a");
    let definition = world.definition("web", with_port(size(100, 100), 80));
    let overrides = TaskOverride { cpu: Some("512".into()), ..TaskOverride::default() };
    let place = PlaceTasks { overrides: Some(overrides), ..world.placing(definition, &[a]) };
    let placed = world.placed(Kind::PlaceTasks(place));
    let task = task_id(&placed.tasks[0]);
    assert_eq!(world.row(task).cpu, 512);
    assert_eq!(world.state.usage(a).unwrap().cpu, 512);
    world.report(task, TaskStatus::Stopped);
    let usage = world.state.usage(a).unwrap();
    assert_eq!((usage.cpu, usage.memory, usage.ports_tcp.len()), (0, 0, 0));
    let bad = TaskOverride { cpu: Some("many".into()), ..TaskOverride::default() };
    let place = PlaceTasks { overrides: Some(bad), ..world.placing(definition, &[a]) };
    assert_eq!(world.refused(Kind::PlaceTasks(place)).code, "InvalidParameterException");
}

#[test]
fn the_same_ids_are_not_given_out_twice() {
    let mut world = World::new();
    let a = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let place = world.placing(definition, &[a, a]);
    world.placed(Kind::PlaceTasks(place.clone()));
    let base = task_id(place.base.as_ref().unwrap());
    let next = PlaceTasks { base: Some(task_id_message(base.offset(1))), ..place };
    assert_eq!(world.refused(Kind::PlaceTasks(next)).code, "ConflictException");
}

#[test]
fn nothing_new_is_made_of_what_was_deregistered_or_deleted() {
    let mut world = World::new();
    let a = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let service = world.service("web", definition, 1);
    world.done(Kind::DeregisterTaskDefinition(DeregisterTaskDefinition { task_definition_id: definition.0 }));
    let place = world.placing(definition, &[a]);
    assert_eq!(world.refused(Kind::PlaceTasks(place.clone())).message, "TaskDefinition is inactive");
    let for_service = world.placing_service(service, &[a]);
    assert_eq!(world.placed(Kind::PlaceTasks(for_service)).tasks.len(), 1, "services go on");
    let gone = PlaceTasks { cluster_id: 99, ..place.clone() };
    assert_eq!(world.refused(Kind::PlaceTasks(gone)).code, "ClusterNotFoundException");
    let unknown = PlaceTasks { task_definition_id: 99, ..place.clone() };
    assert_eq!(world.refused(Kind::PlaceTasks(unknown)).message, "TaskDefinition not found.");
    let empty = PlaceTasks { placements: vec![], ..place };
    world.refused(Kind::PlaceTasks(empty));
}

#[test]
fn a_stale_planner_does_not_place_twice() {
    let mut world = World::new();
    let a = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let service = world.service("web", definition, 2);
    let place = PlaceTasks { wanted_before: 1, ..world.placing_service(service, &[a, a]) };
    let second = PlaceTasks { wanted_before: 1, ..world.placing_service(service, &[a, a]) };
    let placed = world.placed(Kind::PlaceTasks(place));
    world.stale(Kind::PlaceTasks(second.clone()));
    // Fewer tasks than the planner saw do no harm: it looks again and places the rest.
    let third = PlaceTasks { wanted_before: 3, ..world.placing_service(service, &[a]) };
    world.report(task_id(&placed.tasks[0]), TaskStatus::Stopped);
    assert_eq!(world.placed(Kind::PlaceTasks(third)).tasks.len(), 1);
    let of_another_version = PlaceTasks { service_version: 1, wanted_before: 0, ..second.clone() };
    world.stale(Kind::PlaceTasks(of_another_version));
    let of_another_deployment = PlaceTasks { deployment_id: 1, wanted_before: 0, ..second };
    world.stale(Kind::PlaceTasks(of_another_deployment));
}

#[test]
fn a_services_tasks_say_whose_they_are() {
    let mut world = World::new();
    let a = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let service = world.service("web", definition, 2);
    let place = world.placing_service(service, &[a]);
    let placed = world.placed(Kind::PlaceTasks(place));
    let row = world.row(task_id(&placed.tasks[0]));
    let deployment = world.primary(service);
    assert_eq!((row.group, row.started_by), ("service:web".to_owned(), format!("ecs-svc/{deployment}")));
    let counts = world.state.deployment_counts(service, deployment);
    assert_eq!((counts.pending, counts.running, counts.live, counts.wanted), (1, 0, 1, 1));
    assert_eq!(world.state.group_counts(world.cluster(), "service:web"), world.state.service_counts(service));
    assert_eq!(world.state.tasks_of_group(world.cluster(), "service:web").count(), 1);
    assert_eq!(world.state.service_instances(service).collect::<Vec<_>>(), [(a, 1)]);
}
