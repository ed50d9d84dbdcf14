//! The seam: the whole cluster on one thread, with its own time, and a seed that decides everything.

use std::time::{Duration, Instant};

use seawall_sim::{World, world::Setup};

const LENGTH: Duration = Duration::from_secs(60);

/// Three members, three agents, a service; its leader is killed and comes back. The hash of everything that happened.
fn run(seed: u64, length: Duration) -> u128 {
    let mut world = World::formed(&Setup::three_zones(seed));
    let workload = world.start_workload();
    world.register("web", &[]);
    world.create_service("web", "web", 6);
    let leader = world.leading();
    world.kill_member(&leader);
    world.wait_other_leader(&leader);
    world.run_for(Duration::from_secs(10));
    world.restart_member(&leader);
    let left = length.saturating_sub(world.sim.now());
    world.run_for(left);
    workload.stop_writing();
    world.settle(Duration::from_secs(10));
    assert!(world.ledger().counts().0 > 100, "a world that does nothing proves nothing: {:?}", world.ledger().counts());
    world.sim.event_hash()
}

#[expect(clippy::disallowed_methods, reason = "how fast the simulation is, by the real clock")]
#[test]
fn a_minute_of_a_cluster_whose_leader_is_killed_is_the_same_for_the_same_seed() {
    let began = Instant::now();
    let first = run(1, LENGTH);
    let took = began.elapsed();
    println!("{:.1} simulated seconds a second", LENGTH.as_secs_f64() / took.as_secs_f64());
    assert_eq!(first, run(1, LENGTH));
}

#[test]
fn another_seed_is_another_run() {
    let length = LENGTH / 4;
    assert_ne!(run(1, length), run(2, length));
}
