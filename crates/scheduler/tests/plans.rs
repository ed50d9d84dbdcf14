//! Golden plans: what the planner decides in each situation, as text.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_model::{InstanceId, ServiceId};
use seawall_proto::{
    internal::v1::{
        BackoffRow, DeploymentRow, InstanceStatus, PlaceTasks, PortNeed, RolloutState, ServiceRow, ServiceStatusCode,
        TaskRow, TaskSize, place_tasks::Placement,
    },
    v1::{CreateServiceRequest, PlacementConstraint},
};
use seawall_scheduler::{
    Fleet, Overlay, PlaceRequest, Reserved, Spread, explain, fits_after, instances_for, place, place_on_each,
};
use seawall_state::task_id_message;
use support::{CLUSTER, World, attribute, request, size, with_port};

fn three_zones() -> World {
    let mut world = World::default();
    for zone in ["a", "a", "b", "b", "c", "c"] {
        world.instance(zone, 2048, 4096);
    }
    world
}

#[test]
fn tasks_spread_over_zones_then_instances() {
    let world = three_zones();
    insta::assert_snapshot!(place(&world.state(), &Overlay::default(), &request(size(256, 512), 7)));
}

#[test]
fn the_zone_with_the_fewest_comes_first_even_if_it_is_fuller() {
    let mut world = three_zones();
    let small = size(128, 128);
    for instance in [1, 1, 3] {
        world.task(InstanceId(instance), "family:web", &small);
    }
    world.task(InstanceId(5), "family:other", &size(1500, 3000));
    insta::assert_snapshot!(place(&world.state(), &Overlay::default(), &request(small, 4)));
}

#[test]
fn unreachable_and_stopping_tasks_do_not_count_but_hold_their_resources() {
    let mut world = three_zones();
    world.task(InstanceId(1), "family:web", &size(2048, 512)).unreachable_since_ms = 5;
    world.task(InstanceId(3), "family:web", &size(2048, 512)).desired_running = false;
    insta::assert_snapshot!(place(&world.state(), &Overlay::default(), &request(size(1024, 512), 6)));
}

#[test]
fn each_filter_says_why() {
    let mut world = three_zones();
    world.instance_mut(InstanceId(1)).set_status(InstanceStatus::Draining);
    world.instance_mut(InstanceId(2)).connected = false;
    world.instance_mut(InstanceId(3)).registered =
        Some(seawall_proto::internal::v1::Resources { cpu: 2048, memory: 300, ..Default::default() });
    world.task(InstanceId(4), "family:other", &size(2000, 64));
    world.task(InstanceId(5), "family:other", &with_port(size(1, 1), 8080));
    for instance in 1..=5 {
        world.instance_mut(InstanceId(instance)).attributes = vec![attribute("gpu")];
    }
    let needs = TaskSize { required_attributes: vec!["gpu".into()], ..with_port(size(256, 512), 8080) };
    let state = world.state();
    insta::assert_snapshot!(
        "each_filter_says_why_plan",
        place(&state, &Overlay::default(), &request(needs.clone(), 1))
    );
    insta::assert_snapshot!("each_filter_says_why", explain(&state, &Overlay::default(), &request(needs, 1)));
}

#[test]
fn a_fixed_port_takes_one_task_an_instance_and_udp_is_apart() {
    let mut world = World::default();
    world.instance("a", 4096, 4096);
    world.instance("b", 4096, 4096);
    let tcp = with_port(size(1, 1), 53);
    world.task(InstanceId(1), "family:dns", &tcp);
    let mut udp = size(1, 1);
    udp.ports.push(PortNeed { host_port: 53, udp: true, ..PortNeed::default() });
    let state = world.state();
    insta::assert_snapshot!("tcp", place(&state, &Overlay::default(), &request(tcp, 2)));
    insta::assert_snapshot!("udp", place(&state, &Overlay::default(), &request(udp, 3)));
}

#[test]
fn a_reserved_port_is_taken() {
    let mut world = World::default();
    world.instance("a", 4096, 4096);
    insta::assert_snapshot!(place(&world.state(), &Overlay::default(), &request(with_port(size(1, 1), 22), 1)));
}

/// `apply` refuses what does not fit a machine that came back smaller: a planner that saw room there would plan it again
/// and again.
#[test]
fn a_machine_that_came_back_smaller_takes_nothing_until_its_tasks_fit_again() {
    let mut world = World::default();
    let id = world.instance("a", 800, 800);
    for _ in 0..2 {
        world.task(id, "family:other", &size(500, 100));
    }
    assert!(place(&world.state(), &Overlay::default(), &request(size(0, 100), 1)).placements.is_empty());
    let state = world.state();
    let held: Vec<&TaskRow> = state.tasks_of_instance(id).map(AsRef::as_ref).collect();
    let overlay = Overlay::default();
    let reserved = Reserved::from(&state, &overlay, &request(size(1, 1), 1));
    let fits = |cpu, stopped| fits_after(&reserved, &request(size(cpu, 100), 1), id, stopped);
    assert!(fits(300, &held[..1]));
    assert!(!fits(500, &held[..1]), "what a task gives back was not all there");
}

