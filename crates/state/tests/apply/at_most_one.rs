//! The loss policy at-most-one: what may be asked for, tokens, and when a task counts as ended.

use seawall_model::{InstanceId, ServiceId};
use seawall_proto::internal::v1::{
    AgentIdentity, DeregisterInstance, EndGuardedTasks, InstanceAttribute, PlaceTasks, RaiseClusterVersion,
    ResourceRef, StopCode, TagResource, TaskStatus, UpdateService, disconnect_instances, resource_ref,
};
use seawall_state::GUARD_ATTRIBUTE;

use crate::fixture::*;

const POLICY: &str = "seawall:loss-policy";

/// An instance whose agent can run a guard.
fn guarded_instance(world: &mut World, name: &str) -> InstanceId {
    let guard = InstanceAttribute { name: GUARD_ATTRIBUTE.into(), ..Default::default() };
    let command = world.connecting(AgentIdentity { attributes: vec![guard], ..identity(name, "a") });
    world.apply(command);
    InstanceId(world.state.instance_by_ec2_id(name).unwrap().id)
}

fn tagging(service: ServiceId, value: &str) -> Kind {
    let resource = ResourceRef { kind: Some(resource_ref::Kind::ServiceId(service.0)) };
    Kind::TagResource(TagResource { resource: Some(resource), tags: vec![tag(POLICY, value)] })
}

/// A cluster with two such instances, and the service without a task.
fn singleton() -> (World, ServiceId, [InstanceId; 2]) {
    let mut world = World::new();
    world.done(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    let instances = ["i-1", "i-2"].map(|name| guarded_instance(&mut world, name));
    let definition = world.definition("one", size(10, 10));
    let mut create = world.creating("one", definition, 1);
    (create.minimum_healthy_percent, create.maximum_percent) = (0, 100);
    create.spec.as_mut().unwrap().tags = vec![tag(POLICY, "at-most-one")];
    let service = ServiceId(world.done(Kind::CreateService(create)).id);
    (world, service, instances)
}

/// As the planner would place it without having seen any task.
fn placing(world: &mut World, service: ServiceId, instance: InstanceId) -> Kind {
    let place = world.placing_service(service, &[instance]);
    Kind::PlaceTasks(PlaceTasks { wanted_before: 0, ..place })
}

fn end(instance: InstanceId, session: u64) -> Kind {
    let items = vec![disconnect_instances::Item { instance_id: instance.0, session }];
    Kind::EndGuardedTasks(EndGuardedTasks { items })
}

#[test]
fn what_could_start_a_second_task_is_refused_with_what_to_do() {
    let mut world = World::new();
    let definition = world.definition("one", size(10, 10));
    let service = world.service("web", definition, 1);
    let says = |world: &mut World, kind: Kind| world.refused(kind).message;
    assert!(says(&mut world, tagging(service, "at-most-one")).contains("needs cluster version 2"));
    world.done(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    assert!(says(&mut world, tagging(service, "at-most-one")).ends_with("next: set them to 0 and 100."));
    let percents = |minimum, maximum| UpdateService {
        service_id: service.0,
        minimum_healthy_percent: Some(minimum),
        maximum_percent: Some(maximum),
        ..Default::default()
    };
    world.done(Kind::UpdateService(percents(0, 100)));
    let instance = world.instance("i-1", "a");
    let place = world.placing_service(service, &[instance]);
    let task = world.placed(Kind::PlaceTasks(place)).tasks[0];
    assert!(says(&mut world, tagging(service, "at-most-one")).contains("tasks that no guard would end"));
    world.report(seawall_state::task_id(&task), TaskStatus::Stopped);
    world.done(tagging(service, "at-most-one"));
    let two = UpdateService { service_id: service.0, desired_count: Some(2), ..Default::default() };
    assert!(says(&mut world, Kind::UpdateService(two)).contains("the desiredCount is 2"));
    assert!(says(&mut world, Kind::UpdateService(percents(0, 200))).contains("maximumPercent 200"));
    world.done(tagging(service, "keep"));
    world.done(Kind::UpdateService(percents(50, 200)));
}

#[test]
fn a_task_is_placed_where_none_may_be_alive_and_a_guard_is() {
    let (mut world, service, [first, second]) = singleton();
    let plain = world.instance("i-3", "a");
    let command = placing(&mut world, service, plain);
    assert_eq!(world.placed(command).rejected, [0], "its agent has no guard");
    let command = placing(&mut world, service, first);
    let task = seawall_state::task_id(&world.placed(command).tasks[0]);
    let token = world.row(task).fencing_token;
    assert!(token > 0);
    assert_eq!(world.service_row(service).fencing_token, token);
    let command = placing(&mut world, service, second);
    world.stale(command);
    world.lose(first);
    let command = placing(&mut world, service, second);
    world.stale(command);
    let session = world.state.instances.get(&first).unwrap().session;
    world.done(end(first, session));
    assert_eq!(
        (world.row(task).last_status(), world.row(task).stop_code()),
        (TaskStatus::Stopped, StopCode::InfrastructureHealth)
    );
    let command = placing(&mut world, service, second);
    let task = seawall_state::task_id(&world.placed(command).tasks[0]);
    assert!(world.row(task).fencing_token > token);
    world.state.check().unwrap();
}

#[test]
fn the_end_is_said_of_what_is_lost_only() {
    let (mut world, service, [first, second]) = singleton();
    let command = placing(&mut world, service, first);
    let task = seawall_state::task_id(&world.placed(command).tasks[0]);
    let session = world.state.instances.get(&first).unwrap().session;
    world.done(end(first, session));
    assert_eq!(world.row(task).last_status(), TaskStatus::Pending, "its instance is connected");
    world.lose(first);
    guarded_instance(&mut world, "i-1");
    world.done(end(first, session));
    world.lose(first);
    world.done(end(first, session));
    assert_eq!(world.row(task).last_status(), TaskStatus::Pending, "it was connected again since");
    let force = DeregisterInstance { instance_id: first.0, force: true, forgotten: false };
    world.done(Kind::DeregisterInstance(force));
    world.state.check().unwrap();
    assert_eq!(world.row(task).last_status(), TaskStatus::Pending, "nobody knows that it has ended");
    assert!(!world.row(task).desired_running);
    let command = placing(&mut world, service, second);
    world.stale(command);
    let stopped = stop(&[task], "now");
    world.done(Kind::StopTasks(stopped));
    assert_eq!(world.row(task).last_status(), TaskStatus::Pending);
    world.done(end(first, 0));
    assert_eq!(world.row(task).stop_code(), StopCode::UserInitiated, "whoever stopped it first gave the reason");
    world.state.check().unwrap();
    let command = placing(&mut world, service, second);
    world.placed(command);
}
