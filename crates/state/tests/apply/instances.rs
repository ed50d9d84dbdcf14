//! Agents that connect, are lost and come back; draining, deregistering, attributes.

use seawall_model::{Id128, InstanceId};
use seawall_proto::internal::v1::{
    AgentIdentity, Connected, CreateCluster, DeleteAttributes, DeregisterInstance, InstanceAttribute, InstanceStatus,
    PutAttributes, Resources, SetInstancesStatus, StopCode, TaskStatus, put_attributes,
};
use seawall_state::Change;

use crate::fixture::*;

fn deregister(id: InstanceId, force: bool, forgotten: bool) -> Kind {
    Kind::DeregisterInstance(DeregisterInstance { instance_id: id.0, force, forgotten })
}

fn attribute(id: InstanceId, name: &str, value: &str) -> put_attributes::Item {
    put_attributes::Item { instance_id: id.0, name: name.into(), value: value.into() }
}

fn arn(connected: &Connected) -> Id128 {
    Id128::from_halves(connected.arn_hi, connected.arn_lo)
}

#[test]
fn an_agent_that_lost_its_folder_finds_its_arn() {
    let mut world = World::new();
    let first = world.connect("i-1", "a");
    let again = world.connect("i-1", "a");
    assert_eq!((again.instance_id, arn(&again)), (first.instance_id, arn(&first)));
    assert!(again.session > first.session);
    assert_eq!(world.state.instance_by_arn_id(arn(&first)).unwrap().id, first.instance_id);
    assert!(world.has_changed(&Change::Instance(InstanceId(first.instance_id))));
}

/// A member may be slow to pass on a hello whose agent has long gone elsewhere.
#[test]
fn an_attempt_that_was_given_up_does_not_end_a_later_session() {
    let mut world = World::new();
    let attempt = |run, attempt| AgentIdentity { run, attempt, ..identity("i-1", "a") };
    let command = world.connecting(attempt(7, 2));
    world.apply(command);
    let session = |world: &World| world.state.instance_by_ec2_id("i-1").unwrap().session;
    let now = session(&world);
    for late in [1, 2] {
        let command = world.connecting(attempt(7, late));
        assert_eq!(world.refused(command).code, "ConflictException");
    }
    assert_eq!(session(&world), now);
    let command = world.connecting(attempt(7, 3));
    world.apply(command);
    let command = world.connecting(attempt(8, 1));
    world.apply(command);
    assert!(session(&world) > now, "another process of the same instance takes its place");
}

#[test]
fn a_deregistered_instance_registers_anew() {
    let mut world = World::new();
    let first = world.connect("i-1", "a");
    world.done(deregister(InstanceId(first.instance_id), false, false));
    assert!(world.state.instance_by_ec2_id("i-1").is_none());
    let kept = AgentIdentity { arn_hi: first.arn_hi, arn_lo: first.arn_lo, ..identity("i-1", "a") };
    let command = world.connecting(kept);
    world.apply(command);
    let row = world.state.instance_by_ec2_id("i-1").unwrap();
    assert_ne!(Id128::from_halves(row.arn_hi, row.arn_lo), arn(&first));
}

#[test]
fn an_instance_belongs_to_one_cluster() {
    let mut world = World::new();
    world.done(Kind::CreateCluster(CreateCluster { account: 0, name: "prod".into(), ..Default::default() }));
    world.instance("i-1", "a");
    let command = world.connecting(AgentIdentity { cluster: "prod".into(), ..identity("i-1", "a") });
    let refusal = world.refused(command);
    assert!(refusal.message.contains("registered in the cluster \"default\""), "{}", refusal.message);
    let command = world.connecting(AgentIdentity { cluster: "prdo".into(), ..identity("i-2", "a") });
    let refusal = world.refused(command);
    assert_eq!(refusal.code, "ClusterNotFoundException");
    assert!(refusal.message.contains("prod, default"), "{}", refusal.message);
    let command = world.connecting(identity("i-2", "Zone A"));
    assert!(world.refused(command).message.starts_with("Invalid zone"));
}