#[test]
fn no_instances_at_all() {
    insta::assert_snapshot!(place(&World::default().state(), &Overlay::default(), &request(size(1, 1), 2)));
}

#[test]
fn chosen_instances_are_checked_one_by_one() {
    let mut world = three_zones();
    world.instance_mut(InstanceId(2)).connected = false;
    world.instance_mut(InstanceId(3)).set_status(InstanceStatus::Draining);
    world.task(InstanceId(4), "family:other", &size(2048, 64));
    let needs = TaskSize { required_attributes: vec!["nobody.has.it".into()], ..size(256, 512) };
    let only = Some([1, 2, 3, 4, 99].map(InstanceId).to_vec());
    let request = PlaceRequest { only, ..request(needs, 1) };
    insta::assert_snapshot!(place(&world.state(), &Overlay::default(), &request));
}

#[test]
fn proposals_count_and_hold_until_they_are_dropped() {
    let mut world = World::default();
    world.instance("a", 1024, 1024);
    world.instance("b", 1024, 1024);
    let definition = world.definition(with_port(size(512, 512), 80));
    let proposal = PlaceTasks {
        cluster_id: CLUSTER.0,
        task_definition_id: definition.0,
        base: Some(task_id_message(seawall_model::Id128(77))),
        group: "family:web".into(),
        placements: vec![Placement { instance_id: 1, ..Placement::default() }],
        ..PlaceTasks::default()
    };
    let state = world.state();
    let mut overlay = Overlay::default();
    overlay.add(&state, &proposal);
    overlay.add(&state, &proposal);
    insta::assert_snapshot!("proposed", explain(&state, &overlay, &request(with_port(size(600, 512), 80), 1)));
    insta::assert_snapshot!("proposed_then_placed", place(&state, &overlay, &request(size(256, 256), 2)));
    overlay.remove(&proposal);
    assert!(overlay.is_empty());
    assert_eq!(overlay.held(InstanceId(1)), None);
    assert_eq!(overlay.counts(CLUSTER, &Spread::Group("family:web".into())).count(), 0);
}

#[test]
fn notes_stay_under_two_hundred_bytes() {
    let mut world = World::default();
    world.instance(&"z".repeat(64), 1024, 1024);
    let plan = place(&world.state(), &Overlay::default(), &request(size(1, 1), 1));
    assert!(plan.placements[0].note.len() < 200, "{}", plan.placements[0].note);
}

#[test]
fn more_failures_than_are_listed_are_counted_by_reason() {
    let mut world = World::default();
    for number in 0..130 {
        let memory = if number < 110 { 64 } else { 4096 };
        world.instance("a", 128, memory);
    }
    let plan = place(&world.state(), &Overlay::default(), &request(size(512, 128), 1));
    assert_eq!(plan.failures.len(), 100);
    let last = &plan.failures[99].detail;
    assert!(last.ends_with("; 30 more instances: 30 RESOURCE:MEMORY"), "{last}");
}

/// A daemon of this size, whose tasks stand on these instances.
fn daemon(world: &mut World, size: &TaskSize, on: &[u64]) -> ServiceId {
    let id = ServiceId(900 + world.services.len() as u64);
    let definition = world.definition(size.clone());
    let primary = DeploymentRow { id: 1, task_definition_id: definition.0, primary: true, ..DeploymentRow::default() };
    let row = ServiceRow {
        id: id.0,
        cluster_id: CLUSTER.0,
        name: "agent".into(),
        status: ServiceStatusCode::Active.into(),
        deployments: vec![primary],
        spec: Some(CreateServiceRequest { scheduling_strategy: Some("DAEMON".into()), ..Default::default() }),
        ..ServiceRow::default()
    };
    world.services.insert(id.0, row);
    for instance in on {
        let task = world.task(InstanceId(*instance), "service:agent", size);
        (task.service_id, task.deployment_id, task.task_definition_id) = (id.0, 1, definition.0);
    }
    id
}

fn of_service(size: TaskSize, count: u32) -> PlaceRequest {
    PlaceRequest { spread: Spread::Service(ServiceId(1)), ..request(size, count) }
}

#[test]
fn room_is_kept_for_daemons_that_are_not_there_yet() {
    let mut world = three_zones();
    daemon(&mut world, &with_port(size(2000, 64), 9000), &[1, 2, 3, 4]);
    let state = world.state();
    let one = request(size(256, 64), 9);
    insta::assert_snapshot!("kept_for_daemons", place(&state, &Overlay::default(), &one));
    insta::assert_snapshot!("kept_for_daemons_explained", explain(&state, &Overlay::default(), &one));
    let port = with_port(size(1, 1), 9000);
    assert_eq!(place(&state, &Overlay::default(), &request(port, 1)).placements, [], "its port too");
    let chosen = PlaceRequest { only: Some(vec![InstanceId(1), InstanceId(5)]), ..one };
    let plan = place(&state, &Overlay::default(), &chosen);
    assert_eq!((plan.placements, plan.failures[0].reason), (Vec::new(), "RESOURCE:CPU"), "StartTask sees it too");
}

