//! Golden plans of placement strategies, constraints and capacity providers.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_model::InstanceId;
use seawall_proto::{
    internal::v1::InstanceAttribute,
    v1::{PlacementConstraint, PlacementStrategy, TaskDefinitionPlacementConstraint},
};
use seawall_scheduler::{
    Constraints, Mirror, Overlay, PlaceRequest, Pool, Requirement, Share, Strategy, explain, place,
};
use support::{World, request, size};

const ZONE: (&str, &str) = ("spread", "attribute:ecs.availability-zone");

fn strategy(steps: &[(&str, &str)]) -> Strategy {
    let step = |(kind, field): &(&str, &str)| PlacementStrategy {
        r#type: Some((*kind).into()),
        field: (!field.is_empty()).then(|| (*field).into()),
    };
    Strategy::parse(&steps.iter().map(step).collect::<Vec<_>>(), 7).unwrap()
}

fn constraints(request: &[(&str, &str)]) -> Constraints {
    let constraint = |(kind, expression): &(&str, &str)| PlacementConstraint {
        r#type: Some((*kind).into()),
        expression: (!expression.is_empty()).then(|| (*expression).into()),
    };
    Constraints::parse(&[], &request.iter().map(constraint).collect::<Vec<_>>()).unwrap()
}

fn plan(world: &World, request: &PlaceRequest) -> String {
    place(&world.state(), &Overlay::default(), request).to_string()
}

fn by(steps: &[(&str, &str)], count: u32) -> PlaceRequest {
    PlaceRequest { strategy: strategy(steps), ..request(size(256, 512), count) }
}

fn only_where(list: &[(&str, &str)], count: u32) -> PlaceRequest {
    let asked = request(size(256, 512), count);
    PlaceRequest { requirement: Requirement { constraints: constraints(list), ..asked.requirement.clone() }, ..asked }
}

/// Two zones with two racks each, of machines that are more and more full.
fn racks() -> World {
    let mut world = World::default();
    for (zone, rack, taken) in [("a", "r1", 0), ("a", "r2", 500), ("b", "r1", 1000), ("b", "r2", 1500)] {
        let id = world.instance(zone, 2048, 4096);
        let rack = InstanceAttribute { name: "rack".into(), value: rack.into(), ..Default::default() };
        world.instance_mut(id).attributes.push(rack);
        if taken > 0 {
            world.task(id, "family:other", &size(taken, taken));
        }
    }
    world
}

#[test]
fn binpack_fills_the_fullest_that_fits() {
    insta::assert_snapshot!(plan(&racks(), &by(&[("binpack", "cpu")], 5)));
    insta::assert_snapshot!("by_memory", plan(&racks(), &by(&[("binpack", "memory")], 3)));
}

#[test]
fn a_chain_decides_step_by_step() {
    insta::assert_snapshot!("zone_then_binpack", plan(&racks(), &by(&[ZONE, ("binpack", "memory")], 4)));
    insta::assert_snapshot!("zone_then_rack", plan(&racks(), &by(&[ZONE, ("spread", "attribute:rack")], 5)));
    insta::assert_snapshot!("rack", plan(&racks(), &by(&[("spread", "attribute:rack")], 4)));
    insta::assert_snapshot!("instance", plan(&racks(), &by(&[("spread", "instanceId")], 5)));
}

/// Equal machines: what binpack leaves open is decided by the zone.
#[test]
fn a_spread_after_a_binpack_decides_between_equals() {
    let mut world = World::default();
    for zone in ["a", "a", "b"] {
        world.instance(zone, 512, 512);
    }
    insta::assert_snapshot!(plan(&world, &by(&[("binpack", "cpu"), ZONE], 3)));
}

#[test]
fn random_is_the_same_for_a_seed_and_uses_every_instance() {
    let request = by(&[("random", "")], 16);
    let first = place(&racks().state(), &Overlay::default(), &request);
    assert_eq!(first, place(&racks().state(), &Overlay::default(), &request));
    let mut used: Vec<InstanceId> = first.placements.iter().map(|p| p.instance).collect();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used.len(), 4);
    let strategy = Strategy { seed: 8, ..request.strategy.clone() };
    assert_ne!(first, place(&racks().state(), &Overlay::default(), &PlaceRequest { strategy, ..request }));
}

#[test]
fn distinct_instances_take_one_each() {
    let mut world = racks();
    world.task(InstanceId(2), "family:web", &size(1, 1));
    insta::assert_snapshot!(plan(&world, &only_where(&[("distinctInstance", "")], 4)));
}

#[test]
fn members_alone_are_placed_on() {
    let request =
        only_where(&[("memberOf", "attribute:rack == r1"), ("memberOf", "attribute:ecs.availability-zone in [b]")], 2);
    insta::assert_snapshot!(plan(&racks(), &request));
    let none = only_where(&[("memberOf", "attribute:gpu exists")], 1);
    insta::assert_snapshot!("nobody", explain(&racks().state(), &Overlay::default(), &none));
}

#[test]
fn groups_attract_and_repel() {
    let mut world = racks();
    world.task(InstanceId(3), "family:cache", &size(1, 1));
    insta::assert_snapshot!("near", plan(&world, &only_where(&[("memberOf", "task:group == family:cache")], 1)));
    insta::assert_snapshot!("apart", plan(&world, &only_where(&[("memberOf", "not(task:group == family:cache)")], 1)));
    // What this plan places counts at once.
    insta::assert_snapshot!("alone", plan(&racks(), &only_where(&[("memberOf", "not(task:group == family:web)")], 5)));
}