#[test]
fn a_lost_instance_keeps_its_tasks_until_it_is_back() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(400, 400));
    let task = world.task(definition, instance);
    world.report(task, TaskStatus::Running);
    world.now_ms += 5000;
    world.lose(instance);
    let row = world.row(task);
    assert_eq!((row.last_status(), row.unreachable_since_ms), (TaskStatus::Running, world.now_ms));
    let counts = world.state.instance_counts(instance);
    assert_eq!((counts.running, counts.live, counts.wanted), (0, 1, 0));
    let cluster = world.state.cluster_counts(world.cluster());
    assert_eq!((cluster.unreachable, cluster.statuses.of(TaskStatus::Running)), (1, 1));
    assert_eq!(world.state.usage(instance).unwrap().cpu, 400, "resources stay reserved");
    assert_eq!(world.state.instances.get(&instance).unwrap().disconnected_at_ms, world.now_ms);
    world.connect("i-1", "a");
    assert_eq!(world.row(task).unreachable_since_ms, 0);
    assert_eq!(world.state.instance_counts(instance).running, 1);
    assert_eq!(world.state.cluster_counts(world.cluster()).unreachable, 0);
}

#[test]
fn a_loss_of_an_older_session_does_not_count() {
    let mut world = World::new();
    let first = world.connect("i-1", "a");
    world.connect("i-1", "a");
    let id = InstanceId(first.instance_id);
    world.done(disconnect(id, first.session, true));
    assert!(world.state.instances.get(&id).unwrap().connected);
}

#[test]
fn a_stream_that_closed_leaves_the_lease_running() {
    let mut world = World::new();
    let connected = world.connect("i-1", "a");
    let id = InstanceId(connected.instance_id);
    world.done(disconnect(id, connected.session, false));
    let row = world.state.instances.get(&id).unwrap();
    assert!(row.connected && row.member_id == 0 && row.disconnected_at_ms == 0);
}

#[test]
fn what_the_api_set_outlives_a_restart_of_the_agent() {
    let mut world = World::new();
    let id = world.instance("i-1", "a");
    let items = vec![attribute(id, "stack", "blue"), attribute(id, "rack", "7")];
    world.done(Kind::PutAttributes(PutAttributes { cluster_id: world.cluster().0, items }));
    let items = vec![attribute(id, "rack", "")];
    world.done(Kind::DeleteAttributes(DeleteAttributes { cluster_id: world.cluster().0, items }));
    let drain = |status: InstanceStatus| SetInstancesStatus {
        cluster_id: 0,
        instance_ids: vec![id.0],
        status: status.into(),
        reason: String::new(),
    };
    let cluster_id = world.cluster().0;
    world.done(Kind::SetInstancesStatus(SetInstancesStatus { cluster_id, ..drain(InstanceStatus::Draining) }));
    let arch = InstanceAttribute { name: "ecs.cpu-architecture".into(), value: "x86_64".into(), custom: false };
    let total = Resources { ports_tcp: vec![99, 5, 99, 70000], ..Resources::default() };
    let command = world.connecting(AgentIdentity {
        attributes: vec![arch.clone()],
        boot_id: "second".into(),
        total: Some(total),
        ..identity("i-1", "b")
    });
    world.apply(command);
    let row = world.state.instances.get(&id).unwrap();
    let blue = InstanceAttribute { name: "stack".into(), value: "blue".into(), custom: true };
    assert_eq!(row.attributes, [arch, blue]);
    assert_eq!((row.boot_id.as_str(), row.zone.as_str(), row.status()), ("second", "b", InstanceStatus::Draining));
    assert_eq!(row.registered.as_ref().unwrap().ports_tcp, [5, 99]);
}

