//! Disks that are full or fail.

use std::time::Duration;

use crate::{World, world::Setup};

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn six_tasks(seed: u64) -> World {
    let world = World::formed(&Setup::three_zones(seed));
    world.register("web", &[]);
    world.create_service("web", "web", 6);
    world
}

/// The process ends rather than acknowledge what may be lost; with room again it is a member as before.
fn hurt(seed: u64, hurt: fn(&World, &str)) {
    let mut world = six_tasks(seed);
    let workload = world.start_workload();
    for victim in ["s1", "s2", "s3"] {
        hurt(&world, victim);
        world.wait("the member to end", SETTLE, |w| !w.sim.is_alive(victim));
        let before = world.ledger().counts().0;
        world.bury();
        world.wait_leader();
        world.run_for(SECOND * 5);
        assert!(world.ledger().counts().0 > before, "two members of three go on");
        world.heal();
        world.run_for(SECOND * 3);
    }
    workload.stop_writing();
    world.settle(SETTLE);
}

pub(super) fn a_member_has_a_full_disk(seed: u64) {
    hurt(seed, |world, name| world.sim.set_disk_bytes(name, 1));
}

pub(super) fn a_member_has_a_failing_disk(seed: u64) {
    hurt(seed, |world, name| world.sim.set_disk_fails(name, true));
}

/// Labels and the cluster know what runs: an agent does without its files.
pub(super) fn an_agent_has_a_failing_disk(seed: u64) {
    let mut world = six_tasks(seed);
    let running = world.agent("a1").host.running_tasks();
    world.sim.set_disk_fails("a1", true);
    world.run_for(SECOND * 20);
    assert_eq!(world.agent("a1").host.running_tasks(), running, "a disk is no reason to stop a task");
    world.bury();
    world.heal();
    world.settle(SETTLE);
}
