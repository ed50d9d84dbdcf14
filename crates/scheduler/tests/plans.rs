//! Golden plans: what the planner decides in each situation, as text.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{InstanceStatus, PlaceTasks, PortNeed, TaskRow, TaskSize, place_tasks::Placement};
use seawall_scheduler::{Overlay, PlaceRequest, Spread, explain, fits_after, place};
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
    let fits = |cpu, stopped| fits_after(&state, &Overlay::default(), &request(size(cpu, 100), 1), id, stopped);
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
