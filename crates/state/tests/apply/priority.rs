//! Classes in the indexes: who waits, who is lower, who made room.

use seawall_model::{ClusterId, ServiceId, TaskId};
use seawall_proto::internal::v1::{
    DeleteService, ResourceRef, ServiceStep, StopTasks, TagResource, UntagResource, resource_ref,
};
use seawall_state::{Waiter, task_id};

use crate::fixture::*;

fn of(service: ServiceId) -> Option<ResourceRef> {
    Some(ResourceRef { kind: Some(resource_ref::Kind::ServiceId(service.0)) })
}

fn prioritize(service: ServiceId, priority: &str) -> Kind {
    Kind::TagResource(TagResource { resource: of(service), tags: vec![tag("seawall:priority", priority)] })
}

fn unplaced(service: ServiceId, reason: &str) -> Kind {
    Kind::ServiceStep(ServiceStep {
        service_id: service.0,
        unplaced_reason: Some(reason.into()),
        ..ServiceStep::default()
    })
}

#[test]
fn who_waits_is_found_by_class() {
    let mut world = World::new();
    let definition = world.definition("web", size(1, 1));
    let made: Vec<ServiceId> = ["one", "two", "three"]
        .iter()
        .map(|name| ServiceId(world.done(Kind::CreateService(world.creating(name, definition, 2))).id))
        .collect();
    let cluster = ClusterId(world.service_row(made[0]).cluster_id);
    let waiting = |world: &World| world.state.waiting_in(cluster).collect::<Vec<_>>();
    assert_eq!(waiting(&world), []);
    for service in &made {
        world.done(unplaced(*service, "full"));
    }
    world.done(prioritize(made[1], "90"));
    world.done(prioritize(made[0], "0"));
    let all = [(90, made[1]), (50, made[2]), (0, made[0])].map(|(class, id)| (class, Waiter::Service(id)));
    assert_eq!(waiting(&world), all);
    assert!(world.state.has_lower_class(cluster, 1) && !world.state.has_lower_class(cluster, 0));
    world.done(Kind::UntagResource(UntagResource { resource: of(made[0]), keys: vec!["seawall:priority".into()] }));
    assert!(world.state.has_lower_class(cluster, 51) && !world.state.has_lower_class(cluster, 50));
    world.done(unplaced(made[1], ""));
    world.done(Kind::DeleteService(DeleteService { service_id: made[2].0, force: true }));
    assert_eq!(waiting(&world), [(50, Waiter::Service(made[0]))], "one waits no more, one is deleted");
}

#[test]
fn a_task_that_made_room_is_known_by_whom_it_was_for() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let service = ServiceId(world.done(Kind::CreateService(world.creating("web", definition, 2))).id);
    let placed = world.place(definition, &[instance, instance]);
    let tasks: Vec<TaskId> = placed.tasks.iter().map(task_id).collect();
    let cluster = ClusterId(world.service_row(service).cluster_id);
    let preempt = StopTasks { preempted_by: service.0, ..stop(&tasks[..1], "for web") };
    world.done(Kind::StopTasks(preempt.clone()));
    let row = world.state.tasks.get(&tasks[0]).unwrap().clone();
    assert_eq!((row.preempted_by, row.desired_running), (service.0, false));
    let victims: Vec<_> =
        world.state.victims_in(cluster).map(|(id, task)| (id, task.id.as_ref().map(task_id).unwrap())).collect();
    assert_eq!(victims, [(service, tasks[0])]);
    let since = |world: &World, at_ms| world.state.preempted_since(cluster, at_ms);
    assert_eq!((since(&world, row.stopping_at_ms - 1), since(&world, row.stopping_at_ms)), (1, 0));
    world.done(Kind::StopTasks(stop(&tasks[1..], "by its user")));
    world.done(Kind::StopTasks(StopTasks { preempted_by: service.0, ..stop(&tasks[1..], "again") }));
    assert_eq!(world.state.tasks.get(&tasks[1]).unwrap().preempted_by, 0, "who stopped it first had another reason");
}
