//! What would not fit if a zone were lost.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use seawall_model::{InstanceId, ServiceId};
use seawall_proto::{
    internal::v1::{DeploymentRow, ServiceRow, ServiceStatusCode, TaskSize},
    v1::CreateServiceRequest,
};
use seawall_scheduler::{Fargate, ZoneLoss, ZoneProof, lose_zone};
use support::{CLUSTER, World, size};

/// A service that runs one task of this size on each of the instances.
fn service(world: &mut World, needs: &TaskSize, on: &[u64]) -> ServiceId {
    let definition = world.definition(needs.clone());
    let id = 500 + world.services.len() as u64;
    let deployment = DeploymentRow { id, task_definition_id: definition.0, primary: true, ..Default::default() };
    let row = ServiceRow {
        id,
        cluster_id: CLUSTER.0,
        name: format!("s-{id}"),
        status: ServiceStatusCode::Active.into(),
        desired_count: on.len() as u32,
        deployments: vec![deployment],
        ..Default::default()
    };
    world.services.insert(id, row);
    for instance in on {
        let task = world.task(InstanceId(*instance), &format!("service:s-{id}"), needs);
        (task.service_id, task.deployment_id, task.task_definition_id) = (id, id, definition.0);
    }
    ServiceId(id)
}

fn lose(world: &World, zone: &str) -> ZoneLoss {
    lose_zone(&world.state(), zone, Fargate::default())
}

fn three_zones() -> World {
    let mut world = World::default();
    for zone in ["a", "b", "c"] {
        world.instance(zone, 1000, 1000);
    }
    world
}

#[test]
fn what_has_room_elsewhere_is_not_short() {
    let mut world = three_zones();
    service(&mut world, &size(300, 300), &[1, 2, 3]);
    let loss = lose(&world, "a");
    assert_eq!((loss.tasks, loss.services, loss.services_short), (1, 1, 0));
    assert_eq!(lose(&world, "nowhere"), ZoneLoss::default());
}

#[test]
fn services_share_what_is_left_and_the_short_ones_are_named_with_the_reason() {
    let mut world = three_zones();
    let first = service(&mut world, &size(100, 400), &[1, 1, 2, 3]);
    let second = service(&mut world, &size(100, 500), &[2, 3]);
    let loss = lose(&world, "a");
    assert_eq!((loss.tasks, loss.services, loss.services_short), (2, 1, 1));
    let short = &loss.shortfalls[0];
    assert_eq!((short.service, short.lost, short.unplaced), (first, 2, 2));
    assert!(short.reason.contains("insufficient memory"), "{}", short.reason);
    // Without zone b one of each is lost, and only one of the two finds the last room.
    world.tasks.retain(|_, task| task.instance_id != 1);
    let loss = lose(&world, "b");
    assert_eq!((loss.tasks, loss.services_short), (2, 0), "zone a is empty: {:?}", loss.shortfalls);
    assert!(loss.shortfalls.iter().all(|short| short.service != second));
}

#[test]
fn a_daemons_task_has_no_other_place_and_takes_none_from_others() {
    let mut world = three_zones();
    let daemon = service(&mut world, &size(600, 600), &[1, 2, 3]);
    let spec = CreateServiceRequest { scheduling_strategy: Some("DAEMON".into()), ..Default::default() };
    world.services.get_mut(&daemon.0).expect("the daemon is there").spec = Some(spec);
    service(&mut world, &size(300, 300), &[1, 2]);
    let loss = lose(&world, "a");
    assert_eq!((loss.tasks, loss.services, loss.services_short), (2, 2, 0), "{:?}", loss.shortfalls);
}

#[test]
fn fenced_zones_are_no_way_out() {
    let mut world = three_zones();
    service(&mut world, &size(600, 600), &[1, 2]);
    assert_eq!(lose(&world, "a").services_short, 0);
    let mut state = world.state();
    let fenced = seawall_proto::internal::v1::ZoneRow {
        name: "c".into(),
        state: seawall_proto::internal::v1::ZoneState::Fenced.into(),
        ..Default::default()
    };
    state.zones.put("c".into(), fenced.into());
    let loss = lose_zone(&state, "a", Fargate::default());
    assert_eq!((loss.services_short, loss.shortfalls[0].unplaced), (1, 1));
}

/// Room that the lost tasks would have to share with what is there, by instance: CPU units and MiB.
fn is_over(world: &World, proof: &ZoneProof, zone: &str) -> bool {
    let mut taken: BTreeMap<u64, u32> = BTreeMap::new();
    for (service, instance) in proof.places() {
        let definition = world.services[&service.0].deployments[0].task_definition_id;
        let needs = world.definitions[&definition].size.as_ref().expect("definitions here have a size");
        *taken.entry(instance.0).or_default() += needs.memory;
    }
    for task in world.tasks.values() {
        *taken.entry(task.instance_id).or_default() += task.memory;
    }
    let of_zone = |id: &u64| world.instances[id].zone == zone;
    taken.iter().any(|(id, memory)| !of_zone(id) && *memory > world.instances[id].registered.as_ref().unwrap().memory)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// A proof that was kept up says what one that is made anew says, whatever happened in between.
    #[test]
    fn a_proof_that_is_kept_up_holds(
        services in prop::collection::vec((50u32..400, prop::collection::vec(1u64..7, 1..5)), 1..6),
        steps in prop::collection::vec((0u8..7, 1u64..7, 0usize..6, 50u32..400), 1..12),
    ) {
        let mut world = World::default();
        for at in 0..6 {
            world.instance(["a", "b", "c"][at % 3], 4000, 1000);
        }
        let services: Vec<ServiceId> =
            services.iter().map(|(memory, on)| service(&mut world, &size(10, *memory), on)).collect();
        let mut proof = ZoneProof::new("a", Fargate::default());
        for (change, instance, which, memory) in steps {
            let id = services[which % services.len()];
            match change {
                0 => world.instance_mut(InstanceId(instance)).connected ^= true,
                1 => drop(world.task(InstanceId(instance), "family:batch", &size(10, memory))),
                2 => world.tasks.retain(|_, task| task.instance_id != instance || task.service_id != id.0),
                3 => world.instance_mut(InstanceId(instance)).zone = ["a", "b", "c"][which % 3].into(),
                4 => drop(world.instance(["a", "b", "c"][which % 3], 4000, 2 * memory)),
                5 => world.services.get_mut(&id.0).expect("it is there").changed += 1,
                _ => {
                    let definition = world.services[&id.0].deployments[0].task_definition_id;
                    let needs = world.definitions[&definition].size.clone().expect("definitions here have a size");
                    let task = world.task(InstanceId(instance), &format!("service:s-{}", id.0), &needs);
                    (task.service_id, task.deployment_id, task.task_definition_id) = (id.0, id.0, definition);
                }
            }
            let state = world.state();
            let anew = lose_zone(&state, "a", Fargate::default());
            let kept = proof.look(&state).clone();
            prop_assert_eq!((kept.tasks, kept.services), (anew.tasks, anew.services));
            if kept.services_short > 0 {
                prop_assert_eq!(kept, anew);
            } else {
                prop_assert_eq!(proof.places().count() as u32, kept.tasks, "every lost task has a place");
                prop_assert!(!is_over(&world, &proof, "a") || is_over(&world, &ZoneProof::new("none", Fargate::default()), "a"));
            }
        }
    }
}
