//! What holds for every cluster and request.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use seawall_model::InstanceId;
use seawall_proto::{
    internal::v1::{InstanceStatus, TaskSize},
    v1::PlacementStrategy,
};
use seawall_scheduler::{Fleet, Overlay, PlaceRequest, Plan, Strategy as Placement, explain, place};
use support::{World, request, size, with_port};

#[derive(Clone, Debug)]
struct Machine {
    zone: u8,
    cpu: u32,
    memory: u32,
    status: u8,
    tasks: Vec<(u32, u32, bool)>,
}

fn machine() -> impl Strategy<Value = Machine> {
    let tasks = prop::collection::vec((0u32..300, 0u32..300, any::<bool>()), 0..4);
    (0u8..4, 0u32..2000, 0u32..2000, 0u8..8, tasks).prop_map(|(zone, cpu, memory, status, tasks)| Machine {
        zone,
        cpu,
        memory,
        status,
        tasks,
    })
}

fn world(machines: &[Machine]) -> World {
    let mut world = World::default();
    for machine in machines {
        let id = world.instance(&format!("zone-{}", machine.zone), machine.cpu, machine.memory);
        match machine.status {
            0 => world.instance_mut(id).set_status(InstanceStatus::Draining),
            1 => world.instance_mut(id).connected = false,
            _ => {}
        }
        for (cpu, memory, same_group) in &machine.tasks {
            let group = if *same_group { "family:web" } else { "family:other" };
            world.task(id, group, &size(*cpu, *memory));
        }
    }
    world
}

fn plan(world: &World, size: &TaskSize, count: u32) -> Plan {
    place(&world.state(), &Overlay::default(), &request(size.clone(), count))
}

/// The world after the plan.
fn after(world: &World, plan: &Plan, size: &TaskSize) -> World {
    let mut world = world.clone();
    for placement in &plan.placements {
        world.task(placement.instance, "family:web", size);
    }
    world
}

fn fits(world: &World, instance: InstanceId, size: &TaskSize) -> bool {
    let explanation = explain(&world.state(), &Overlay::default(), &request(size.clone(), 1));
    explanation.instances.iter().any(|i| i.instance == instance && i.left_out.is_none())
}

