//! What the operator says of zones.

use seawall_proto::internal::v1::{SetZone, ZoneState};

use crate::{fixture::*, snapshot::restored};

fn set(zone: &str, state: ZoneState) -> Kind {
    Kind::SetZone(SetZone { zone: zone.into(), state: state.into(), reason: "power works".into() })
}

#[test]
fn a_zone_is_fenced_evacuated_and_opened_again() {
    let mut world = World::new();
    world.instance("i-1", "a");
    let before = world.state.hash();
    world.done(set("a", ZoneState::Fenced));
    assert_eq!(world.state.zone_state("a"), ZoneState::Fenced);
    assert_eq!(world.state.zone_state("b"), ZoneState::Open);
    let row = world.state.zones.get("a").unwrap().clone();
    assert_eq!((row.reason.as_str(), row.since_ms, row.changed), ("power works", world.now_ms, world.index));
    assert_eq!(restored(&world.state).hash(), world.state.hash());
    world.done(set("a", ZoneState::Evacuating));
    assert_eq!(world.state.zone_state("a"), ZoneState::Evacuating);
    world.done(set("a", ZoneState::Open));
    assert!(world.state.zones.is_empty());
    assert_eq!(world.state.hash(), before, "an open zone leaves nothing behind");
}

#[test]
fn a_zone_that_nobody_is_in_is_refused_by_name() {
    let mut world = World::new();
    world.instance("i-1", "a");
    for zone in ["b", "", "A zone"] {
        let error = world.refused(set(zone, ZoneState::Fenced));
        assert!(error.message.contains("zone"), "{zone:?}: {}", error.message);
    }
    assert!(world.refused(set("b", ZoneState::Fenced)).message.contains("there are a"));
}