#[test]
fn tasks_are_counted_in_the_zone_that_an_instance_moved_to() {
    let mut world = World::new();
    let id = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let service = world.service("web", definition, 1);
    let place = world.placing_service(service, &[id]);
    world.placed(Kind::PlaceTasks(place));
    assert_eq!(world.state.service_tasks_in_zone(service, "a"), 1);
    world.connect("i-1", "b");
    assert_eq!(world.state.service_tasks_in_zone(service, "a"), 0);
    assert_eq!(world.state.service_tasks_in_zone(service, "b"), 1);
}

#[test]
fn attributes_have_limits_and_those_of_the_agent_stay() {
    let mut world = World::new();
    let id = world.instance("i-1", "a");
    let arch = InstanceAttribute { name: "ecs.os-type".into(), value: "linux".into(), custom: false };
    let command = world.connecting(AgentIdentity { attributes: vec![arch], ..identity("i-1", "a") });
    world.apply(command);
    let cluster_id = world.cluster().0;
    let put = |items| Kind::PutAttributes(PutAttributes { cluster_id, items });
    let eleven = (0..11).map(|i| attribute(id, &format!("a{i}"), "x")).collect();
    assert_eq!(world.refused(put(eleven)).code, "AttributeLimitExceededException");
    assert!(world.refused(put(vec![attribute(id, "ecs.os-type", "x")])).message.contains("set by the agent"));
    assert!(world.refused(put(vec![attribute(id, "no spaces", "x")])).message.contains("attribute name"));
    assert!(world.refused(put(vec![attribute(id, "edge", " x")])).message.contains("attribute edge"));
    assert_eq!(world.refused(put(vec![attribute(InstanceId(99), "a", "x")])).code, "TargetNotFoundException");
    world.done(put((0..10).map(|i| attribute(id, &format!("a{i}"), "x")).collect()));
    world.done(put(vec![attribute(id, "a0", "y")]));
}

#[test]
fn only_active_and_draining_can_be_set() {
    let mut world = World::new();
    let id = world.instance("i-1", "a");
    let cluster_id = world.cluster().0;
    let set = |ids: Vec<u64>, status: InstanceStatus| {
        let (status, reason) = (status.into(), String::new());
        Kind::SetInstancesStatus(SetInstancesStatus { cluster_id, instance_ids: ids, status, reason })
    };
    world.refused(set(vec![id.0], InstanceStatus::Inactive));
    world.refused(set(vec![id.0, 999], InstanceStatus::Draining));
    world.done(set(vec![id.0], InstanceStatus::Draining));
    let definition = world.definition("web", size(1, 1));
    assert_eq!(world.place(definition, &[id]).rejected, [0], "nothing is placed on a draining instance");
    world.done(set(vec![id.0], InstanceStatus::Active));
    assert_eq!(world.place(definition, &[id]).rejected, []);
}

#[test]
fn deregistering_with_tasks_takes_force() {
    let mut world = World::new();
    let id = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let task = world.task(definition, id);
    let refusal = world.refused(deregister(id, false, false));
    assert_eq!(refusal.message, "Found running tasks on the instance.");
    world.done(deregister(id, true, false));
    let row = world.row(task);
    assert_eq!((row.last_status(), row.stop_code()), (TaskStatus::Stopped, StopCode::UserInitiated));
    assert_eq!(row.stopped_reason, "Container instance deregistration forced by user");
    assert!(world.state.instances.get(&id).is_none());
    assert!(world.refused(deregister(id, true, false)).message.contains("not found"));
}

#[test]
fn only_an_instance_that_is_still_silent_is_forgotten() {
    let mut world = World::new();
    let id = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let task = world.task(definition, id);
    world.stale(deregister(id, true, true));
    world.lose(id);
    world.done(deregister(id, true, true));
    assert_eq!(world.row(task).stop_code(), StopCode::InfrastructureHealth);
}
