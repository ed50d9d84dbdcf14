//! Snapshots, and members that need one.

use std::time::Duration;

use crate::{World, world::Setup};

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// openraft keeps 256 entries behind a snapshot.
const ENTRIES: u64 = 600;

pub(super) fn snapshot_everywhere(world: &World) {
    let members: Vec<_> = world.members().values().filter_map(|node| node.member()).collect();
    world.run(SECOND * 5, async move {
        for member in members {
            member.consensus().trigger_snapshot().await;
        }
    });
    world.run_for(SECOND);
}

/// The same for one that lives and is cut off: its watchers stay connected over the gap.
pub(super) fn a_member_that_was_cut_off_gets_a_snapshot(seed: u64) {
    let world = World::formed(&Setup::three_zones(seed));
    world.register("web", &[]);
    world.create_service("web", "web", 6);
    let workload = world.start_workload();
    world.run_for(SECOND);
    let lagging = world.followers()[0].clone();
    world.isolate(std::slice::from_ref(&lagging));
    let from = newest(&world);
    // Entries on their way to it are not purged: a later snapshot takes them too.
    for round in 1..=3 {
        world.wait("enough entries", SETTLE * 10, |w| newest(w) > from + round * ENTRIES);
        snapshot_everywhere(&world);
    }
    world.sim.heal();
    world.wait("it to get a snapshot", SETTLE, |w| {
        let member = w.member(&lagging).member();
        member.is_some_and(|member| member.consensus().snapshot_index().is_some_and(|at| at > from))
    });
    world.run_for(SECOND * 5);
    workload.stop_writing();
    world.settle(SETTLE);
}

fn newest(world: &World) -> u64 {
    let newest = world.members().values().filter_map(|node| node.member()).map(|m| m.consensus().state().index);
    newest.max().unwrap_or(0)
}

/// The log no longer holds what it lacks. Its watchers are told so and list again.
pub(super) fn a_member_that_lags_gets_a_snapshot(seed: u64) {
    let mut world = World::formed(&Setup::three_zones(seed));
    world.register("web", &[]);
    world.create_service("web", "web", 6);
    let workload = world.start_workload();
    let lagging = world.followers()[0].clone();
    world.kill_member(&lagging);
    let from = newest(&world);
    world.wait("enough entries", SETTLE * 10, |w| newest(w) > from + ENTRIES);
    snapshot_everywhere(&world);
    world.restart_member(&lagging);
    world.wait("it to serve again", SETTLE, |w| w.member(&lagging).member().is_some());
    world.run_for(SECOND * 5);
    let member = world.member(&lagging).member().expect("it serves");
    assert!(member.consensus().snapshot_index().is_some_and(|at| at > from), "it got no snapshot");
    // And from a snapshot of its own after a restart.
    world.kill_member(&lagging);
    world.restart_member(&lagging);
    world.run_for(SECOND * 5);
    workload.stop_writing();
    world.settle(SETTLE);
}