fn zone_counts(world: &World) -> BTreeMap<String, i64> {
    let mut zones: BTreeMap<String, i64> = world.instances.values().map(|i| (i.zone.clone(), 0)).collect();
    for task in world.tasks.values().filter(|t| t.group == "family:web") {
        *zones.entry(world.instances[&task.instance_id].zone.clone()).or_default() += 1;
    }
    zones
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_over_capacity(machines in prop::collection::vec(machine(), 0..12), cpu in 0u32..700, memory in 0u32..700,
                           port in prop::option::of(1u32..100), count in 0u32..40) {
        let size = port.map_or(size(cpu, memory), |port| with_port(size(cpu, memory), port));
        let world = world(&machines);
        let plan = plan(&world, &size, count);
        prop_assert!(plan.placements.len() <= count as usize);
        let after = after(&world, &plan, &size);
        let mut on: BTreeMap<u64, usize> = BTreeMap::new();
        for placement in &plan.placements {
            *on.entry(placement.instance.0).or_default() += 1;
        }
        for (id, placed) in on {
            let row = &after.instances[&id];
            let registered = row.registered.as_ref().unwrap();
            let tasks: Vec<_> = after.tasks.values().filter(|t| t.instance_id == id).collect();
            prop_assert!(tasks.iter().map(|t| t.cpu).sum::<u32>() <= registered.cpu);
            prop_assert!(tasks.iter().map(|t| t.memory).sum::<u32>() <= registered.memory);
            prop_assert!(row.connected && row.status() == InstanceStatus::Active);
            prop_assert!(port.is_none() || (placed == 1 && port != Some(22)));
        }
    }

    #[test]
    fn placed_if_a_fit_exists(machines in prop::collection::vec(machine(), 0..12), cpu in 0u32..700, memory in 0u32..700,
                              count in 1u32..40) {
        let size = size(cpu, memory);
        let world = world(&machines);
        let plan = plan(&world, &size, count);
        if plan.placements.len() < count as usize {
            let after = after(&world, &plan, &size);
            for id in world.instances.keys() {
                prop_assert!(!fits(&after, InstanceId(*id), &size), "{id} still fits");
            }
            prop_assert_eq!(plan.failures.len(), world.instances.len());
            prop_assert!(plan.closest.is_some());
        } else {
            prop_assert!(plan.failures.is_empty() && plan.closest.is_none());
        }
    }

    #[test]
    fn zones_never_differ_by_more_than_one_where_capacity_allows(
        zones in prop::collection::vec(1usize..4, 1..5), count in 0u32..60,
    ) {
        let mut world = World::default();
        for (zone, machines) in zones.iter().enumerate() {
            for _ in 0..*machines {
                world.instance(&format!("zone-{zone}"), 100_000, 100_000);
            }
        }
        let size = size(1, 1);
        let after = after(&world, &plan(&world, &size, count), &size);
        let counts = zone_counts(&after);
        prop_assert_eq!(counts.values().sum::<i64>(), i64::from(count));
        prop_assert!(counts.values().max().unwrap() - counts.values().min().unwrap() <= 1, "{:?}", counts);
    }

    /// Where zones may not get ahead, none that has an instance of use does, and what waits is told so.
    #[test]
    fn no_zone_gets_further_ahead_than_it_may(
        machines in prop::collection::vec(machine(), 1..10), cpu in 1u32..500, count in 1u32..30, max in 1u32..4,
        chain in 0usize..STRATEGIES.len(),
    ) {
        let size = size(cpu, cpu);
        let world = world(&machines);
        let strategy = Placement::parse(&STRATEGIES[chain].iter().map(step).collect::<Vec<_>>(), 3).unwrap();
        let mut request = PlaceRequest { strategy, ..request(size.clone(), count) };
        request.requirement.constraints.max_zone_skew = Some(max);
        let plan = place(&world.state(), &Overlay::default(), &request);
        let (before, after) = (zone_counts(&world), zone_counts(&after(&world, &plan, &size)));
        let of_use = |zone: &String| {
            world.instances.values().any(|i| i.zone == *zone && i.connected && i.status() == InstanceStatus::Active)
        };
        let fewest = after.iter().filter(|(zone, _)| of_use(zone)).map(|(_, tasks)| *tasks).min().unwrap_or(0);
        for (zone, tasks) in &after {
            prop_assert!(*tasks == before[zone] || tasks - fewest <= i64::from(max), "{after:?}");
        }
        prop_assert_eq!(plan.placements.len() < count as usize, plan.closest.is_some());
    }

    /// A task goes to a fuller zone only if no emptier one has room.
    #[test]
    fn every_task_goes_to_the_zone_with_the_fewest_that_fits(
        machines in prop::collection::vec(machine(), 1..10), cpu in 1u32..500,
    ) {
        let size = size(cpu, cpu);
        let world = world(&machines);
        let plan = plan(&world, &size, 1);
        let Some(placement) = plan.placements.first() else { return Ok(()) };
        let counts = zone_counts(&world);
        let chosen = counts[&world.instances[&placement.instance.0].zone];
        for (id, row) in &world.instances {
            if counts[&row.zone] < chosen {
                prop_assert!(!fits(&world, InstanceId(*id), &size), "{} was emptier", row.zone);
            }
        }
    }

    #[test]
    fn many_at_once_are_placed_as_one_by_one(
        machines in prop::collection::vec(machine(), 0..8), cpu in 1u32..500, count in 0u32..12,
    ) {
        let size = size(cpu, cpu);
        let world = world(&machines);
        let at_once = plan(&world, &size, count);
        let mut step = world.clone();
        let mut one_by_one = Vec::new();
        for _ in 0..count {
            let next = plan(&step, &size, 1);
            one_by_one.extend(next.placements.iter().map(|p| p.instance));
            step = after(&step, &next, &size);
        }
        prop_assert_eq!(at_once.placements.iter().map(|p| p.instance).collect::<Vec<_>>(), one_by_one);
        prop_assert_eq!(plan(&world, &size, count), at_once, "deterministic");
    }

    /// The orders that are kept up lead to the same instances as a look at every one, after any change.
    #[test]
    fn a_fleet_decides_as_a_look_at_every_instance(
        machines in prop::collection::vec(machine(), 1..12), cpu in 1u32..500, memory in 1u32..500, count in 1u32..12,
        chain in 0usize..STRATEGIES.len(), distinct in any::<bool>(), max_zone_skew in prop::option::of(1u32..4),
        steps in prop::collection::vec((0usize..12, 0u8..6, 1u32..300), 0..6),
    ) {
        let strategy = Placement::parse(&STRATEGIES[chain].iter().map(step).collect::<Vec<_>>(), 3).unwrap();
        let needs = size(cpu, memory);
        let mut request = PlaceRequest { strategy, ..request(needs, count) };
        request.requirement.constraints.distinct_instance = distinct;
        request.requirement.constraints.max_zone_skew = max_zone_skew;
        let mut world = world(&machines);
        let mut fleet = Fleet::new(&world.state(), &Overlay::default());
        for (which, change, amount) in steps {
            let id = InstanceId(1 + (which % machines.len()) as u64);
            match change {
                0 => world.instance_mut(id).set_status(InstanceStatus::Draining),
                1 => world.instance_mut(id).set_status(InstanceStatus::Active),
                2 => world.instance_mut(id).connected ^= true,
                3 => world.instance_mut(id).zone = format!("zone-{}", amount % 5),
                4 => drop(world.task(id, "family:web", &size(amount, amount))),
                _ => drop(world.task(id, "family:other", &size(amount, amount))),
            }
            let (state, none) = (world.state(), Overlay::default());
            fleet.sync(&state, &none);
            let (kept, looked) = (fleet.place(&request), place(&state, &none, &request));
            let instances = |plan: &Plan| plan.placements.iter().map(|p| p.instance).collect::<Vec<_>>();
            prop_assert_eq!(instances(&kept), instances(&looked));
            prop_assert_eq!(kept.failures, looked.failures);
            prop_assert_eq!(kept.seen.best, looked.seen.best);
        }
    }
}

/// Chains that are found in order, and some that are not.
const STRATEGIES: [&[(&str, &str)]; 6] = [
    &[],
    &[("spread", "attribute:ecs.availability-zone"), ("binpack", "memory")],
    &[("binpack", "cpu")],
    &[("spread", "instanceId"), ("spread", "attribute:ecs.availability-zone")],
    &[("spread", "instanceId")],
    &[("random", "")],
];

fn step((kind, field): &(&str, &str)) -> PlacementStrategy {
    PlacementStrategy { r#type: Some((*kind).into()), field: (!field.is_empty()).then(|| (*field).into()) }
}