#[test]
fn services_wait_for_daemons_and_standalone_tasks_do_not() {
    let mut world = three_zones();
    let id = daemon(&mut world, &size(100, 64), &[1, 2, 3, 4]);
    let placed = |world: &World, overlay: &Overlay, request: &PlaceRequest| -> Vec<u64> {
        let mut placed: Vec<u64> =
            place(&world.state(), overlay, request).placements.iter().map(|p| p.instance.0).collect();
        placed.sort_unstable();
        placed
    };
    let (service, task) = (of_service(size(1, 1), 6), request(size(1, 1), 6));
    let mut overlay = Overlay::default();
    assert!(placed(&world, &overlay, &service).iter().all(|id| *id < 5));
    assert_eq!(placed(&world, &overlay, &task), [1, 2, 3, 4, 5, 6]);
    let place = PlaceTasks {
        cluster_id: CLUSTER.0,
        task_definition_id: world.services[&id.0].deployments[0].task_definition_id,
        service_id: id.0,
        deployment_id: 1,
        placements: [5, 6].map(|instance_id| Placement { instance_id, ..Placement::default() }).into(),
        base: Some(task_id_message(seawall_model::Id128(77))),
        ..PlaceTasks::default()
    };
    overlay.add(&world.state(), &place);
    assert_eq!(placed(&world, &overlay, &service), [1, 2, 3, 4, 5, 6], "its tasks are on their way");
    for change in [
        |row: &mut ServiceRow| row.backoff = Some(BackoffRow { rounds: 1, ..BackoffRow::default() }),
        |row: &mut ServiceRow| row.deployments[0].set_rollout_state(RolloutState::Failed),
        |row: &mut ServiceRow| row.set_status(ServiceStatusCode::Draining),
    ] {
        let mut world = world.clone();
        change(world.services.get_mut(&id.0).unwrap());
        assert_eq!(placed(&world, &Overlay::default(), &service), [1, 2, 3, 4, 5, 6], "it will not be placed soon");
    }
}

#[test]
fn a_service_s_own_task_does_not_count_as_its_daemon_s() {
    let mut world = World::default();
    world.instance("a", 1000, 1000);
    let id = daemon(&mut world, &size(100, 64), &[]);
    let one_each = PlacementConstraint { r#type: Some("distinctInstance".into()), expression: None };
    world.services.get_mut(&id.0).unwrap().spec.as_mut().unwrap().placement_constraints = vec![one_each];
    world.task(InstanceId(1), "service:web", &size(1, 1)).service_id = 1;
    let (state, overlay, one_more) = (world.state(), Overlay::default(), of_service(size(1, 1), 1));
    for plan in [place(&state, &overlay, &one_more), Fleet::new(&state, &overlay).place(&one_more)] {
        assert_eq!(plan.placements, [], "the daemon's comes first");
    }
    let reserved = Reserved::from(&state, &overlay, &one_more);
    assert!(!fits_after(&reserved, &one_more, InstanceId(1), &[]));
}

#[test]
fn what_a_daemon_that_leaves_holds_is_not_kept_a_second_time() {
    let mut world = World::default();
    world.instance("a", 1000, 1000);
    daemon(&mut world, &size(400, 64), &[1]);
    world.tasks.values_mut().for_each(|task| task.desired_running = false);
    let fits = |world: &World, cpu| place(&world.state(), &Overlay::default(), &of_service(size(cpu, 1), 1));
    assert_eq!(fits(&world, 600).placements.len(), 1);
    assert_eq!(fits(&world, 601).placements.len(), 0);
    world.tasks.clear();
    assert_eq!(
        fits(&world, 600).closest.unwrap().split_once(") ").unwrap().1,
        "has no tasks of its daemon services yet, which are placed first."
    );
}

#[test]
fn an_instance_that_is_too_small_for_a_daemon_keeps_nothing() {
    let mut world = World::default();
    world.instance("a", 1000, 1000);
    daemon(&mut world, &size(1001, 64), &[]);
    assert_eq!(place(&world.state(), &Overlay::default(), &of_service(size(1000, 1), 1)).placements.len(), 1);
}

#[test]
fn a_daemon_goes_on_each_instance_that_has_room_and_says_why_not_on_the_others() {
    let mut world = three_zones();
    let needs = size(1500, 64);
    let id = daemon(&mut world, &needs, &[]);
    world.instance_mut(InstanceId(1)).set_status(InstanceStatus::Draining);
    world.instance_mut(InstanceId(2)).connected = false;
    world.task(InstanceId(3), "family:web", &size(1000, 64));
    let state = world.state();
    let belongs = instances_for(&state, CLUSTER, &request(needs.clone(), 1).requirement);
    assert_eq!(belongs.iter().map(|id| id.0).collect::<Vec<_>>(), [3, 4, 5, 6], "room is not asked");
    let request = PlaceRequest { spread: Spread::Service(id), ..request(needs, 0) };
    let on: Vec<_> = belongs.into_iter().collect();
    insta::assert_snapshot!("daemon_on_each", place_on_each(&state, &Overlay::default(), &request, &on));
}
