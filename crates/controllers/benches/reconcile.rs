//! One pass of the service controller in a large cluster: `cargo bench -p seawall-controllers`. Prints one JSON object.
//!
//! 5,000 services of one task each on 1,000 instances, at rest. The task of one of them dies: the pass takes over what changed
//! and plans the one service.

#![allow(clippy::disallowed_methods, reason = "it measures the time that passes")]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "each user takes its part")]
mod support;

use std::time::Instant;

use seawall_controllers::{ControllerPlan, Now, service};
use seawall_model::ServiceId;
use seawall_proto::v1::CreateServiceRequest;
use seawall_scheduler::Fleet;
use support::{Behaviour, Sim};

const INSTANCES_A_ZONE: usize = 333;
/// As many as a cluster has.
const SERVICES: usize = 5_000;
/// Of which the median is printed.
const PASSES: usize = 101;

fn main() {
    let mut sim = Sim::three_zones(INSTANCES_A_ZONE, 65_536);
    let definition = sim.definition(64, Behaviour::Run);
    let spec = CreateServiceRequest { desired_count: Some(1), ..Default::default() };
    let create = |nth: usize| sim.create_as(&format!("s-{nth}"), definition, (100, 200), spec.clone());
    let services: Vec<ServiceId> = (0..SERVICES).map(create).collect();
    let mut fleet = Fleet::default();
    come_to_rest(&mut sim, &mut fleet, &services);
    let mut passes: Vec<f64> = services.iter().take(PASSES).map(|id| one_pass(&mut sim, &mut fleet, *id)).collect();
    passes.sort_by(f64::total_cmp);
    println!(
        "{{\"services\":{SERVICES},\"instances\":{},\"pass_ms\":{:.3},\"slowest_pass_ms\":{:.3}}}",
        3 * INSTANCES_A_ZONE,
        passes[PASSES / 2],
        passes[PASSES - 1]
    );
}

/// Milliseconds to learn that a task of the service died, and to plan another.
fn one_pass(sim: &mut Sim, fleet: &mut Fleet, id: ServiceId) -> f64 {
    let task = sim.look_at(id).newest();
    sim.kill(&task);
    let began = Instant::now();
    let plan = plan(sim, fleet, id);
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    assert!(!plan.commands.is_empty(), "it has something to do");
    ms
}

fn come_to_rest(sim: &mut Sim, fleet: &mut Fleet, services: &[ServiceId]) {
    for _ in 0..2 {
        for id in services {
            let mut next = plan(sim, fleet, *id);
            while !next.commands.is_empty() {
                sim.execute(next);
                next = plan(sim, fleet, *id);
            }
        }
        sim.agents();
    }
}

fn plan(sim: &Sim, fleet: &mut Fleet, id: ServiceId) -> ControllerPlan {
    fleet.sync(&sim.state, &sim.overlay);
    service::plan(fleet, id, Now { cluster_time_ms: sim.now_ms, ..Now::default() })
}
