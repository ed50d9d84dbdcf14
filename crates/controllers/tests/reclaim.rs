//! Spot capacity that goes.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_controllers::{Now, reclaim};
use seawall_model::InstanceId;
use seawall_proto::{
    internal::v1::{InstanceStatus, ReclaimInstance, StopCode, TaskStatus, command::Kind},
    v1::{CapacityProviderStrategyItem, CreateServiceRequest},
};
use seawall_state::FARGATE_SPOT;
use support::{Behaviour, Sim};

const NOTICE_MS: u64 = 120_000;

/// Three zones of two instances, all of FARGATE_SPOT, and a service of three tasks.
fn sim() -> Sim {
    let mut sim = Sim::new();
    sim.provider = FARGATE_SPOT.into();
    for zone in ["a", "b", "c", "a", "b", "c"] {
        sim.instance(zone, 1000);
    }
    let definition = sim.definition(100, Behaviour::Run);
    let item = CapacityProviderStrategyItem {
        capacity_provider: Some(FARGATE_SPOT.into()),
        weight: Some(1),
        ..CapacityProviderStrategyItem::default()
    };
    let spec = CreateServiceRequest {
        desired_count: Some(3),
        capacity_provider_strategy: vec![item],
        ..CreateServiceRequest::default()
    };
    sim.put_providers(&[FARGATE_SPOT]);
    sim.create_as("web", definition, (100, 200), spec);
    sim
}

fn announce(sim: &mut Sim, instance: u64) {
    let reclaim = ReclaimInstance { instance_id: instance, notice_ms: NOTICE_MS };
    sim.apply(Kind::ReclaimInstance(reclaim));
}

fn plan(sim: &Sim) -> Vec<Kind> {
    reclaim::plan(&sim.state, Now { cluster_time_ms: sim.now_ms, ..Now::default() }).commands
}

#[test]
fn services_move_off_start_first_and_the_rest_is_interrupted_after_the_notice() {
    let mut sim = sim();
    sim.settled();
    let going = sim.places()[0];
    let alone = sim.standalone(going);
    announce(&mut sim, going);
    assert_eq!(sim.state.instances.get(&InstanceId(going)).unwrap().status(), InstanceStatus::Draining);
    let told_ms = sim.state.tasks.get(&alone).unwrap().reclaim_at_ms;
    assert_eq!(told_ms, sim.now_ms + NOTICE_MS as i64);
    sim.settle(120_000, &mut |sim| assert!(sim.wanted().len() >= 3, "a replacement starts before its task stops"));
    assert!(!sim.places().contains(&going));
    assert_eq!(plan(&sim), []);
    assert!(sim.state.tasks.get(&alone).unwrap().desired_running);

    sim.now_ms = told_ms;
    for kind in plan(&sim) {
        sim.apply(kind);
    }
    let row = sim.state.tasks.get(&alone).unwrap();
    assert_eq!((row.stop_code(), row.stopped_reason.as_str()), (StopCode::SpotInterruption, reclaim::REASON));
    assert!(!row.desired_running && row.last_status() != TaskStatus::Stopped, "its agent stops it");
    assert_eq!(plan(&sim), [], "while its agent answers it stays, and drains");
    sim.cut_instances(&[going]);
    for kind in plan(&sim) {
        sim.apply(kind);
    }
    assert!(sim.state.instances.get(&InstanceId(going)).is_none());
    assert_eq!(sim.state.tasks.get(&alone).unwrap().stop_code(), StopCode::SpotInterruption);
}

#[test]
fn what_stays_after_all_is_not_interrupted() {
    let mut sim = sim();
    sim.settled();
    let going = sim.places()[0];
    let alone = sim.standalone(going);
    announce(&mut sim, going);
    sim.drain(going, InstanceStatus::Active);
    assert_eq!(sim.state.tasks.get(&alone).unwrap().reclaim_at_ms, 0);
    sim.now_ms += 2 * NOTICE_MS as i64;
    assert_eq!(plan(&sim), []);
}
