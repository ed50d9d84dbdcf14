//! A zone is lost, by power and by a cut.

use std::time::Duration;

use super::six_tasks;
use crate::World;

/// A lease, an election and the starts.
const REPLACED_WITHIN: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(60);
/// Every service is looked at twice a minute.
const EVEN_WITHIN: Duration = Duration::from_secs(90);
const A_WHILE: Duration = Duration::from_secs(10);

fn six_run_elsewhere(world: &World, zone: &str) {
    world.wait("its instances to be lost", REPLACED_WITHIN, |w| {
        w.state().instances.iter().all(|(_, row)| row.zone != zone || !row.connected)
    });
    world.wait("six tasks in the zones left", REPLACED_WITHIN, |w| w.running("web") == 6);
    let state = world.state();
    for task in world.tasks("web").iter().filter(|t| t.desired_running && t.unreachable_since_ms == 0) {
        let instance = state.instances.get(&seawall_model::InstanceId(task.instance_id)).expect("its instance");
        assert_ne!(instance.zone, zone);
    }
}

pub(super) fn a_zone_loses_power(seed: u64) {
    let mut world = six_tasks(seed);
    let zone = world.zone_of(&world.leading());
    let workload = world.start_workload();
    world.power_off_zone(&zone);
    six_run_elsewhere(&world, &zone);
    assert_eq!(world.describe_service("web").running_count(), 6);
    world.run_for(A_WHILE);
    world.power_on_zone(&zone);
    workload.stop_writing();
    world.settle(SETTLE);
}

pub(super) fn a_zone_is_cut_off(seed: u64) {
    let world = six_tasks(seed);
    let zone = world.zone_of(&world.leading());
    let machines = world.in_zone(&zone);
    let inside = machines.iter().find_map(|name| world.agents().get(name)).expect("an agent in the zone");
    let cut_off = inside.host.running_tasks();
    assert_eq!(cut_off.len(), 2);
    let workload = world.start_workload();
    world.isolate(&machines);
    six_run_elsewhere(&world, &zone);
    world.run_for(A_WHILE);
    assert_eq!(inside.host.running_tasks(), cut_off, "what is cut off goes on");
    assert_eq!(world.describe_service("web").running_count(), 6, "counted once");
    world.sim.heal();
    workload.stop_writing();
    world.settle(SETTLE);
    let left = inside.host.running_tasks();
    assert!(left.is_disjoint(&cut_off), "what was replaced meanwhile runs on: {left:?}");
}

pub(super) fn a_zone_that_came_back_gets_its_tasks(seed: u64) {
    let mut world = six_tasks(seed);
    world.power_off_zone("b");
    six_run_elsewhere(&world, "b");
    world.power_on_zone("b");
    let workload = world.start_workload();
    world.wait("two tasks in each zone", EVEN_WITHIN, |w| {
        assert!(w.running("web") >= 6, "a task was stopped before another ran in its place");
        ["a", "b", "c"].iter().all(|zone| in_zone(w, zone) == 2)
    });
    workload.stop_writing();
    world.settle(SETTLE);
}

/// Tasks of the service that run in a zone.
fn in_zone(world: &World, zone: &str) -> usize {
    let state = world.state();
    let tasks = world.tasks("web");
    let running = tasks.iter().filter(|t| t.desired_running && t.unreachable_since_ms == 0);
    let zones = running.filter_map(|t| state.instances.get(&seawall_model::InstanceId(t.instance_id)));
    zones.filter(|row| row.zone == zone).count()
}

pub(super) fn every_zone_in_turn(seed: u64) {
    let mut world = six_tasks(seed);
    let workload = world.start_workload();
    for (zone, by_power) in [("a", true), ("b", false), ("c", true), ("a", false)] {
        match by_power {
            true => world.power_off_zone(zone),
            false => world.isolate(&world.in_zone(zone)),
        }
        six_run_elsewhere(&world, zone);
        match by_power {
            true => world.power_on_zone(zone),
            false => world.sim.heal(),
        }
        world.settle(SETTLE);
    }
    workload.stop_writing();
}
