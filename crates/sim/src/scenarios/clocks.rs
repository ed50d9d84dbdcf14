//! Wall clocks that are wrong, and clocks that run at their own rate.

use std::time::Duration;

use seawall_proto::internal::v1::ServiceEventCode;

use crate::{World, world::Setup};

const HOUR_MS: i64 = 3_600_000;
const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// Cluster time is a median of what was heard within the last second.
const NEAR_MS: i64 = 2_000;

fn three_agents_stay(world: &World, length: Duration) {
    for _ in 0..length.as_secs() {
        world.run_for(SECOND);
        assert_eq!(world.connected().len(), 3, "an instance was lost for a clock");
    }
}

fn near_the_median(world: &World) {
    // Some entry stamps the time.
    world.register("clock", &[]);
    let off = world.state().meta.cluster_time_ms - world.client().wall_ms();
    assert!(off.abs() < NEAR_MS, "cluster time is {off} ms off the median");
}

/// Tasks that do not start are tried again with growing delays, whatever the leader's own clock says.
fn timers_work(world: &World, service: &str) {
    world.register(service, &[("FAKE_START_ERROR", "no")]);
    let _: seawall_proto::v1::CreateServiceResponse =
        world.must("CreateService", &crate::world::service(service, service, 1));
    world.run_for(SECOND * 40);
    let row = world.service_row(service).unwrap_or_default();
    let failures = row.backoff.as_ref().map_or(0, |b| b.failures);
    assert!((3..=8).contains(&failures), "{failures} failures in 40 s: the delays do not grow, or never end");
    assert!(row.events.iter().any(|event| event.code() == ServiceEventCode::UnableToStart));
    world.update_service(
        service,
        seawall_proto::v1::UpdateServiceRequest { desired_count: Some(0), ..Default::default() },
    );
}

pub(super) fn clocks_an_hour_apart(seed: u64) {
    let mut world = World::formed(&Setup::three_zones(seed));
    world.register("web", &[]);
    world.create_service("web", "web", 3);
    // Writes that meet a new leader in its first moment.
    let workload = world.start_workload();
    for (name, offset_ms) in [("s1", HOUR_MS), ("s3", -HOUR_MS), ("a1", -HOUR_MS), ("a2", HOUR_MS)] {
        world.sim.set_wall_offset_ms(name, offset_ms);
    }
    for round in 0..3 {
        three_agents_stay(&world, SECOND * 8);
        near_the_median(&world);
        timers_work(&world, &format!("fails-{round}"));
        let warnings = world.status().warnings;
        assert!(warnings.iter().any(|text| text.contains("clock")), "{warnings:?}");
        let leader = world.leading();
        world.sim.pause(&leader);
        world.wait_other_leader(&leader);
        world.sim.resume(&leader);
    }
    // Nobody is left who was told the time.
    for name in ["s1", "s2", "s3"] {
        world.kill_member(name);
    }
    for name in ["s1", "s2", "s3"] {
        world.restart_member(name);
    }
    world.wait_leader();
    near_the_median(&world);
    workload.stop_writing();
    world.settle(SETTLE);
}

/// Clocks within 10 % of each other cost nobody his lease.
pub(super) fn clocks_that_drift(seed: u64) {
    let world = World::formed(&Setup::three_zones(seed));
    world.register("web", &[]);
    world.create_service("web", "web", 3);
    for (name, rate) in [("s1", 1.05), ("s2", 0.95), ("a1", 0.95), ("a2", 1.05), ("a3", 1.0)] {
        world.sim.set_clock_rate(name, rate);
    }
    three_agents_stay(&world, SECOND * 60);
    world.settle(SETTLE);
}
