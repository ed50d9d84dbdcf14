//! What would not fit if a zone were lost.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_model::{InstanceId, ServiceId};
use seawall_proto::{
    internal::v1::{DeploymentRow, ServiceRow, ServiceStatusCode, TaskSize},
    v1::CreateServiceRequest,
};
use seawall_scheduler::{Fargate, ZoneLoss, lose_zone};
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
