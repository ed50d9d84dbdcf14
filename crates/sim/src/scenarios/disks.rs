//! Disks that are full or fail.

use std::time::Duration;

use seawall_model::ErrorCode;
use seawall_proto::v1::{CreateClusterRequest, CreateClusterResponse, UpdateServiceRequest};

use super::six_tasks;
use crate::World;

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

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

/// Too little for anything new, enough for what runs.
const NEARLY_FULL_BYTES: u64 = 40 << 20;

/// The leader makes way. Where nobody has room, what is new is refused with a clear error, and all else goes on.
pub(super) fn disks_that_are_nearly_full(seed: u64) {
    let mut world = six_tasks(seed);
    let leader = world.leading();
    world.sim.set_disk_bytes(&leader, NEARLY_FULL_BYTES);
    world.wait_other_leader(&leader);
    world.run_for(SECOND * 3);
    assert!(world.status().warnings.iter().any(|text| text.contains(&leader)), "{:?}", world.status().warnings);
    world.register("web", &[("VERSION", "2")]);
    for name in ["s1", "s2", "s3"] {
        world.sim.set_disk_bytes(name, NEARLY_FULL_BYTES);
    }
    world.run_for(SECOND * 8);
    let create = CreateClusterRequest { cluster_name: Some("new".into()), ..Default::default() };
    let refused = world.call::<CreateClusterResponse>(&leader, "CreateCluster", &create).expect_err("no room");
    assert_eq!(refused.code(), Some(ErrorCode::DiskFull), "{refused}");
    let before = term(&world);
    world.run_for(SECOND * 10);
    assert_eq!(term(&world), before, "members without room do not pass the lead around");
    let fewer = UpdateServiceRequest { desired_count: Some(3), ..Default::default() };
    world.update_service("web", fewer);
    world.wait_running("web", 3);
    world.power_off_agent("a1");
    world.run_for(SECOND);
    world.restart_agent("a1");
    world.settle(SETTLE);
    world.heal();
    world.run_for(SECOND * 3);
    let _: CreateClusterResponse = world.must("CreateCluster", &create);
    world.settle(SETTLE);
}

fn term(world: &World) -> u64 {
    world.leader().map_or(0, |name| world.member(&name).leadership().term)
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
