//! A member whose state is not what the log makes.

use std::time::Duration;

use seawall_model::ErrorCode;
use seawall_proto::v1::{DescribeClustersRequest, DescribeClustersResponse};
use seawall_server::simulated::Options;

use crate::{World, world::Setup};

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// A few relays, and the reload.
const HEALED_WITHIN: Duration = Duration::from_secs(15);

fn hurt(seed: u64, victim: fn(&World) -> String) {
    let world = World::formed(&Setup::three_zones(seed));
    world.register("web", &[]);
    world.create_service("web", "web", 6);
    for _ in 0..2 {
        let victim = victim(&world);
        let running: Vec<_> = world.agents().values().map(|agent| agent.host.running_tasks()).collect();
        world.break_state(&victim);
        let hash = |world: &World, name: &str| {
            let member = world.member(name).member().expect("it serves");
            let now = member.consensus().state();
            (now.index, now.state.hash())
        };
        let other = world.members().keys().find(|name| **name != victim).expect("another").clone();
        assert_ne!(hash(&world, &victim), hash(&world, &other));
        world.wait("it to have the others' state", HEALED_WITHIN, |w| hash(w, &victim) == hash(w, &other));
        world.run_for(SECOND * 3);
        world.trust(&victim);
        let now: Vec<_> = world.agents().values().map(|agent| agent.host.running_tasks()).collect();
        assert_eq!(now, running, "no task is touched");
        let read = DescribeClustersRequest::default();
        let stale = Options { stale: true, ..Options::default() };
        let answer = world.call_with::<DescribeClustersResponse>(&victim, "DescribeClusters", &read, stale);
        assert!(answer.is_ok(), "it serves again: {:?}", answer.map_err(|e| e.code() == Some(ErrorCode::Server)));
    }
    let workload = world.start_workload();
    world.run_for(SECOND * 3);
    workload.stop_writing();
    world.settle(SETTLE);
}

pub(super) fn a_followers_state_differs(seed: u64) {
    hurt(seed, |world| world.followers()[0].clone());
}

pub(super) fn the_leaders_state_differs(seed: u64) {
    hurt(seed, World::leading);
}
