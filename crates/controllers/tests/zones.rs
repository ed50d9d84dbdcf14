//! Zones that are fenced, evacuated and opened again.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_proto::internal::v1::ZoneState;
use support::{Behaviour, Sim};

/// A service of six tasks, at rest.
fn ready(minimum: u32, maximum: u32) -> Sim {
    let mut sim = Sim::three_zones(2, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create(definition, 6, minimum, maximum);
    sim.settle(60_000, &mut |_| {});
    sim
}

#[test]
fn a_fenced_zone_keeps_what_runs_and_takes_nothing_new() {
    let mut sim = ready(100, 200);
    sim.set_zone("a", ZoneState::Fenced);
    sim.settle(60_000, &mut |_| {});
    assert_eq!(sim.in_zone("a"), 2, "what runs stays");
    sim.scale(9);
    sim.settle(60_000, &mut |_| {});
    assert_eq!((sim.in_zone("a"), sim.running()), (2, 9));
}

#[test]
fn an_evacuated_zone_is_left_with_replacements_first_and_filled_again() {
    let mut sim = ready(100, 200);
    sim.set_zone("b", ZoneState::Evacuating);
    sim.settle(60_000, &mut |sim| assert!(sim.running() >= 6, "a task went before its replacement ran"));
    assert_eq!((sim.in_zone("b"), sim.running()), (0, 6));
    sim.set_zone("b", ZoneState::Open);
    sim.scale(9);
    sim.settle(60_000, &mut |_| {});
    assert_eq!(sim.in_zone("b"), 3, "the zone with the fewest takes the new ones");
}

#[test]
fn an_evacuation_keeps_to_the_percentages_where_nothing_can_start_before() {
    let mut sim = ready(50, 100);
    sim.set_zone("c", ZoneState::Evacuating);
    sim.settle(60_000, &mut |sim| assert!(sim.running() >= 3 && sim.wanted().len() <= 6));
    assert_eq!((sim.in_zone("c"), sim.running()), (0, 6));
}

#[test]
fn what_fits_nowhere_else_stays_until_it_does() {
    let mut sim = ready(100, 200);
    for zone in ["a", "b"] {
        sim.set_zone(zone, ZoneState::Fenced);
    }
    sim.set_zone("c", ZoneState::Evacuating);
    for _ in 0..5 {
        sim.reconcile(&mut |sim| assert_eq!(sim.running(), 6));
        sim.agents();
    }
    assert_eq!(sim.in_zone("c"), 2);
    sim.set_zone("a", ZoneState::Open);
    sim.settle(60_000, &mut |sim| assert!(sim.running() >= 6));
    assert_eq!(sim.in_zone("c"), 0);
}