#[test]
fn the_definition_s_constraints_hold_as_well_and_ten_are_the_limit() {
    let of_definition = TaskDefinitionPlacementConstraint {
        r#type: Some("memberOf".into()),
        expression: Some("attribute:rack == r2".into()),
    };
    let of_request = PlacementConstraint { r#type: Some("distinctInstance".into()), expression: None };
    let both = Constraints::parse(std::slice::from_ref(&of_definition), std::slice::from_ref(&of_request)).unwrap();
    assert!(both.distinct_instance && both.member_of.len() == 1);
    let many = Constraints::parse(&vec![of_definition; 6], &vec![of_request; 5]).unwrap_err();
    assert!(many.contains("11 are given") && many.contains("at most 10"), "{many}");
}

#[test]
fn what_is_wrong_with_a_constraint_is_named() {
    let parse = |kind: &str, expression: &str| {
        let constraint = PlacementConstraint { r#type: Some(kind.into()), expression: Some(expression.into()) };
        Constraints::parse(&[], &[constraint]).unwrap_err()
    };
    assert!(parse("memberOf", "attribute:rack ==").starts_with("placementConstraints[0].expression: "));
    assert!(parse("distinctInstance", "x").contains("takes none"));
    assert!(parse("near", "x").contains("it is distinctInstance or memberOf"));
}

#[test]
fn pools_keep_to_themselves() {
    let mut world = racks();
    for (id, provider) in [(1, "FARGATE"), (2, "gpu")] {
        world.instance_mut(InstanceId(id)).capacity_provider = provider.into();
    }
    let open = request(size(256, 512), 3);
    insta::assert_snapshot!("open", plan(&world, &open));
    let of = |name: &str| {
        let requirement = Requirement { pool: Pool::Provider(name.into()), ..open.requirement.clone() };
        PlaceRequest { requirement, ..open.clone() }
    };
    insta::assert_snapshot!("fargate", plan(&world, &PlaceRequest { count: 1, ..of("FARGATE") }));
    insta::assert_snapshot!("nobody_s", plan(&world, &PlaceRequest { count: 1, ..of("fast") }));
}

#[test]
fn tasks_are_shared_out_among_providers() {
    let mut world = racks();
    world.instance_mut(InstanceId(1)).capacity_provider = "base".into();
    world.instance_mut(InstanceId(3)).capacity_provider = "spot".into();
    let share = |provider: &str, base, weight| Share {
        provider: provider.into(),
        pool: Pool::Provider(provider.into()),
        base,
        weight,
        tasks: 0,
        waits: false,
    };
    let shares = vec![share("base", 1, 1), share("spot", 0, 2)];
    insta::assert_snapshot!(plan(&world, &PlaceRequest { shares, ..request(size(256, 512), 4) }));
}

/// Placing and scaling in undo each other: the last placed by a strategy is among the first to go.
#[test]
fn scaling_in_mirrors_placing() {
    let mut world = racks();
    for id in [1, 1, 2, 3] {
        world.task(InstanceId(id), "family:web", &size(100, 100));
    }
    let state = world.state();
    let none = Overlay::default();
    let first = |steps: &[(&str, &str)]| {
        let strategy = strategy(steps);
        let mirror = Mirror::new(&strategy, &state, &none, [1, 1, 2, 3].map(InstanceId).into_iter());
        [1, 2, 3].map(InstanceId).into_iter().max_by_key(|id| mirror.rank(*id)).unwrap()
    };
    assert_eq!(first(&[]), InstanceId(1), "zone a has most, in it the instance with two");
    assert_eq!(first(&[("binpack", "cpu")]), InstanceId(1), "it has the most left");
    assert_eq!(first(&[("spread", "attribute:rack")]), InstanceId(1), "rack r1 has three");
    let strategy = strategy(&[]);
    let mut mirror = Mirror::new(&strategy, &state, &none, [1, 1, 2, 3].map(InstanceId).into_iter());
    mirror.remove(InstanceId(1), 100, 100);
    assert!(mirror.rank(InstanceId(2)) > mirror.rank(InstanceId(3)), "zone a still has two");
}

#[test]
fn a_zone_that_may_not_get_ahead_waits_for_the_others() {
    let mut world = World::default();
    for (zone, memory) in [("a", 8192), ("b", 8192), ("c", 512)] {
        world.instance(zone, 4096, memory);
    }
    let mut request = by(&[("binpack", "memory")], 9);
    request.requirement.constraints.max_zone_skew = Some(2);
    let plan = place(&world.state(), &Overlay::default(), &request);
    let on = |id: u64| plan.placements.iter().filter(|p| p.instance.0 == id).count();
    assert_eq!((on(1), on(2), on(3)), (3, 3, 1), "zone c has room for one");
    let closest = plan.closest.expect("two wait");
    assert!(closest.contains("seawall:max-zone-skew"), "{closest}");
    assert!(explain(&world.state(), &Overlay::default(), &request).closest.is_none(), "the first ones fit");
    // A zone without an instance of use holds up nobody.
    world.instance_mut(InstanceId(3)).connected = false;
    assert_eq!(place(&world.state(), &Overlay::default(), &request).placements.len(), 9);
}
