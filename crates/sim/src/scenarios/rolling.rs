//! Rolling updates under fire.

use std::time::Duration;

use seawall_proto::v1::{
    CreateServiceRequest, CreateServiceResponse, DeploymentCircuitBreaker, DeploymentConfiguration,
    ListServiceDeploymentsRequest, ListServiceDeploymentsResponse, ThresholdConfiguration, UpdateServiceRequest,
};

use crate::{
    World,
    world::{Setup, service},
};

/// Between two blows.
const PAUSE: Duration = Duration::from_secs(2);
const SETTLE: Duration = Duration::from_secs(120);

fn update_begun(seed: u64) -> (World, String) {
    let world = World::formed(&Setup::with(seed, &["a", "b", "c"], 2));
    world.register("web", &[]);
    world.create_service("web", "web", 9);
    let new = world.register("web", &[("VERSION", "2")]);
    world.update_service("web", UpdateServiceRequest { task_definition: Some(new.clone()), ..Default::default() });
    (world, new)
}

fn all_are_new(world: &World, new: &str) {
    let service = world.describe_service("web");
    assert!(service.task_definition().ends_with(new), "{} is not {new}", service.task_definition());
    assert_eq!(service.deployments.len(), 1, "{:?}", service.deployments);
    assert_eq!((service.running_count(), service.pending_count()), (9, 0));
}

pub(super) fn kill_each_in_turn_during_a_rolling_update(seed: u64) {
    let (mut world, new) = update_begun(seed);
    let workload = world.start_workload();
    for name in ["s1", "s2", "s3"] {
        world.kill_member(name);
        world.run_for(PAUSE);
        world.restart_member(name);
        world.run_for(PAUSE);
    }
    for name in ["a1", "a2", "a3", "a4", "a5", "a6"] {
        world.kill_agent(name);
        world.run_for(PAUSE);
        world.restart_agent(name);
        world.run_for(PAUSE / 2);
    }
    workload.stop_writing();
    world.settle(SETTLE);
    all_are_new(&world, &new);
}

pub(super) fn a_rolling_update_over_lossy_links(seed: u64) {
    let (mut world, new) = update_begun(seed);
    world.sim.set_loss_permille(20);
    let workload = world.start_workload();
    world.run_for(PAUSE * 10);
    workload.stop_writing();
    world.heal();
    world.settle(SETTLE);
    all_are_new(&world, &new);
}

/// The circuit breaker counts in the log, so no election forgets a failure, and nothing is rolled back twice.
pub(super) fn a_breaking_image_is_rolled_back_while_leaders_die(seed: u64) {
    let mut world = World::formed(&Setup::three_zones(seed));
    world.register("web", &[]);
    // So many that leaders die while it counts.
    let threshold = ThresholdConfiguration { r#type: Some("COUNT".into()), value: Some(12) };
    let breaker = DeploymentCircuitBreaker {
        enable: Some(true),
        rollback: Some(true),
        threshold_configuration: Some(threshold),
        ..Default::default()
    };
    let configuration =
        DeploymentConfiguration { deployment_circuit_breaker: Some(breaker), ..DeploymentConfiguration::default() };
    let request = CreateServiceRequest { deployment_configuration: Some(configuration), ..service("web", "web", 6) };
    let _: CreateServiceResponse = world.must("CreateService", &request);
    world.wait("the service to be at rest", SETTLE, |w| w.service_row("web").is_some_and(|row| row.steady));
    let first = world.describe_service("web").deployments[0].id.clone();
    let broken = world.register("web", &[("FAKE_START_ERROR", "no such command")]);
    world.update_service("web", UpdateServiceRequest { task_definition: Some(broken), ..Default::default() });
    let mut elections = 0;
    while world.service_row("web").is_none_or(|row| row.deployments[0].returned == 0) {
        assert!(elections < 20, "the circuit breaker never trips");
        elections += 1;
        let leader = world.wait_leader();
        world.kill_member(&leader);
        world.run_for(PAUSE);
        world.restart_member(&leader);
        world.run_for(PAUSE / 2);
        assert!(world.running("web") >= 6, "the good tasks stay");
    }
    let leader = world.wait_leader();
    world.kill_member(&leader);
    world.run_for(PAUSE);
    world.restart_member(&leader);
    world.settle(SETTLE);
    let shown = world.describe_service("web");
    assert_eq!((&shown.deployments[0].id, shown.deployments.len()), (&first, 1));
    assert_eq!((shown.running_count(), shown.deployments[0].rollout_state()), (6, "COMPLETED"));
    let listed: ListServiceDeploymentsResponse = world.must(
        "ListServiceDeployments",
        &ListServiceDeploymentsRequest { service: Some("web".into()), ..Default::default() },
    );
    let statuses: Vec<&str> = listed.service_deployments.iter().map(|d| d.status()).collect();
    assert_eq!(statuses, ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]);
    let said = shown.events.iter().filter(|event| event.message().contains("rolling back")).count();
    assert_eq!(said, 1, "{:?}", shown.events);
}
