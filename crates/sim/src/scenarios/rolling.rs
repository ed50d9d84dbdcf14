//! Rolling updates under fire.

use std::time::Duration;

use seawall_proto::v1::UpdateServiceRequest;

use crate::{World, world::Setup};

/// Between two blows.
const PAUSE: Duration = Duration::from_secs(2);
const SETTLE: Duration = Duration::from_secs(120);

fn update_begun(seed: u64) -> (World, String) {
    let world = World::formed(&Setup::with(seed, &["a", "b", "c"], 2));
    world.register("web", &[]);
    world.create_service("web", "web", 9);
    let new = world.register("web", &[("VERSION", "2")]);
    world.update_service("web", UpdateServiceRequest { task_definition: Some(new.clone()), ..Default::default() });
    (world, new)
}

fn all_are_new(world: &World, new: &str) {
    let service = world.describe_service("web");
    assert!(service.task_definition().ends_with(new), "{} is not {new}", service.task_definition());
    assert_eq!(service.deployments.len(), 1, "{:?}", service.deployments);
    assert_eq!((service.running_count(), service.pending_count()), (9, 0));
}

pub(super) fn kill_each_in_turn_during_a_rolling_update(seed: u64) {
    let (mut world, new) = update_begun(seed);
    let workload = world.start_workload();
    for name in ["s1", "s2", "s3"] {
        world.kill_member(name);
        world.run_for(PAUSE);
        world.restart_member(name);
        world.run_for(PAUSE);
    }
    for name in ["a1", "a2", "a3", "a4", "a5", "a6"] {
        world.kill_agent(name);
        world.run_for(PAUSE);
        world.restart_agent(name);
        world.run_for(PAUSE / 2);
    }
    workload.stop_writing();
    world.settle(SETTLE);
    all_are_new(&world, &new);
}

pub(super) fn a_rolling_update_over_lossy_links(seed: u64) {
    let (mut world, new) = update_begun(seed);
    world.sim.set_loss_permille(20);
    let workload = world.start_workload();
    world.run_for(PAUSE * 10);
    workload.stop_writing();
    world.heal();
    world.settle(SETTLE);
    all_are_new(&world, &new);
}
